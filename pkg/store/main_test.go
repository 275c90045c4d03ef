package store_test

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		crashChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

// clock is a clock that is set by hand, and runs only when it is told to.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func open(t testing.TB, dir string, opts store.Options) *store.Store {
	t.Helper()
	opts.NoSync = true
	s, err := store.Open(dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func reopen(t testing.TB, s *store.Store, dir string, opts store.Options) *store.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir, opts)
}
