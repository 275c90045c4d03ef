package store

import (
	"fmt"
	"hash/maphash"
	"math"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// What a day's phrases may take: bytes of one, bytes of all, and how many there are. What goes beyond is written out.
const (
	maxPhrase      = 1024
	maxPhraseBytes = 4 << 20
	maxPhrases     = math.MaxUint16
)

// maxTexts bounds how many phrases are remembered, for all readers: about 2 MB of them.
const maxTexts = 16384

// phrases are the texts in the metadata of one day that have numbers: who wrote what, and what changed in words. They are few, and come
// again and again. A text gets its number when it is met for the second time within a while, so that what is met once costs nothing.
// Only the committer uses them, for the day that it writes to.
type phrases struct {
	day     int // -1: none yet
	numbers map[string]uint16
	highest uint16 // of the numbers: after a repair, some below it may be missing
	size    int    // bytes of the texts
	seed    maphash.Seed
	met     [4096]uint32 // by the hash of a text, more of its hash
}

func newPhrases() *phrases { return &phrases{day: -1, seed: maphash.MakeSeed()} }

// turn begins a day with the phrases that it has.
func (p *phrases) turn(txn *badger.Txn, day uint16) error {
	p.day, p.numbers, p.highest, p.size = int(day), map[string]uint16{}, 0, 0
	it := txn.NewIterator(badger.IteratorOptions{Prefix: key.ClassPrefix(day, key.Phrase)})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		e, err := key.Decode(it.Item().Key())
		if err != nil {
			return err
		}
		text, err := it.Item().ValueCopy(nil)
		if err != nil {
			return err
		}
		p.add(text, e.Part)
	}
	return nil
}

func (p *phrases) add(text []byte, n uint16) {
	p.numbers[string(text)], p.highest = n, max(p.highest, n)
	p.size += len(text)
}

// again tells whether a text was met a while ago, and remembers it.
func (p *phrases) again(text []byte) bool {
	h := maphash.Bytes(p.seed, text)
	slot, rest := &p.met[h%uint64(len(p.met))], uint32(h>>32)|1
	defer func() { *slot = rest }()
	return *slot == rest
}

// phrases returns what gives the phrases of a version's day their numbers, and puts new ones into the version's group.
func (w *writer) phrases(g *group, ts uint64) (codec.Phrases, error) {
	p, day := w.s.phrases, key.Day(ts)
	if int(day) != p.day {
		if err := p.turn(w.txn, day); err != nil {
			return nil, fmt.Errorf("phrases of the day: %w", err)
		}
	}
	return func(text []byte) uint16 {
		n, known := p.numbers[string(text)]
		if known || len(text) > maxPhrase || p.highest == maxPhrases || p.size > maxPhraseBytes || !p.again(text) {
			return n
		}
		n = p.highest + 1
		p.add(text, n)
		g.set(key.Numbered(day, n), text, w.s.expiry(key.Start(uint32(day)+1)))
		return n
	}, nil
}

// phrase returns what a number stands for on a day, which never changes. Only what is committed is remembered.
func (r *reader) phrase(day, n uint16) (string, error) {
	at := uint32(day)<<16 | uint32(n)
	if text, ok := r.s.texts.get(at); ok {
		return text, nil
	}
	b, err := get(r.txn, key.Numbered(day, n))
	if err != nil {
		return "", fmt.Errorf("read phrase %d of the day: %w", n, err)
	}
	r.s.texts.put(at, string(b))
	return string(b), nil
}
