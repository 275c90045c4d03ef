package load

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Truth writes accepted writes as JSON lines and counts them. It is safe for
// concurrent use.
type Truth struct {
	mu      sync.Mutex // guards the fields below
	buffer  *bufio.Writer
	encoder *json.Encoder
	counts  map[string]int
}

// NewTruth returns a Truth that writes to w. Writes are buffered until Flush.
func NewTruth(w io.Writer) *Truth {
	buffer := bufio.NewWriter(w)
	return &Truth{buffer: buffer, encoder: json.NewEncoder(buffer), counts: map[string]int{}}
}

// Add writes one write. It is a sink for Run.
func (t *Truth) Add(w Write) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts[w.Verb]++
	return t.encoder.Encode(w)
}

// Count returns how many writes with a verb were added.
func (t *Truth) Count(verb string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[verb]
}

// Flush writes the buffer to the writer.
func (t *Truth) Flush() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buffer.Flush()
}

// ReadTruth reads the output of a Truth.
func ReadTruth(r io.Reader) ([]Write, error) {
	var writes []Write
	decoder := json.NewDecoder(r)
	for {
		var w Write
		err := decoder.Decode(&w)
		if errors.Is(err, io.EOF) {
			return writes, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read truth after %d writes: %w", len(writes), err)
		}
		writes = append(writes, w)
	}
}
