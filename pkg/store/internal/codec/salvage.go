package codec

import (
	"encoding/binary"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// Outline is the beginning of a version's metadata, which needs neither the day's phrases nor the object's identity.
type Outline struct {
	Verb     history.Verb
	Revision uint64
	Kind     uint16
	Parts    uint16
	Same     bool
}

// DecodeOutline returns the outline of a version's metadata.
func DecodeOutline(meta []byte) (Outline, error) {
	var rec history.Record
	r := binval.NewReader(meta)
	encoding := r.Byte()
	if encoding < metaV1 || encoding > metaV3 {
		r.Fail("metadata of an unknown encoding")
	}
	_, same := r.FlagsBeside(&rec, flagSame)
	o := Outline{Kind: r.Uint16(), Parts: r.Uint16(), Same: same}
	o.Verb, o.Revision = rec.Verb, r.Uvarint()
	return o, r.Err()
}

// WithoutBody returns the metadata of a version as it is without a body.
func WithoutBody(meta []byte) ([]byte, error) {
	r := binval.NewReader(meta)
	head := r.Bytes(2)
	kind := r.Uint16()
	_ = r.Uint16()
	if r.Err() != nil {
		return nil, r.Err()
	}
	b := binary.AppendUvarint(append([]byte(nil), head...), uint64(kind))
	return append(append(b, 0), r.Rest()...), nil
}

// maxManagers bounds how many managers are assumed where the text that lists them is lost.
const maxManagers = 64

// WithoutPhrases returns the metadata of a version without its managers and words, because phrases of them are lost. How many
// managers there were may be lost, too; then owners and target, which come behind, are read for every number, and the one
// that fits decides, if it is the only one. The result is false where none does.
func WithoutPhrases(meta []byte, texts Texts, fits func([]types.UID, *history.Target) bool) ([]byte, bool) {
	var rec history.Record
	r := binval.NewReader(meta)
	if r.Byte() != metaV3 {
		return nil, false
	}
	flags, same := r.FlagsBeside(&rec, flagSame)
	_, _, _ = r.Uint16(), r.Uint16(), r.Uvarint()
	_ = rv(r)
	r.Since(&rec, flags)
	if r.Err() != nil {
		return nil, false
	}
	head := meta[:len(meta)-len(r.Rest())]
	words := binval.Flags(&history.Record{Summary: &history.Summary{}})
	kept := append([]byte{metaV3, head[1] &^ words}, head[2:]...)
	kept = appendPhrase(kept, nil, nil)
	if same {
		return kept, true
	}
	p := phrased{Reader: r, texts: texts}
	list := p.phrase("")
	if r.Err() != nil {
		return nil, false
	}
	from, to := 0, maxManagers
	if p.err == nil {
		from = managersIn(list)
		to = from
	}
	relations, found := relationsBehind(r.Rest(), from, to, binval.HasTarget(flags), binval.HasWords(flags), fits)
	return append(kept, relations...), found
}

func managersIn(list string) (n int) {
	for text := binval.NewReader([]byte(list)); len(text.Rest()) > 0 && text.Err() == nil; n++ {
		_, _, _ = text.Text(), text.Text(), text.Text()
		_ = binval.Texts[string](text)
	}
	return n
}

// relationsBehind returns the bytes of owners and target that stand behind so many managers' times.
func relationsBehind(b []byte, from, to int, target, words bool, fits func([]types.UID, *history.Target) bool) (found []byte, once bool) {
	anyPhrase := func(uint16) (string, error) { return "", nil }
	for n := from; n <= to; n++ {
		p := phrased{Reader: binval.NewReader(b), texts: anyPhrase}
		for range n {
			_ = p.ago(0)
		}
		behind := p.Rest()
		owners, regarding := relations(p.Reader, target)
		bytes := behind[:len(behind)-len(p.Rest())]
		if words {
			_, _ = p.phrase(""), p.phrase("")
		}
		if p.Done() != nil || !fits(owners, regarding) {
			continue
		}
		if once {
			return nil, false
		}
		found, once = bytes, true
	}
	return found, once
}
