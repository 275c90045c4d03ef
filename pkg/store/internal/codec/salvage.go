package codec

import (
	"encoding/binary"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// Outline is the beginning of a version's metadata. Decoding it needs neither
// the day dictionary nor the object's identity.
type Outline struct {
	Verb          history.Verb
	Initial       bool
	Revision      uint64
	Kind          uint16
	Parts         uint16
	SameRelations bool
}

// DecodeOutline decodes the outline of a version's metadata.
func DecodeOutline(meta []byte) (Outline, error) {
	var rec history.Record
	r := binval.NewReader(meta)
	_, same := readHead(r, &rec)
	o := Outline{Kind: r.Uint16(), Parts: r.Uint16(), SameRelations: same}
	o.Verb, o.Initial, o.Revision = rec.Verb, rec.Initial, r.Uvarint()
	return o, r.Err()
}

// WithoutBody returns a version's metadata with no parts.
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

// maxManagers bounds the number of managers that WithoutPhrases tries if the
// phrase that lists them is lost.
const maxManagers = 64

// WithoutPhrases returns a version's metadata without its managers and summary,
// because their phrases are lost. It returns false if the owners and the target
// can't be found.
//
// The owners and the target follow the managers' times. If the phrase with the
// managers is lost too, the number of times is unknown. WithoutPhrases then
// tries every number up to maxManagers. It succeeds if fits accepts the owners
// and the target of exactly one of them.
func WithoutPhrases(meta []byte, texts PhraseText, fits func([]types.UID, *history.Target) bool) ([]byte, bool) {
	var rec history.Record
	r := binval.NewReader(meta)
	flags, same := readHead(r, &rec)
	_, _, _ = r.Uint16(), r.Uint16(), r.Uvarint()
	_ = readRV(r)
	r.InferredSince(&rec, flags)
	if r.Err() != nil {
		return nil, false
	}
	head := meta[:len(meta)-len(r.Rest())]
	summary := binval.Flags(&history.Record{Summary: &history.Summary{}})
	kept := append([]byte{head[0], head[1] &^ summary}, head[2:]...)
	kept = appendPhrase(kept, nil, nil)
	if same {
		return kept, true
	}
	p := phraseReader{Reader: r, texts: texts}
	list := p.phrase("")
	if r.Err() != nil {
		return nil, false
	}
	from, to := 0, maxManagers
	if p.err == nil {
		from = countManagers(list)
		to = from
	}
	relations, found := findRelations(r.Rest(), from, to, binval.HasTarget(flags), binval.HasSummary(flags), fits)
	return append(kept, relations...), found
}

// countManagers returns the number of managers in the phrase that lists them.
func countManagers(list string) (n int) {
	for text := binval.NewReader([]byte(list)); len(text.Rest()) > 0 && text.Err() == nil; n++ {
		_, _, _ = text.Text(), text.Text(), text.Text()
		_ = binval.Texts[string](text)
	}
	return n
}

// findRelations returns the bytes of the owners and the target that follow from
// "from" to "to" managers' times. It returns false unless exactly one number of
// times fits.
func findRelations(
	b []byte, from, to int, target, summary bool, fits func([]types.UID, *history.Target) bool,
) (found []byte, once bool) {
	anyPhrase := func(uint16) (string, error) { return "", nil }
	for n := from; n <= to; n++ {
		p := phraseReader{Reader: binval.NewReader(b), texts: anyPhrase}
		for range n {
			_ = p.ago(0)
		}
		rest := p.Rest()
		owners, regarding := readRelations(p.Reader, target)
		bytes := rest[:len(rest)-len(p.Rest())]
		if summary {
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
