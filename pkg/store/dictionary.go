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

// term is a text of a dictionary.
type term struct {
	of   key.Dictionary
	text string
}

// termNumber is the number of a term.
type termNumber struct {
	of     key.Dictionary
	number uint32
}

// dictionary caches the terms of the log's dictionaries and their numbers,
// which never change. It holds only committed terms, and never evicts any. It
// is safe for concurrent use.
type dictionary struct {
	// verify returns an error if a key may be missing because its block is
	// damaged.
	verify func(k []byte) error

	mu      sync.RWMutex
	numbers map[term]uint32
	texts   map[termNumber]string
}

func newDictionary(verify func(k []byte) error) *dictionary {
	return &dictionary{numbers: map[term]uint32{}, texts: map[termNumber]string{}, verify: verify}
}

// number returns a term's number, or 0 if it has none. The transaction must not
// have written the term itself, because the cache holds only committed terms.
func (d *dictionary) number(txn *badger.Txn, t term) (uint32, error) {
	d.mu.RLock()
	n, ok := d.numbers[t]
	d.mu.RUnlock()
	if ok {
		return n, nil
	}
	b, err := get(txn, key.Text(t.of, t.text))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return 0, d.verify(key.Text(t.of, t.text))
	}
	if err != nil {
		return 0, fmt.Errorf("look up a number: %w", err)
	}
	if len(b) != 4 {
		return 0, fmt.Errorf("number of %q: %w", t.text, codec.ErrCorrupt)
	}
	n = binary.BigEndian.Uint32(b)
	d.cache(t, n)
	return n, nil
}

// text returns the text of a number. An unknown number is an error.
func (d *dictionary) text(txn *badger.Txn, i termNumber) (string, error) {
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
	d.cache(term{i.of, string(b)}, i.number)
	return string(b), nil
}

// cache adds a committed term and its number.
func (d *dictionary) cache(t term, n uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.numbers[t] = n
	d.texts[termNumber{t.of, n}] = t.text
}

// counter returns a dictionary's highest assigned number, and its limit. The
// caller may increment the number.
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

// checkTerms rejects terms for which there are not enough free numbers. It
// verifies the blocks of the terms that it does not find. The caller holds
// commitMu.
func (s *Store) checkTerms(terms map[term]bool) error {
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
				return errFull(t.of, limit)
			}
		}
		return nil
	})
}

// ErrDictionaryFull matches the errors of [Store.Register] and [Store.Append]
// for a new resource, kind or namespace if the log has no free number for it.
var ErrDictionaryFull = errors.New("dictionary is full")

// errFull is the error for a new term of a dictionary without free numbers.
func errFull(of key.Dictionary, limit uint32) error {
	terms := map[key.Dictionary]string{key.Resources: "resources", key.Kinds: "kinds", key.Namespaces: "namespaces"}[of]
	return &history.Error{
		Code: history.Invalid, Err: ErrDictionaryFull,
		Message: fmt.Sprintf("limit of %d %s reached: new ones are not recorded", limit, terms),
	}
}

// batchTerms returns the terms of a batch.
func batchTerms(b *history.Batch) map[term]bool {
	terms := map[term]bool{}
	for _, r := range b.Versions {
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

// Limits of a day dictionary: the length of a phrase in bytes, the length of
// all phrases in bytes, and their number. Texts beyond the limits are written
// out.
const (
	maxPhrase      = 1024
	maxPhraseBytes = 4 << 20
	maxPhrases     = math.MaxUint16
)

// maxPhraseTexts bounds the number of phrases that readers cache: about 2 MB.
const maxPhraseTexts = 16384

// dayDictionary holds the phrases of one day: the texts in metadata that have
// numbers, such as the managers and the summary. Most of them recur often. A
// text gets a number when it is seen for the second time, so that unique texts
// need no entry. The entries are dropped with their day.
//
// Only the committer uses it, for the day to which it writes.
type dayDictionary struct {
	day     int // -1: no day is open
	numbers map[string]uint16
	highest uint16 // highest number; after a repair, lower ones can be missing
	size    int    // of all texts in bytes

	// recent holds 32 bits of the hash of a recently seen text, by the rest of
	// the hash. Texts with the same slot replace each other.
	recent [4096]uint32
	seed   maphash.Seed
}

func newDayDictionary() *dayDictionary { return &dayDictionary{day: -1, seed: maphash.MakeSeed()} }

// openDay loads a day's phrases, unless the day is open. It verifies their
// blocks first: a phrase that is not found would lose its number to another
// one. The caller holds commitMu.
func (s *Store) openDay(txn *badger.Txn, day uint16) error {
	if int(day) == s.dayDict.day {
		return nil
	}
	err := s.integrity.checkPrefix(key.ClassPrefix(day, key.Phrase))
	if err == nil {
		err = s.dayDict.load(txn, day)
	}
	if err != nil {
		return fmt.Errorf("read the day dictionary: %w", err)
	}
	return nil
}

// load replaces the phrases by those of a day.
func (p *dayDictionary) load(txn *badger.Txn, day uint16) error {
	p.day, p.numbers, p.highest, p.size = -1, map[string]uint16{}, 0, 0
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
	p.day = int(day)
	return nil
}

func (p *dayDictionary) add(text []byte, n uint16) {
	p.numbers[string(text)], p.highest = n, max(p.highest, n)
	p.size += len(text)
}

// seenBefore reports whether a text was seen recently, and marks it as seen. A
// hash collision only gives a unique text a number.
func (p *dayDictionary) seenBefore(text []byte) bool {
	h := maphash.Bytes(p.seed, text)
	slot, rest := &p.recent[h%uint64(len(p.recent))], uint32(h>>32)|1 // 0 is an empty slot
	defer func() { *slot = rest }()
	return *slot == rest
}

// phraseNumber returns the function that numbers the phrases of a version of
// time ts. The function adds the entries of new phrases to g. It returns 0 for
// a text without a number, which is then written out.
//
// A new number is in the day dictionary before it commits. That is safe because
// the log is read-only after a commit fails.
func (w *batchTx) phraseNumber(g *group, ts uint64) (codec.PhraseNumber, error) {
	p, day := w.s.dayDict, key.Day(ts)
	if err := w.s.openDay(w.txn, day); err != nil {
		return nil, err
	}
	return func(text []byte) uint16 {
		n, known := p.numbers[string(text)]
		if known || len(text) > maxPhrase || p.highest == maxPhrases || p.size > maxPhraseBytes || !p.seenBefore(text) {
			return n
		}
		n = p.highest + 1
		p.add(text, n)
		g.set(key.DayPhrase(day, n), text, w.s.expiry(key.Start(uint32(day)+1)))
		return n
	}, nil
}

// phrase returns the text of a phrase of a day, which never changes. The cache
// holds only committed phrases.
func (r *reader) phrase(day, n uint16) (string, error) {
	at := uint32(day)<<16 | uint32(n)
	if text, ok := r.s.phraseTexts.get(at); ok {
		return text, nil
	}
	b, err := get(r.txn, key.DayPhrase(day, n))
	if err != nil {
		return "", fmt.Errorf("read phrase %d of the day: %w", n, err)
	}
	r.s.phraseTexts.put(at, string(b))
	return string(b), nil
}
