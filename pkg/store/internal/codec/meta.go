package codec

import (
	"encoding/binary"
	"math"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The first bytes of the encodings of a version's metadata. The second has what the first has, the managers' fields and,
// behind all, the words. All that is written has it.
const (
	metaV1 = iota + 1
	metaV2
)

// The flags of a version's metadata. The verb stands in the lowest two bits.
const (
	flagInitial = 1 << (iota + 2)
	flagInferred
	flagRegarding
	flagWords // in metaV2
	flagsEnd
)

// Meta is what a version's metadata holds beside the fields of its [history.Record].
type Meta struct {
	Kind  uint16 // the number of the version and kind
	Parts uint16 // the number of parts that the body is kept in; 0: there is none
}

// AppendMeta appends the metadata of a record: all but its identity, its time and its body.
func AppendMeta(b []byte, r *history.Record, m Meta) []byte {
	b = append(b, metaV2, flags(r))
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
		b = binary.AppendUvarint(b, uint64(len(m.Fields)))
		for _, f := range m.Fields {
			b = appendString(b, f)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.Owners)))
	for _, o := range r.Owners {
		b = appendString(b, o)
	}
	if t := r.Regarding; t != nil {
		b = appendString(appendString(b, t.Group), t.Kind)
		b = appendString(appendString(appendString(b, t.Namespace), t.Name), t.UID)
	}
	if w := r.Words; w != nil {
		b = appendString(appendString(b, w.Summary), w.Trouble)
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
	if r.Words != nil {
		f |= flagWords
	}
	return f
}

// DecodeMeta is the inverse of [AppendMeta]: it sets the record's fields.
func DecodeMeta(b []byte, rec *history.Record) (Meta, error) {
	r := &reader{b: b}
	encoding, f := r.byte(), r.byte()
	if encoding < metaV1 || encoding > metaV2 {
		r.fail("metadata of an unknown encoding")
	}
	if rec.Verb = history.Verb(f & 3); rec.Verb == 0 || f >= flagsEnd || encoding == metaV1 && f&flagWords != 0 {
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
	rec.Managers = r.managers(encoding)
	rec.Owners = r.owners()
	if f&flagRegarding != 0 {
		rec.Regarding = &history.Target{
			Group: r.string(), Kind: r.string(), Namespace: r.string(), Name: r.string(), UID: types.UID(r.string()),
		}
	}
	if f&flagWords != 0 {
		rec.Words = &history.Words{Summary: r.string(), Trouble: r.string()}
	}
	return m, r.done()
}

func (r *reader) managers(encoding byte) []history.Manager {
	n := r.count()
	var list []history.Manager
	for i := 0; i < n && r.err == nil; i++ {
		m := history.Manager{Name: r.string(), Operation: r.string(), Subresource: r.string(), Time: r.time()}
		if encoding >= metaV2 {
			m.Fields = r.texts()
		}
		list = append(list, m)
	}
	return list
}

func (r *reader) texts() []string {
	n := r.count()
	var list []string
	for i := 0; i < n && r.err == nil; i++ {
		list = append(list, r.string())
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
