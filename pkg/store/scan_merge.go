package store

import (
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// How many keys a rangeIter reads ahead. It begins with at most minChunk, so
// that small pages stay cheap, and doubles.
const (
	minChunk = 16
	maxChunk = 512
)

// indexHit is a version that a plan found by its key in an index, or a
// baseline.
type indexHit struct {
	key.Entry // only the fields of the index's keys are set

	meta     []byte // its metadata, if the index holds it and the plan needs it
	baseline bool   // its body is stored as a baseline
}

// span is an interval of times, including both ends.
type span struct {
	from, to uint64
	reverse  bool // newest first
}

// rangeIter iterates over one range of keys of one day, in the span's order.
// The keys of a range sort by time. It must be used by one goroutine at a time.
type rangeIter struct {
	class     key.Class
	prefix    []byte
	span      span // what has not been read yet
	chunk     int  // how many keys are read ahead the next time
	hits      []indexHit
	done      bool  // the range has nothing after hits
	metas     *plan // read the values of the keys that it allows; nil: none
	integrity *integrity
}

// sharedIter is an iterator that all rangeIters of a day and class share. It
// continues at its position for the rangeIter that used it last, because each
// seek decompresses a block.
type sharedIter struct {
	*badger.Iterator
	of *rangeIter // that used it last
}

// sharedIters are the sharedIters of a day. Most plans need only one. They must
// be used by one goroutine at a time, and closed.
type sharedIters struct {
	txn     *badger.Txn
	day     uint16
	reverse bool
	open    map[key.Class]*sharedIter
}

// newSharedIters returns iterators over a day in the span's direction.
func (r *reader) newSharedIters(day uint16, sp span) *sharedIters {
	return &sharedIters{txn: r.txn, day: day, reverse: sp.reverse, open: map[key.Class]*sharedIter{}}
}

// of returns the iterator over the keys of a class.
func (s *sharedIters) of(class key.Class) *sharedIter {
	it := s.open[class]
	if it == nil {
		options := badger.IteratorOptions{Prefix: key.ClassPrefix(s.day, class), Reverse: s.reverse}
		it = &sharedIter{Iterator: s.txn.NewIterator(options)}
		s.open[class] = it
	}
	return it
}

// close closes the iterators.
func (s *sharedIters) close() {
	for _, it := range s.open {
		it.Close()
	}
}

// fill reads the next chunk, and verifies the blocks that it read.
func (s *rangeIter) fill(its *sharedIters) error {
	start := s.start() // read moves it
	end, err := s.read(its.of(s.class))
	if err != nil {
		return err
	}
	if s.span.reverse {
		return s.integrity.check(keyrange.Range{From: end, To: append(start, 0)})
	}
	return s.integrity.check(keyrange.Range{From: start, To: end})
}

// read reads the next chunk. It returns the end of the keys that it looked at:
// in reverse the smallest key, otherwise the first key after the largest.
func (s *rangeIter) read(it *sharedIter) (end []byte, err error) {
	s.hits = s.hits[:0]
	chunk := s.chunk
	s.chunk = min(2*chunk, maxChunk)
	if it.of != s {
		it.of = s
		it.Seek(s.start())
	}
	for ; it.Valid(); it.Next() {
		k := it.Item().Key()
		if !bytes.HasPrefix(k, s.prefix) {
			break
		}
		if len(s.hits) == chunk {
			return append(bytes.Clone(k), 0), nil
		}
		h, err := s.hit(it.Item())
		if err != nil {
			return nil, err
		}
		if h.TS < s.span.from || h.TS > s.span.to {
			s.done = true
			return append(bytes.Clone(k), 0), nil
		}
		s.hits = append(s.hits, h)
		if s.span.reverse {
			s.span.to = h.TS - 1
		} else {
			s.span.from = h.TS + 1
		}
	}
	s.done = true
	if s.span.reverse {
		return s.prefix, nil
	}
	return keyrange.PrefixEnd(s.prefix), nil
}

// start returns the key from which the next chunk is read. Times are unique, so
// a time is a position. In reverse the key is after every key of that time.
func (s *rangeIter) start() []byte {
	if !s.span.reverse {
		return binary.BigEndian.AppendUint64(bytes.Clone(s.prefix), s.span.from)
	}
	k := binary.BigEndian.AppendUint64(bytes.Clone(s.prefix), s.span.to)
	return append(k, bytes.Repeat([]byte{0xff}, 16)...)
}

// hit returns the hit of an item. It copies the metadata, if it is needed.
func (s *rangeIter) hit(item *badger.Item) (h indexHit, err error) {
	if h.Entry, err = key.Decode(item.Key()); err != nil {
		return indexHit{}, fmt.Errorf("index %q: %w", s.prefix, err)
	}
	if s.metas != nil && item.ValueSize() > 0 && s.metas.allows(h.Entry) {
		h.meta, err = item.ValueCopy(nil)
	}
	return h, err
}

// mergingIter is a heap of rangeIters. The one with the next hit is on top. Its
// methods implement [heap.Interface].
type mergingIter []*rangeIter

func (m mergingIter) Len() int      { return len(m) }
func (m mergingIter) Swap(i, j int) { m[i], m[j] = m[j], m[i] }

func (m mergingIter) Less(i, j int) bool {
	a, b := m[i].hits[0].TS, m[j].hits[0].TS
	return a < b != m[i].span.reverse
}

// Push is never called: the heap is made of all rangeIters at once.
func (m *mergingIter) Push(x any) {
	if s, ok := x.(*rangeIter); ok {
		*m = append(*m, s)
	}
}

// Pop is called by package heap only.
func (m *mergingIter) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

// next removes and returns the next hit.
func (m *mergingIter) next(r *reader, p *plan, its *sharedIters) (indexHit, error) {
	s := (*m)[0]
	h := s.hits[0]
	s.hits = s.hits[1:]
	if len(s.hits) == 0 && !s.done {
		if err := s.fill(its); err != nil {
			return indexHit{}, err
		}
		r.prefetchIdentities(p, s.hits)
	}
	if len(s.hits) == 0 {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
	return h, nil
}

// day calls f for every hit of a day, in the span's order, until f returns
// false. It returns the last result of f.
func (r *reader) day(p *plan, day uint16, sp span, f func(indexHit) (bool, error)) (bool, error) {
	if p.granted != nil {
		return r.grantedDay(p, day, sp, f)
	}
	return r.mergeDay(p, p.ranges, day, sp, f)
}

// mergeDay is day for some ranges.
func (r *reader) mergeDay(
	p *plan, ranges []key.Entry, day uint16, sp span, f func(indexHit) (bool, error),
) (bool, error) {
	its := r.newSharedIters(day, sp)
	defer its.close()
	if p.unordered {
		return r.joinDay(p, ranges, day, sp, its, f)
	}
	iters, err := r.rangeIters(p, ranges, day, sp, its)
	if err != nil {
		return false, err
	}
	var m mergingIter
	var first []indexHit
	for _, s := range iters {
		if len(s.hits) > 0 {
			m = append(m, s)
			first = append(first, s.hits...)
		}
	}
	r.prefetchIdentities(p, first)
	heap.Init(&m)
	for len(m) > 0 {
		h, err := m.next(r, p, its)
		if err != nil {
			return false, err
		}
		if more, err := f(h); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

// joinDay calls f for every hit of some ranges of a day, range by range, until
// f returns false. It returns the last result of f.
func (r *reader) joinDay(
	p *plan, ranges []key.Entry, day uint16, sp span, its *sharedIters, f func(indexHit) (bool, error),
) (bool, error) {
	for i := range ranges {
		for s := r.rangeIter(&ranges[i], day, sp, p.withMetas(), maxChunk); !s.done; {
			if err := s.fill(its); err != nil {
				return false, err
			}
			for _, h := range s.hits {
				if more, err := f(h); !more || err != nil {
					return false, err
				}
			}
		}
	}
	return true, nil
}

// rangesPerGoroutine is the number of ranges for which rangeIters starts
// another goroutine with its own iterator. The first chunk of each range
// decompresses a block.
const rangesPerGoroutine = 4

// firstHits is how many hits all ranges of a day together read at first, unless
// the plan is for more. Most pages use fewer.
const firstHits = 256

// rangeIter returns the rangeIter of a range, which reads chunk keys at first.
// metas is a plan that needs the metadata of the hits it allows, or nil.
func (r *reader) rangeIter(of *key.Entry, day uint16, sp span, metas *plan, chunk int) *rangeIter {
	return &rangeIter{
		class: of.Class, prefix: of.Prefix(day), span: sp, metas: metas, chunk: chunk, integrity: r.integrity,
	}
}

// rangeIters returns the rangeIters of a plan for a day, with their first
// chunk.
func (r *reader) rangeIters(
	p *plan, ranges []key.Entry, day uint16, sp span, its *sharedIters,
) ([]*rangeIter, error) {
	iters, errs := make([]*rangeIter, len(ranges)), make([]error, len(ranges))
	chunk := min(max(firstHits/max(len(ranges), 1), 1), minChunk)
	if p.hits > firstHits {
		chunk = min(max(p.hits/max(len(ranges), 1), 1), maxChunk)
	}
	for i := range ranges {
		iters[i] = r.rangeIter(&ranges[i], day, sp, p.withMetas(), chunk)
	}
	if len(iters) < 2*rangesPerGoroutine {
		for i, s := range iters {
			errs[i] = s.fill(its)
		}
		return iters, errors.Join(errs...)
	}
	parts := slices.Collect(slices.Chunk(iters, rangesPerGoroutine))
	parallel(len(parts), len(parts), func(part int) {
		its := r.newSharedIters(day, sp)
		defer its.close()
		for i, s := range parts[part] {
			errs[part*rangesPerGoroutine+i] = s.fill(its)
		}
	})
	return iters, errors.Join(errs...)
}

// prefetchIdentities reads the identities of hits concurrently into the cache,
// if the plan needs metadata. Each identity can be in a different block. Errors
// are ignored: they recur when the identity is needed.
func (r *reader) prefetchIdentities(p *plan, hits []indexHit) {
	if !p.metas {
		return
	}
	parallel(len(hits), len(hits)/minChunk, func(i int) {
		if p.allows(hits[i].Entry) {
			_, _ = r.encodedIdentity(hits[i].Object)
		}
	})
}
