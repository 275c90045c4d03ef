package store_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestPruneOnAFullVolume drops a day whose last versions take more than the volume has left: pruning says so, where Badger would end
// the process, and goes on once there is room.
func TestPruneOnAFullVolume(t *testing.T) {
	onVolume(t, "600m", func(volume string) {
		c := &clock{noon(0)}
		s := open(t, filepath.Join(volume, "log"), store.Options{Now: c.now, Retention: 24 * time.Hour})
		const objects = 90
		for i := range objects {
			r := pod(fmt.Sprint("large-", i), "1", history.Create)
			r.Object = random(1<<20 + i)
			appendTo(t, s, r)
		}
		c.t = noon(1)
		appendTo(t, s, pod("other", "2", history.Create))
		c.t = noon(3)
		free, err := s.Free()
		if err != nil {
			t.Fatal(err)
		}
		leave := func(left int64) {
			if err := syscall.Mount("", volume, "", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", 600<<20-free+left)); err != nil {
				t.Fatal(err)
			}
		}
		leave(100 << 20)
		if err := s.Prune(t.Context()); history.CodeOf(err) != history.Unavailable {
			t.Errorf("pruned: %v", err)
		}
		leave(400 << 20)
		if err := s.Prune(t.Context()); err != nil || s.Usage().Dropped[store.ByAge].Days != 1 {
			t.Fatalf("%v, %+v", err, s.Usage())
		}
		for i := range objects {
			if got := asOf(t, s, fmt.Sprint("large-", i), c.t); got != "1" {
				t.Errorf("object %d is %q", i, got)
			}
		}
		verified(t, s)
	})
}
