package scale_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// memory is what the process has resident, looked at ten times a second.
type memory struct {
	done  chan struct{}
	ended sync.WaitGroup

	mu              sync.Mutex // guards what follows
	own, whole, all int64      // bytes: the most without and with pages of the database, since most was called and ever
}

func watchMemory(t *testing.T, dir string) *memory {
	t.Helper()
	m := &memory{done: make(chan struct{})}
	m.ended.Go(func() {
		for tick := time.NewTicker(100 * time.Millisecond); ; {
			m.look(t, dir)
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

func (m *memory) look(t *testing.T, dir string) {
	t.Helper()
	all, database, err := recordertest.Own(dir)
	if err != nil {
		t.Error(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.own, m.whole, m.all = max(m.own, all-database), max(m.whole, all), max(m.all, all-database)
}

// most tells the most since it was called before.
func (m *memory) most() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	text := fmt.Sprintf("%.0f MB, and %.0f MB with pages of the database", float64(m.own)/1e6, float64(m.whole)/1e6)
	m.own, m.whole = 0, 0
	return text
}

// stop returns the most that there ever was without pages of the database.
func (m *memory) stop() int64 {
	select {
	case <-m.done:
	default:
		close(m.done)
	}
	m.ended.Wait()
	return m.all
}
