package coalesce

import "sync"

// chunkPool lends chunks to the buffers of one dialer. It is safe for
// concurrent use.
type chunkPool struct {
	mu   sync.Mutex // guards the fields below, and lent and closed of all buffers
	lent int        // chunks, at most maxShared/chunkSize
	free [][]byte
}

// get lends an empty chunk to a buffer. It returns nil if too many are lent.
func (p *chunkPool) get(b *buffer) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent >= maxShared/chunkSize || b.closed {
		return nil
	}
	p.lent++
	b.lent++
	if n := len(p.free); n > 0 {
		c := p.free[n-1]
		p.free = p.free[:n-1]
		return c
	}
	return make([]byte, 0, chunkSize)
}

// put returns a chunk of a buffer to the pool.
func (p *chunkPool) put(b *buffer, c []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.closed {
		return
	}
	p.lent--
	b.lent--
	p.free = append(p.free, c[:0])
}

// close frees the share of a buffer. Its chunks are left to the garbage
// collector and not lent again, because a reader may still use them.
func (p *chunkPool) close(b *buffer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !b.closed {
		p.lent -= b.lent
		b.closed = true
	}
}

// buffer is a queue of bytes. It owns one chunk. All others are lent by the
// pool. It is for one goroutine, except for lent and closed, which the pool
// guards.
type buffer struct {
	pool   *chunkPool
	chunks [][]byte // in the order of the bytes; only the last one has room
	read   int      // bytes of the first chunk that were read
	lent   int
	closed bool
}

// space returns where to write more bytes. It returns nil if the buffer is
// full.
func (b *buffer) space() []byte {
	if len(b.chunks) == 0 {
		b.chunks = append(b.chunks, make([]byte, 0, chunkSize))
	}
	last := b.chunks[len(b.chunks)-1]
	if len(last) == cap(last) {
		if len(b.chunks) == MaxBuffered/chunkSize {
			return nil
		}
		if last = b.pool.get(b); last == nil {
			return nil
		}
		b.chunks = append(b.chunks, last)
	}
	return last[len(last):cap(last)]
}

// written adds the first n bytes of space to the buffer.
func (b *buffer) written(n int) {
	last := &b.chunks[len(b.chunks)-1]
	*last = (*last)[:len(*last)+n]
}

// empty reports whether all bytes were read.
func (b *buffer) empty() bool {
	return len(b.chunks) == 0 || len(b.chunks) == 1 && b.read == len(b.chunks[0])
}

// readInto moves bytes to p, and returns their number. The buffer must not be
// empty.
func (b *buffer) readInto(p []byte) int {
	first := b.chunks[0]
	n := copy(p, first[b.read:])
	if b.read += n; b.read < len(first) {
		return n
	}
	b.read = 0
	if len(b.chunks) == 1 {
		b.chunks[0] = first[:0]
		return n
	}
	b.chunks = append(b.chunks[:0], b.chunks[1:]...)
	b.pool.put(b, first)
	return n
}
