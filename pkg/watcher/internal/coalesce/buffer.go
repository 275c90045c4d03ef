package coalesce

import "sync"

// pool lends chunks to the buffers of one dialer, and keeps those that are
// given back.
type pool struct {
	mu   sync.Mutex // guards the fields below, and lent and closed of the buffers
	lent int
	free [][]byte
}

// lend returns an empty chunk, nil if too many are lent.
func (p *pool) lend(b *buffer) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent >= shared/chunk || b.closed {
		return nil
	}
	p.lent++
	b.lent++
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	return make([]byte, 0, chunk)
}

// giveBack takes a chunk from a buffer that has more than its own.
func (p *pool) giveBack(b *buffer, c []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.closed {
		return
	}
	p.lent--
	b.lent--
	p.free = append(p.free, c[:0])
}

// close writes off what was lent to a buffer. Someone may still read into it,
// so that memory is not lent again.
func (p *pool) close(b *buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !b.closed {
		p.lent -= b.lent
		b.closed = true
	}
}

// buffer is a queue of bytes. One chunk is its own, the others are lent.
type buffer struct {
	pool   *pool
	chunks [][]byte // filled in this order
	taken  int      // bytes of the first chunk that were taken
	lent   int
	closed bool
}

// room returns where to put more bytes, nil if there is no room.
func (b *buffer) room() []byte {
	if len(b.chunks) == 0 {
		b.chunks = append(b.chunks, make([]byte, 0, chunk))
	}
	last := b.chunks[len(b.chunks)-1]
	if len(last) == cap(last) {
		if len(b.chunks) == Ahead/chunk {
			return nil
		}
		if last = b.pool.lend(b); last == nil {
			return nil
		}
		b.chunks = append(b.chunks, last)
	}
	return last[len(last):cap(last)]
}

// filled notes that so many bytes were put into the room.
func (b *buffer) filled(n int) {
	last := &b.chunks[len(b.chunks)-1]
	*last = (*last)[:len(*last)+n]
}

// empty reports whether all bytes were taken.
func (b *buffer) empty() bool {
	return len(b.chunks) == 0 || len(b.chunks) == 1 && b.taken == len(b.chunks[0])
}

// take moves bytes to p.
func (b *buffer) take(p []byte) int {
	first := b.chunks[0]
	n := copy(p, first[b.taken:])
	if b.taken += n; b.taken < len(first) {
		return n
	}
	b.taken = 0
	if len(b.chunks) == 1 {
		b.chunks[0] = first[:0]
		return n
	}
	b.chunks = append(b.chunks[:0], b.chunks[1:]...)
	b.pool.giveBack(b, first)
	return n
}
