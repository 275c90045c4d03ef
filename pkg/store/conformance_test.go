package store_test

import (
	"cmp"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/rig/storetest"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestConformance checks that BadgerDB keeps what the log promises, and looks at each database afterwards, key by key.
func TestConformance(t *testing.T) {
	audited := map[string]bool{}
	storetest.Run(t, func(tb testing.TB, dir string, o storetest.Options) storetest.Log {
		tb.Helper()
		if !audited[dir] {
			audited[dir] = true
			tb.Cleanup(func() { audit(tb, dir, cmp.Or(o.Retention, store.DefaultRetention), false) })
		}
		return open(tb, dir, store.Options{Retention: o.Retention, Now: o.Now, MaxBytes: o.MaxBytes})
	})
}
