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
)

// maxChunk is how many keys of a range are read ahead at the most. A range begins with few, so that small pages stay
// cheap, and doubles.
const (
	minChunk = 16
	maxChunk = 512
)

// hit is a key of an index, with its value where the class is [key.Record].
type hit struct {
	key.Entry
	meta    []byte
	carried bool // to behind the days; see [reader.standing]
}

// span is an interval of time, in either direction. Both ends are included.
type span struct {
	from, to uint64
	reverse  bool
}

// stream is one range of one day. Its hits come in the span's order.
type stream struct {
	prefix []byte
	span   span
	chunk  int
	hits   []hit // read ahead
	done   bool  // nothing is behind hits
	metas  bool  // read values, where there are some
	sound  *soundness
}

// walker is an iterator for all streams of a day. It goes on where it is for the stream that used it last: to seek is to decompress a
// block again.
type walker struct {
	*badger.Iterator
	of *stream
}

// fill reads ahead with an iterator that it need not have to itself.
func (s *stream) fill(it *walker) error {
	start := s.start()
	end, err := s.read(it)
	if err != nil {
		return err
	}
	if s.span.reverse {
		return s.sound.check(keyRange{end, append(start, 0)})
	}
	return s.sound.check(keyRange{start, end})
}

// read is fill without the check of what was read. It returns the key where that ends: going back, the smallest that was looked at,
// and otherwise one behind the largest.
func (s *stream) read(it *walker) (end []byte, err error) {
	s.hits = s.hits[:0]
	s.chunk = min(max(minChunk, 2*s.chunk), maxChunk)
	if it.of != s {
		it.of = s
		it.Seek(s.start())
	}
	for ; it.Valid(); it.Next() {
		k := it.Item().Key()
		if !bytes.HasPrefix(k, s.prefix) {
			break
		}
		if len(s.hits) == s.chunk {
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
	return prefixEnd(s.prefix), nil
}

// start is where the next hits are looked for: times are unique, so that a time is a place. Going back, it is behind
// every key of that time.
func (s *stream) start() []byte {
	if !s.span.reverse {
		return binary.BigEndian.AppendUint64(bytes.Clone(s.prefix), s.span.from)
	}
	k := binary.BigEndian.AppendUint64(bytes.Clone(s.prefix), s.span.to)
	return append(k, bytes.Repeat([]byte{0xff}, 16)...)
}

func (s *stream) hit(item *badger.Item) (h hit, err error) {
	if h.Entry, err = key.Decode(item.Key()); err != nil {
		return hit{}, fmt.Errorf("index %q: %w", s.prefix, err)
	}
	if s.metas && item.ValueSize() > 0 {
		h.meta, err = item.ValueCopy(nil)
	}
	return h, err
}

// merge is a heap of streams, the one with the next hit on top.
type merge []*stream

func (m merge) Len() int      { return len(m) }
func (m merge) Swap(i, j int) { m[i], m[j] = m[j], m[i] }

// Push is there for the interface: no stream comes in once the heap is made.
func (m *merge) Push(x any) {
	if s, ok := x.(*stream); ok {
		*m = append(*m, s)
	}
}

// Pop is for the heap's own use.
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}

func (m merge) Less(i, j int) bool {
	a, b := m[i].hits[0].TS, m[j].hits[0].TS
	return a < b != m[i].span.reverse
}

// day calls f for every hit of one day, in the span's order, until f returns false.
func (r *reader) day(p *plan, day uint16, sp span, f func(hit) (bool, error)) (bool, error) {
	it := r.walker(p, day, sp)
	defer it.Close()
	streams, err := r.streams(p, day, sp, it)
	if err != nil {
		return false, err
	}
	var m merge
	var first []hit
	for _, s := range streams {
		if len(s.hits) > 0 {
			m = append(m, s)
			first = append(first, s.hits...)
		}
	}
	r.meet(p, first)
	heap.Init(&m)
	for len(m) > 0 {
		h, err := m.next(r, p, it)
		if err != nil {
			return false, err
		}
		if more, err := f(h); !more || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (r *reader) walker(p *plan, day uint16, sp span) *walker {
	return &walker{Iterator: r.txn.NewIterator(badger.IteratorOptions{Prefix: key.ClassPrefix(day, p.class), Reverse: sp.reverse})}
}

// rangesEach is for how many ranges of a day another goroutine, with an iterator of its own, is worth its start: where a range begins,
// a block has to be decompressed.
const rangesEach = 4

// streams returns the streams of a plan's ranges, filled for the first time.
func (r *reader) streams(p *plan, day uint16, sp span, it *walker) ([]*stream, error) {
	streams, errs := make([]*stream, len(p.ranges)), make([]error, len(p.ranges))
	for i := range p.ranges {
		streams[i] = &stream{prefix: p.ranges[i].Prefix(day), span: sp, metas: p.metas, sound: r.sound}
	}
	if len(streams) < 2*rangesEach {
		for i, s := range streams {
			errs[i] = s.fill(it)
		}
		return streams, errors.Join(errs...)
	}
	parts := slices.Collect(slices.Chunk(streams, rangesEach))
	parallel(len(parts), len(parts), func(part int) {
		it := r.walker(p, day, sp)
		defer it.Close()
		for i, s := range parts[part] {
			errs[part*rangesEach+i] = s.fill(it)
		}
	})
	return streams, errors.Join(errs...)
}

// meet looks up the objects of hits that were read ahead, several at a time, if whatever is found needs them: each may stand in
// another block.
func (r *reader) meet(p *plan, hits []hit) {
	if !p.metas {
		return
	}
	parallel(len(hits), len(hits)/minChunk, func(i int) {
		if p.allows(hits[i].Entry) {
			_, _ = r.encodedIdentity(hits[i].Object) // what fails, fails again when it is needed
		}
	})
}

// next takes the next hit of all streams.
func (m *merge) next(r *reader, p *plan, it *walker) (hit, error) {
	s := (*m)[0]
	h := s.hits[0]
	s.hits = s.hits[1:]
	if len(s.hits) == 0 && !s.done {
		if err := s.fill(it); err != nil {
			return hit{}, err
		}
		r.meet(p, s.hits)
	}
	if len(s.hits) == 0 {
		heap.Pop(m)
	} else {
		heap.Fix(m, 0)
	}
	return h, nil
}
