package codec

import (
	"encoding/binary"
	"strconv"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// The first bytes of the encodings of a version's metadata. The second has what the first has, the managers' fields and,
// behind all, the words. The third has all of that in fewer bytes, and is what is written.
const (
	metaV1 = iota + 1
	metaV2
	metaV3
)

// flagSame says in the flags of the third encoding that owners and target are those of the object's identity.
const flagSame = 1 << 6

// Meta is what a version's metadata holds beside the fields of its [history.Record].
type Meta struct {
	Kind  uint16 // the number of the version and kind
	Parts uint16 // the number of parts that the body is kept in; 0: there is none
	// Same says that owners and target are those of the object's identity, and are not written again.
	Same bool
}

// Phrases gives the phrases of a day their numbers, from 1; 0 says that one has none. A nil Phrases gives none.
type Phrases func(phrase []byte) uint16

// Texts tells the phrase of a number, on the day of a version. A nil Texts knows none.
type Texts func(number uint16) (string, error)

// AppendMeta appends the metadata of a record that is committed at a time, in nanoseconds since 1970: all but its identity, its
// time and its body.
func AppendMeta(b []byte, ts uint64, r *history.Record, m Meta, phrases Phrases) []byte {
	flags := binval.Flags(r)
	if m.Same {
		flags |= flagSame
	}
	b = append(b, metaV3, flags)
	b = binary.AppendUvarint(b, uint64(m.Kind))
	b = binary.AppendUvarint(b, uint64(m.Parts))
	b = binary.AppendUvarint(b, r.Revision)
	b = appendRV(b, r.RV)
	if !r.InferredSince.IsZero() {
		b = binval.AppendTime(b, r.InferredSince)
	}
	b = appendManagers(b, ts, r.Managers, phrases)
	if !m.Same {
		b = appendRelations(b, r.Owners, r.Regarding)
	}
	if r.Summary != nil {
		b = appendPhrase(b, []byte(r.Summary.Text), phrases)
		if r.Summary.Problem == r.Summary.Text {
			return append(b, phraseAgain)
		}
		b = appendPhrase(b, []byte(r.Summary.Problem), phrases)
	}
	return b
}

// DecodeMeta is the inverse of [AppendMeta]: it sets the record's fields; owners and target are left alone where they are those of the
// object's identity. An error of texts is returned as it is.
func DecodeMeta(b []byte, ts uint64, rec *history.Record, texts Texts) (Meta, error) {
	r := binval.NewReader(b)
	encoding := r.Byte()
	if encoding < metaV1 || encoding > metaV3 {
		r.Fail("metadata of an unknown encoding")
	}
	if encoding < metaV3 {
		return decodeOldMeta(r, rec, encoding)
	}
	flags, same := r.FlagsBeside(rec, flagSame)
	m := Meta{Kind: r.Uint16(), Parts: r.Uint16(), Same: same}
	rec.Revision, rec.RV = r.Uvarint(), rv(r)
	r.Since(rec, flags)
	p := phrased{Reader: r, texts: texts}
	rec.Managers = p.managers(ts)
	if !same {
		rec.Owners, rec.Regarding = relations(r, binval.HasTarget(flags))
	}
	if binval.HasWords(flags) {
		rec.Summary = &history.Summary{Text: p.phrase("")}
		rec.Summary.Problem = p.phrase(rec.Summary.Text)
	}
	if p.err != nil {
		return m, p.err
	}
	return m, r.Done()
}

func decodeOldMeta(r *binval.Reader, rec *history.Record, encoding byte) (Meta, error) {
	flags := r.Flags(rec)
	if encoding == metaV1 && binval.HasWords(flags) {
		r.Fail("bad flags")
	}
	m := Meta{Kind: r.Uint16(), Parts: r.Uint16()}
	rec.Revision, rec.RV = r.Uvarint(), r.Text()
	r.Attributes(rec, flags, encoding >= metaV2)
	return m, r.Done()
}

// Brief returns the verb and the revision of a version by its metadata, without what the day and the object have to tell.
func Brief(meta []byte) (verb history.Verb, revision uint64, err error) {
	var rec history.Record
	r := binval.NewReader(meta)
	encoding := r.Byte()
	if encoding < metaV1 || encoding > metaV3 {
		r.Fail("metadata of an unknown encoding")
	}
	r.FlagsBeside(&rec, flagSame)
	_, _ = r.Uint16(), r.Uint16()
	rec.Revision = r.Uvarint()
	return rec.Verb, rec.Revision, r.Err()
}

// appendRV appends a resourceVersion: a number, as long as it is one, in half the bytes.
func appendRV(b []byte, rv string) []byte {
	if n, err := strconv.ParseUint(rv, 10, 63); err == nil && strconv.FormatUint(n, 10) == rv {
		return binary.AppendUvarint(b, n<<1|1)
	}
	return append(binary.AppendUvarint(b, uint64(len(rv))<<1), rv...)
}

func rv(r *binval.Reader) string {
	n := r.Uvarint()
	if n&1 == 1 {
		return strconv.FormatUint(n>>1, 10)
	}
	return string(r.Upto(n >> 1))
}

// phraseAgain stands for the text before: number 0, which no phrase has.
const phraseAgain = 1

// appendPhrase appends a text: the number that it has as a phrase of the day, or else its bytes.
func appendPhrase(b, text []byte, phrases Phrases) []byte {
	if phrases != nil && len(text) > 0 {
		if n := phrases(text); n != 0 {
			return binary.AppendUvarint(b, uint64(n)<<1|1)
		}
	}
	return append(binary.AppendUvarint(b, uint64(len(text))<<1), text...)
}

// phrased reads metadata that has phrases.
type phrased struct {
	*binval.Reader
	texts Texts
	err   error // of texts
}

// phrase reads a text. again is what stands before it.
func (p *phrased) phrase(again string) string {
	n := p.Uvarint()
	switch {
	case n == phraseAgain:
		return again
	case n&1 == 0:
		return string(p.Upto(n >> 1))
	case n>>1 > 1<<16-1 || p.texts == nil:
		p.Fail("a phrase that there is not")
		return ""
	case p.err != nil || p.Err() != nil:
		return ""
	}
	var text string
	text, p.err = p.texts(uint16(n >> 1))
	return text
}

// appendManagers appends field managers: all but their times as one phrase, which are few on a day, then the times.
func appendManagers(b []byte, ts uint64, list []history.Manager, phrases Phrases) []byte {
	if len(list) == 0 {
		return appendPhrase(b, nil, phrases)
	}
	text := make([]byte, 0, 256)
	for i := range list {
		m := &list[i]
		text = binval.AppendText(binval.AppendText(binval.AppendText(text, m.Name), m.Operation), m.Subresource)
		text = binval.AppendTexts(text, m.Fields)
	}
	b = appendPhrase(b, text, phrases)
	for i := range list {
		b = appendAgo(b, ts, list[i].Time)
	}
	return b
}

func (p *phrased) managers(ts uint64) (list []history.Manager) {
	text := binval.NewReader([]byte(p.phrase("")))
	for len(text.Rest()) > 0 && text.Err() == nil {
		m := history.Manager{Name: text.Text(), Operation: text.Text(), Subresource: text.Text(), Fields: binval.Texts[string](text)}
		m.Time = p.ago(ts)
		list = append(list, m)
	}
	if text.Err() != nil {
		p.Fail("bad managers")
	}
	return list
}

// appendAgo appends a time by how many seconds it lies before the version's: managers' times mostly do, by few, and have no fractions.
func appendAgo(b []byte, ts uint64, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	ago := int64(ts/uint64(time.Second)) - t.Unix()
	zigzag := uint64(ago<<1) ^ uint64(ago>>63)
	if t.Nanosecond() == 0 {
		return binary.AppendUvarint(b, zigzag<<1+1)
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, zigzag<<1+2), uint64(t.Nanosecond()))
}

func (p *phrased) ago(ts uint64) time.Time {
	n := p.Uvarint()
	if n == 0 {
		return time.Time{}
	}
	zigzag, nanos := (n-1)>>1, int64(0)
	if n&1 == 0 {
		nanos = int64(p.Uint(999_999_999))
	}
	ago := int64(zigzag>>1) ^ -int64(zigzag&1)
	return time.Unix(int64(ts/uint64(time.Second))-ago, nanos).UTC()
}
