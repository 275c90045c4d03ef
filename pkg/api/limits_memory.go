package api

import (
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// blockBytes is the unit in which answers hold memory.
const blockBytes = 32 << 10

// memory bounds the bytes that answers hold until they are sent. It is safe for
// concurrent use.
type memory struct {
	most      int // bytes of all answers
	perClient int // bytes of one client's answers

	blocks    sync.Pool // of *[blockBytes]byte
	deflaters sync.Pool // of *flate.Writer

	mu   sync.Mutex // guards the fields below
	held int
	by   map[string]int // client
}

// newMemory returns a bound for all answers. One client gets at most half of
// it.
func newMemory(most int) *memory {
	return &memory{most: most, perClient: most / 2, by: map[string]int{}}
}

// check returns a [refusal] if no block is left for a client.
func (m *memory) check(client string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.checkLocked(client, blockBytes)
}

// take takes bytes, or returns a [refusal].
func (m *memory) take(client string, n int) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.checkLocked(client, n); err != nil {
		return err
	}
	m.addLocked(client, n)
	return nil
}

// exceed takes bytes that an answer can't do without.
func (m *memory) exceed(client string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(client, n)
}

// give returns bytes.
func (m *memory) give(client string, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.addLocked(client, -n)
}

func (m *memory) checkLocked(client string, n int) error {
	switch {
	case m.held+n > m.most:
		return errMemory
	case m.by[client]+n > m.perClient:
		return errShare
	default:
		return nil
	}
}

func (m *memory) addLocked(client string, n int) {
	m.held += n
	if m.by[client] += n; m.by[client] == 0 {
		delete(m.by, client)
	}
}

// use returns the bytes that answers hold.
func (m *memory) use() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.held
}

// block returns a block with any content.
func (m *memory) block() *[blockBytes]byte {
	b, _ := m.blocks.Get().(*[blockBytes]byte)
	if b == nil {
		b = new([blockBytes]byte)
	}
	return b
}

// putBlock makes a block available to others.
func (m *memory) putBlock(b *[blockBytes]byte) { m.blocks.Put(b) }

// deflater returns a compressor that writes to w. As many are in use as queries
// run.
func (m *memory) deflater(w io.Writer) *flate.Writer {
	if d, ok := m.deflaters.Get().(*flate.Writer); ok {
		d.Reset(w)
		return d
	}
	d, _ := flate.NewWriter(w, flate.BestSpeed) // fails only if the level is invalid
	return d
}

// putDeflater makes a compressor available to others.
func (m *memory) putDeflater(d *flate.Writer) { m.deflaters.Put(d) }
