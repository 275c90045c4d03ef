package admin_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/admin"
	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// readExport reads an export's file, and returns it with the resourceVersions in it.
func readExport(t *testing.T, file []byte) (*archive.Reader, string) {
	t.Helper()
	r, err := archive.Open(t.Context(), strings.NewReader(string(file)), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	var rvs []string
	for rec, err := range r.Scan(t.Context(), history.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		rvs = append(rvs, rec.RV)
	}
	return r, strings.Join(rvs, " ")
}

// TestExport exports a directory that nobody uses, and one whose recorder runs, and reads what comes.
func TestExport(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(map[bool]string{false: "stopped", true: "running"}[running], func(t *testing.T) {
			dir, out := t.TempDir(), t.TempDir()
			s := open(t, dir)
			for _, r := range []history.Resource{{Version: "v1", Plural: "pods", Kind: "Pod"}, {Version: "v1", Plural: "nodes", Kind: "Node", ShortNames: []string{"no"}}} {
				if err := s.Register(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			record(t, s, 1, 3)
			between := time.Now()
			record(t, s, 4, 2)
			if running {
				serve(t, dir, s)
			} else if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(out, "some.whx")
			_, said := must(t, dir, "export", file, "--start", between.Format(time.RFC3339Nano), "--resource", "Pod", "-n", "shop")
			if !strings.Contains(said, "exported 2 versions, 1 that stood before, 0 gaps, from "+between.Format(time.RFC3339)) &&
				!strings.Contains(said, "exported 2 versions, 1 that stood before, 0 gaps, from "+between.UTC().Format(time.RFC3339)) {
				t.Errorf("it says %q", said)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, rvs := readExport(t, b)
			if h := r.Header(); rvs != "4 5" || h.MadeBy != "test/1" || !h.Start.Equal(between) || h.Namespace != "shop" || len(h.Resources) != 1 || h.Resources[0] != "pods" {
				t.Errorf("%q, %+v", rvs, h)
			}
			streamed, said := must(t, dir, "export", "-", "--start", "52w")
			if _, rvs := readExport(t, []byte(streamed)); rvs != "1 2 3 4 5" || !strings.HasPrefix(said, "history begins at ") {
				t.Errorf("streamed %q, and said %q", rvs, said)
			}
			streamed, _ = must(t, dir, "export", "-", "--start", "1h", "--end", "0s", "--resource", "no")
			if r, rvs := readExport(t, []byte(streamed)); rvs != "" || r.Counts() != (archive.Counts{}) {
				t.Errorf("nodes: %q", rvs)
			}
			for _, of := range []struct {
				args []string
				says string
			}{
				{nil, "say with --start where the range begins"},
				{[]string{"--start", "soon"}, `--start "soon" is no duration`},
				{[]string{"--start", "2h", "--end", "soon"}, `--end "soon" is no duration`},
				{[]string{"--start", "1h", "--end", "2h"}, "nothing lies between --start"},
				{[]string{"--start", "2100-01-01T00:00:00Z"}, "in the future"},
				{[]string{"--start", "20d", "--end", "19d"}, "no history in the range: history begins at"},
				{[]string{"--start", "1h", "--resource", "pods,widgets"}, `nothing was ever recorded that is called "widgets"`},
			} {
				_, _, err := run(t, nil, dir, append([]string{"export", filepath.Join(out, "none.whx")}, of.args...)...)
				if history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), of.says) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%v: %v", of.args, err)
				}
			}
			if names, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(names) != 1 {
				t.Errorf("left behind: %v, %v", names, err)
			}
			if hidden, err := filepath.Glob(filepath.Join(out, ".*")); err != nil || len(hidden) > 0 {
				t.Errorf("left behind: %v, %v", hidden, err)
			}
		})
	}
}

// TestAnExportThatBreaksOffLeavesNothing breaks the recorder's disk, and interrupts.
func TestAnExportThatBreaksOffLeavesNothing(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	serve(t, dir, damagedLog{})
	_, _, err := run(t, nil, dir, "export", filepath.Join(out, "file"), "--start", "1h")
	if history.CodeOf(err) != history.Unavailable {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := runIn(ctx, nil, dir, "export", filepath.Join(out, "file"), "--start", "1h"); err == nil || admin.ExitCode(err) != 1 {
		t.Errorf("interrupted: %v", err)
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestExportOfADirectoryThatWasLongLeftAlone exports what was recorded longer ago than any recorder would keep it by now. Nobody has
// dropped it, so it is all there.
func TestExportOfADirectoryThatWasLongLeftAlone(t *testing.T) {
	dir := t.TempDir()
	now := time.Now().Add(-60 * 24 * time.Hour)
	s, err := store.Open(dir, store.Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	record(t, s, 1, 3)
	now = now.Add(48 * time.Hour)
	record(t, s, 4, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	streamed, said := must(t, dir, "export", "-", "--start", "52w")
	r, rvs := readExport(t, []byte(streamed))
	first := now.Add(-48 * time.Hour).UTC().Truncate(24 * time.Hour)
	if rvs != "1 2 3 4 5" || !r.Header().Start.Equal(first) || !strings.HasPrefix(said, "history begins at "+first.Format(time.RFC3339)) {
		t.Errorf("exported %q from %v, and said %q", rvs, r.Header().Start, said)
	}
	streamed, _ = must(t, dir, "export", "-", "--start", now.Add(-time.Hour).Format(time.RFC3339))
	if r, rvs := readExport(t, []byte(streamed)); r.Counts().Versions != 2 || r.Counts().Baselines != 1 {
		t.Errorf("of the end it exported %q: %+v", rvs, r.Counts())
	}
}
