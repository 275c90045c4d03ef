package codec

import (
	"encoding/binary"
	"math"
	"strconv"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// The first byte of encoded metadata.
const (
	metaV1    = 1
	metaOnset = 2 // like metaV1; the class is history.Onset
)

// flagSameRelations is the flag of [Meta.SameRelations].
const flagSameRelations = 1 << 6

// Meta is the part of a version's metadata that is not in its [history.Record].
type Meta struct {
	Kind  uint16 // the number of the API version and kind
	Parts uint16 // how many parts the body has; 0: there is no body
	// SameRelations means that the owners and the target are those of the
	// object's identity. They are not encoded again.
	SameRelations bool
}

// PhraseNumber returns a phrase's number in the day dictionary, from 1, or 0 if
// it has none. A nil PhraseNumber has no numbers.
type PhraseNumber func(phrase []byte) uint16

// PhraseText returns the phrase of a number in the day dictionary. A nil
// PhraseText has no phrases.
type PhraseText func(number uint16) (string, error)

// AppendMeta appends the metadata of a record that is committed at ts, in
// nanoseconds since 1970. Metadata contains everything but the record's
// identity, time and body.
func AppendMeta(b []byte, ts uint64, r *history.Record, m Meta, phrases PhraseNumber) []byte {
	flags := binval.Flags(r)
	if m.SameRelations {
		flags |= flagSameRelations
	}
	encoding := byte(metaV1)
	if r.Class == history.Onset {
		encoding = metaOnset
	}
	b = append(b, encoding, flags)
	b = binary.AppendUvarint(b, uint64(m.Kind))
	b = binary.AppendUvarint(b, uint64(m.Parts))
	b = binary.AppendUvarint(b, r.Revision)
	b = appendRV(b, r.RV)
	if !r.InferredSince.IsZero() {
		b = binval.AppendTime(b, r.InferredSince)
	}
	b = appendManagers(b, ts, r.Managers, phrases)
	if !m.SameRelations {
		b = appendRelations(b, r.Owners, r.Regarding)
	}
	if r.Summary != nil {
		b = appendPhrase(b, []byte(r.Summary.Text), phrases)
		if r.Summary.Problem == r.Summary.Text {
			return append(b, phraseRepeated)
		}
		b = appendPhrase(b, []byte(r.Summary.Problem), phrases)
	}
	return b
}

// DecodeMeta is the inverse of [AppendMeta]. It sets the record's fields, but
// not its owners and target if they are those of the object's identity. It
// returns errors of texts unchanged.
func DecodeMeta(b []byte, ts uint64, rec *history.Record, texts PhraseText) (Meta, error) {
	r := binval.NewReader(b)
	flags, same := readHead(r, rec)
	m := Meta{Kind: r.Uint16(), Parts: r.Uint16(), SameRelations: same}
	rec.Revision, rec.RV = r.Uvarint(), readRV(r)
	r.InferredSince(rec, flags)
	p := phraseReader{Reader: r, texts: texts}
	rec.Managers = p.managers(ts)
	if !same {
		rec.Owners, rec.Regarding = readRelations(r, binval.HasTarget(flags))
	}
	if binval.HasSummary(flags) {
		rec.Summary = &history.Summary{Text: p.phrase("")}
		rec.Summary.Problem = p.phrase(rec.Summary.Text)
	}
	if p.err != nil {
		return m, p.err
	}
	return m, r.Done()
}

// readHead reads the first two bytes of metadata: the record's verb, class and
// Initial, the flags of its attributes, and [Meta.SameRelations].
func readHead(r *binval.Reader, rec *history.Record) (flags byte, same bool) {
	encoding := r.Byte()
	flags, same = r.FlagsWith(rec, flagSameRelations)
	switch {
	case encoding == metaOnset && rec.Class == history.Consequence:
		rec.Class = history.Onset
	case encoding != metaV1:
		r.Fail("metadata of an unknown encoding")
	}
	return flags, same
}

// ClassOf returns the class of a version with encoded metadata. It is
// [history.Root] if the metadata is corrupt.
func ClassOf(meta []byte) history.Class {
	var rec history.Record
	if r := binval.NewReader(meta); len(meta) > 1 {
		readHead(r, &rec)
	}
	return rec.Class
}

// appendRV appends a resourceVersion. A decimal number is appended as a number,
// which takes about half as many bytes. The lowest bit distinguishes the forms.
func appendRV(b []byte, rv string) []byte {
	if n, err := strconv.ParseUint(rv, 10, 63); err == nil && strconv.FormatUint(n, 10) == rv {
		return binary.AppendUvarint(b, n<<1|1)
	}
	return append(binary.AppendUvarint(b, uint64(len(rv))<<1), rv...)
}

func readRV(r *binval.Reader) string {
	n := r.Uvarint()
	if n&1 == 1 {
		return strconv.FormatUint(n>>1, 10)
	}
	return string(r.BytesN(n >> 1))
}

// phraseRepeated encodes a phrase that equals the one before it. No phrase has
// number 0.
const phraseRepeated = 1

// appendPhrase appends a text: its number in the day dictionary or, if it has
// none, its bytes.
func appendPhrase(b, text []byte, phrases PhraseNumber) []byte {
	if phrases != nil && len(text) > 0 {
		if n := phrases(text); n != 0 {
			return binary.AppendUvarint(b, uint64(n)<<1|1)
		}
	}
	return append(binary.AppendUvarint(b, uint64(len(text))<<1), text...)
}

// phraseReader reads metadata with phrases.
type phraseReader struct {
	*binval.Reader
	texts PhraseText
	err   error // the first error of texts
}

// phrase reads a text. previous is the phrase before it.
func (p *phraseReader) phrase(previous string) string {
	n := p.Uvarint()
	switch {
	case n == phraseRepeated:
		return previous
	case n&1 == 0:
		return string(p.BytesN(n >> 1))
	case n>>1 > math.MaxUint16 || p.texts == nil:
		p.Fail("unknown phrase")
		return ""
	case p.err != nil || p.Err() != nil:
		return ""
	}
	var text string
	text, p.err = p.texts(uint16(n >> 1))
	return text
}

// appendManagers appends field managers: everything but their times as one
// phrase, because few combinations occur on a day, and then their times.
func appendManagers(b []byte, ts uint64, list []history.Manager, phrases PhraseNumber) []byte {
	if len(list) == 0 {
		return appendPhrase(b, nil, nil)
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

// managers reads what appendManagers wrote. The number of managers follows from
// the phrase, so it is not encoded.
func (p *phraseReader) managers(ts uint64) (list []history.Manager) {
	text := binval.NewReader([]byte(p.phrase("")))
	for len(text.Rest()) > 0 && text.Err() == nil {
		m := history.Manager{Name: text.Text(), Operation: text.Text(), Subresource: text.Text()}
		m.Fields, m.Time = binval.Texts[string](text), p.ago(ts)
		list = append(list, m)
	}
	if text.Err() != nil {
		p.Fail("bad managers")
	}
	return list
}

// appendAgo appends a time as the number of seconds before the version's time.
// Managers' times are mostly a few seconds before it, and have no fractions.
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

// ago reads a time that appendAgo wrote.
func (p *phraseReader) ago(ts uint64) time.Time {
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
