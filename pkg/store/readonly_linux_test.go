package store_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestInspect_OnAReadOnlyVolume reads, verifies and backs up a log on a volume that is mounted for reading only, whole and damaged.
func TestInspect_OnAReadOnlyVolume(t *testing.T) {
	onVolume(t, "160m", func(volume string) {
		t.TempDir() // which what makes the records has to find until it ends
		dir := filepath.Join(volume, "log")
		s := open(t, dir, store.Options{})
		load(t, s, records(t, 40), 400)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, damaged := range []bool{false, true} {
			if damaged {
				path := filepath.Join(dir, onlyTable(t, dir))
				flip(t, path, size(t, path)/2)
			}
			if err := syscall.Mount("", volume, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(dir, store.Options{}); history.CodeOf(err) != history.Invalid {
				t.Errorf("opened for writing: %v", err)
			}
			inspected(t, dir, damaged)
			if err := syscall.Mount("", volume, "", syscall.MS_REMOUNT, ""); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func inspected(t *testing.T, dir string, damaged bool) {
	t.Helper()
	i, err := store.Inspect(t.Context(), dir, store.Options{})
	if err != nil {
		t.Errorf("damaged %v: %v", damaged, err)
		return
	}
	v := verified(t, i.Store)
	lost, _ := i.Report().Lost()
	if i.Report().Damaged() != damaged || int(v.Versions)+lost != 400 || lost > 0 != damaged {
		t.Errorf("damaged %v: %d versions, and the report %+v; want 400 with those that are lost", damaged, v.Versions, i.Report())
	}
	backedUp(t, i.Store, store.Position{})
	if err := i.Append(t.Context(), &history.Batch{Records: []*history.Record{pod("web", "1", history.Create)}}); err == nil {
		t.Error("it took a record")
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
}
