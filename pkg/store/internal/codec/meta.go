package codec

import (
	"encoding/binary"
	"math"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// metaV1 begins the encoding of a version's metadata.
const metaV1 = 1

// The flags of a version's metadata. The verb stands in the lowest two bits.
const (
	flagInitial = 1 << (iota + 2)
	flagInferred
	flagRegarding
	flagsEnd
)

// Meta is what a version's metadata holds beside the fields of its [history.Record].
type Meta struct {
	Kind  uint16 // the number of the version and kind
	Parts uint16 // the number of parts that the body is kept in; 0: there is none
}

// AppendMeta appends the metadata of a record: all but its identity, its time and its body.
func AppendMeta(b []byte, r *history.Record, m Meta) []byte {
	b = append(b, metaV1, flags(r))
	b = binary.AppendUvarint(b, uint64(m.Kind))
	b = binary.AppendUvarint(b, uint64(m.Parts))
	b = binary.AppendUvarint(b, r.Revision)
	b = appendString(b, r.RV)
	if !r.InferredSince.IsZero() {
		b = appendTime(b, r.InferredSince)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Managers)))
	for _, m := range r.Managers {
		b = appendString(appendString(appendString(b, m.Name), m.Operation), m.Subresource)
		b = appendTime(b, m.Time)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Owners)))
	for _, o := range r.Owners {
		b = appendString(b, o)
	}
	if t := r.Regarding; t != nil {
		b = appendString(appendString(b, t.Group), t.Kind)
		b = appendString(appendString(appendString(b, t.Namespace), t.Name), t.UID)
	}
	return b
}

func flags(r *history.Record) byte {
	f := byte(r.Verb)
	if r.Initial {
		f |= flagInitial
	}
	if !r.InferredSince.IsZero() {
		f |= flagInferred
	}
	if r.Regarding != nil {
		f |= flagRegarding
	}
	return f
}

// DecodeMeta is the inverse of [AppendMeta]: it sets the record's fields.
func DecodeMeta(b []byte, rec *history.Record) (Meta, error) {
	r := &reader{b: b}
	r.expect(metaV1, "metadata of an unknown encoding")
	f := r.byte()
	if rec.Verb = history.Verb(f & 3); rec.Verb == 0 || f >= flagsEnd {
		r.fail("bad flags")
	}
	rec.Initial = f&flagInitial != 0
	m := Meta{Kind: uint16(r.uint(math.MaxUint16)), Parts: uint16(r.uint(math.MaxUint16))}
	rec.Revision, rec.RV = r.uvarint(), r.string()
	if f&flagInferred != 0 {
		if rec.InferredSince = r.time(); rec.InferredSince.IsZero() {
			r.fail("inferred, but not since when")
		}
	}
	rec.Managers = r.managers()
	rec.Owners = r.owners()
	if f&flagRegarding != 0 {
		rec.Regarding = &history.Target{
			Group: r.string(), Kind: r.string(), Namespace: r.string(), Name: r.string(), UID: types.UID(r.string()),
		}
	}
	return m, r.done()
}

func (r *reader) managers() []history.Manager {
	n := r.count()
	var list []history.Manager
	for i := 0; i < n && r.err == nil; i++ {
		list = append(list, history.Manager{Name: r.string(), Operation: r.string(), Subresource: r.string(), Time: r.time()})
	}
	return list
}

func (r *reader) owners() []types.UID {
	n := r.count()
	var list []types.UID
	for i := 0; i < n && r.err == nil; i++ {
		list = append(list, types.UID(r.string()))
	}
	return list
}
