package codec

import (
	"encoding/binary"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/wire"
)

// The first bytes of the encodings of a version's metadata. The second has what the first has, the managers' fields and,
// behind all, the words. All that is written has it.
const (
	metaV1 = iota + 1
	metaV2
)

// Meta is what a version's metadata holds beside the fields of its [history.Record].
type Meta struct {
	Kind  uint16 // the number of the version and kind
	Parts uint16 // the number of parts that the body is kept in; 0: there is none
}

// AppendMeta appends the metadata of a record: all but its identity, its time and its body.
func AppendMeta(b []byte, r *history.Record, m Meta) []byte {
	b = append(b, metaV2, wire.Flags(r))
	b = binary.AppendUvarint(b, uint64(m.Kind))
	b = binary.AppendUvarint(b, uint64(m.Parts))
	b = binary.AppendUvarint(b, r.Revision)
	b = wire.AppendText(b, r.RV)
	return wire.AppendAttributes(b, r)
}

// DecodeMeta is the inverse of [AppendMeta]: it sets the record's fields.
func DecodeMeta(b []byte, rec *history.Record) (Meta, error) {
	r := wire.NewReader(b)
	encoding := r.Byte()
	if encoding < metaV1 || encoding > metaV2 {
		r.Fail("metadata of an unknown encoding")
	}
	flags := r.Flags(rec)
	if encoding == metaV1 && wire.HasWords(flags) {
		r.Fail("bad flags")
	}
	m := Meta{Kind: r.Uint16(), Parts: r.Uint16()}
	rec.Revision, rec.RV = r.Uvarint(), r.Text()
	r.Attributes(rec, flags, encoding >= metaV2)
	return m, r.Done()
}
