package store_test

import (
	"cmp"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/watchhistory/watchhistory/pkg/rig/storetest"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if os.Getenv(crashPruning) != "" {
			pruneChild(dir)
		} else {
			crashChild(dir)
		}
		return
	}
	if dir := os.Getenv(damagedDir); dir != "" {
		damagedChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// clock is a clock that tests set.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func open(tb testing.TB, dir string, opts store.Options) *store.Store {
	tb.Helper()
	opts.NoSync = true
	s, err := store.Open(dir, opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func reopen(tb testing.TB, s *store.Store, dir string, opts store.Options) *store.Store {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
	return open(tb, dir, opts)
}

// TestStore_Conformance checks that the store keeps the promises of a log, and
// audits each database key by key afterwards.
func TestStore_Conformance(t *testing.T) {
	var audited sync.Map // directories
	storetest.Run(t, func(tb testing.TB, dir string, o storetest.Options) storetest.Log {
		tb.Helper()
		if _, again := audited.LoadOrStore(dir, true); !again {
			tb.Cleanup(func() { audit(tb, dir, cmp.Or(o.Retention, store.DefaultRetention), false) })
		}
		return open(tb, dir, store.Options{Retention: o.Retention, Now: o.Now, MaxBytes: o.MaxBytes})
	})
}
