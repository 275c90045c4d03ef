package store_test

import (
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestScan_SkipsDaysBeforeTheOldestVersion checks that a scan by owner, which
// also looks for baselines before the retention, visits no empty days. Visiting
// every day since 1970 allocates an iterator for each of them.
func TestScan_SkipsDaysBeforeTheOldestVersion(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	r := pod("web", "1", history.Create)
	r.Owners = append(r.Owners, "owner")
	appendBatch(t, s, &history.Batch{Records: []*history.Record{r}})
	for _, name := range []string{"new", "reopened"} {
		scan := history.Scan{Filter: history.Filter{Owner: "owner"}}
		allocations := testing.AllocsPerRun(5, func() {
			if got := all(t, s, scan); len(got) != 1 {
				t.Fatalf("%s: got %d records, want 1", name, len(got))
			}
		})
		if most := 2000.0; allocations > most {
			t.Errorf("%s: got %v allocations, want at most %v", name, allocations, most)
		}
		s = reopen(t, s, dir, store.Options{})
	}
}
