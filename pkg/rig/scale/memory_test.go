package scale_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// memory samples the resident memory of the process ten times per second.
type memory struct {
	done  chan struct{}
	ended sync.WaitGroup

	mu    sync.Mutex // guards the maxima, in bytes
	own   int64      // without pages of the database, since the last call of maxima
	whole int64      // with pages of the database, since the last call of maxima
	ever  int64      // without pages of the database
}

// watchMemory samples until the test ends or stop is called.
func watchMemory(t *testing.T, dir string) *memory {
	t.Helper()
	m := &memory{done: make(chan struct{})}
	m.ended.Go(func() {
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			m.sample(t, dir)
			select {
			case <-tick.C:
			case <-m.done:
				tick.Stop()
				return
			}
		}
	})
	t.Cleanup(func() { m.stop() })
	return m
}

// sample updates the maxima.
func (m *memory) sample(t *testing.T, dir string) {
	t.Helper()
	all, database, err := recordertest.Own(dir)
	if err != nil {
		t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own, m.whole, m.ever = max(m.own, all-database), max(m.whole, all), max(m.ever, all-database)
}

// maxima returns the maxima since the last call, as text.
func (m *memory) maxima() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := fmt.Sprintf("%.0f MB, and %.0f MB with pages of the database", float64(m.own)/1e6, float64(m.whole)/1e6)
	m.own, m.whole = 0, 0
	return text
}

// stop stops sampling. It returns the maximum without pages of the database, in
// bytes.
func (m *memory) stop() int64 {
	select {
	case <-m.done:
	default:
		close(m.done)
	}
	m.ended.Wait()
	return m.ever
}
