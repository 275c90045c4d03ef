package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"sync"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// term is a text of one of the dictionaries.
type term struct {
	of   key.Dictionary
	text string
}

// index is the number of a text of one of the dictionaries.
type index struct {
	of     key.Dictionary
	number uint32
}

// dictionary remembers texts and their numbers, which never change. It holds only what is committed.
type dictionary struct {
	check func(k []byte) error // that a key is not missing because its block is damaged

	mu      sync.RWMutex
	numbers map[term]uint32
	texts   map[index]string
}

func newDictionary(check func(k []byte) error) *dictionary {
	return &dictionary{numbers: map[term]uint32{}, texts: map[index]string{}, check: check}
}

// number returns a text's number, and 0 where it has none. The transaction must have written no terms itself.
func (d *dictionary) number(txn *badger.Txn, t term) (uint32, error) {
	d.mu.RLock()
	n, ok := d.numbers[t]
	d.mu.RUnlock()
	if ok {
		return n, nil
	}
	b, err := get(txn, key.Text(t.of, t.text))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, d.check(key.Text(t.of, t.text))
	}
	if err != nil {
		return 0, fmt.Errorf("look up a number: %w", err)
	}
	if len(b) != 4 {
		return 0, fmt.Errorf("number of %q: %w", t.text, codec.ErrCorrupt)
	}
	n = binary.BigEndian.Uint32(b)
	d.learn(t, n)
	return n, nil
}

// text returns what a number stands for. That it stands for nothing is an error.
func (d *dictionary) text(txn *badger.Txn, i index) (string, error) {
	d.mu.RLock()
	text, ok := d.texts[i]
	d.mu.RUnlock()
	if ok {
		return text, nil
	}
	b, err := get(txn, key.Number(i.of, i.number))
	if err != nil {
		return "", fmt.Errorf("look up number %d of dictionary %c: %w", i.number, i.of, err)
	}
	d.learn(term{i.of, string(b)}, i.number)
	return string(b), nil
}

func (d *dictionary) learn(t term, n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.numbers[t] = n
	d.texts[index{t.of, n}] = t.text
}

// counter returns the highest number that a dictionary has given out, and how high it may become.
func counter(state *codec.State, of key.Dictionary) (highest *uint32, limit uint32) {
	switch of {
	case key.Resources:
		return &state.Resources, math.MaxUint16
	case key.Kinds:
		return &state.Kinds, math.MaxUint16
	default:
		return &state.Namespaces, math.MaxUint32
	}
}

// numbers refuses a batch that names more new resources, kinds or namespaces than there are numbers left for. It looks them up only
// where few are. The caller holds commits.
func (s *Store) numbers(b *history.Batch) error {
	most := uint32(len(b.Records) + len(b.Checkpoints) + len(b.Gaps)) // of each dictionary
	for _, of := range []key.Dictionary{key.Resources, key.Kinds, key.Namespaces} {
		if highest, limit := counter(&s.state, of); limit-*highest < most {
			return s.numbered(named(b))
		}
	}
	return nil
}

// numbered refuses texts for which there are not enough numbers left.
func (s *Store) numbered(terms map[term]bool) error {
	missing := map[key.Dictionary]uint32{}
	return s.db.View(func(txn *badger.Txn) error {
		for t := range terms {
			n, err := s.terms.number(txn, t)
			if err != nil {
				return err
			}
			if n != 0 {
				continue
			}
			missing[t.of]++
			if highest, limit := counter(&s.state, t.of); missing[t.of] > limit-*highest {
				return noNumber(t.of, limit)
			}
		}
		return nil
	})
}

func noNumber(of key.Dictionary, limit uint32) error {
	what := map[key.Dictionary]string{key.Resources: "resources", key.Kinds: "kinds", key.Namespaces: "namespaces"}[of]
	return history.Errorf(history.Invalid,
		"the history knows %d %s and can tell no more apart: those that are new are not recorded; to record them, set storagePath (BADGER_PATH) to another directory",
		limit, what)
}

// named returns what a batch names that has to have a number.
func named(b *history.Batch) map[term]bool {
	terms := map[term]bool{}
	for _, r := range b.Records {
		terms[resourceTerm(r.Ref.GroupResource())] = true
		terms[term{key.Kinds, codec.Pair(r.Version, r.Kind)}] = true
		if r.Ref.Namespace != "" {
			terms[term{key.Namespaces, r.Ref.Namespace}] = true
		}
	}
	for _, c := range b.Checkpoints {
		terms[resourceTerm(schema.GroupResource{Group: c.Group, Resource: c.Resource})] = true
	}
	for _, g := range b.Gaps {
		terms[resourceTerm(g.GroupResource())] = true
	}
	return terms
}

func resourceTerm(r schema.GroupResource) term {
	return term{key.Resources, codec.Pair(r.Group, r.Resource)}
}

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
