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

// readExport opens an export, and returns it with the resourceVersions of its
// records.
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

// TestExport_WritesSelection exports from a storage directory without a
// recorder, and from one with a running recorder.
func TestExport_WritesSelection(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(map[bool]string{false: "stopped", true: "running"}[running], func(t *testing.T) {
			dir, out := t.TempDir(), t.TempDir()
			s := open(t, dir)
			for _, r := range []history.Resource{
				{Version: "v1", Plural: "pods", Kind: "Pod"},
				{Version: "v1", Plural: "nodes", Kind: "Node", ShortNames: []string{"no"}},
			} {
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
			_, stderr := must(t, dir, "export", file, "--start", between.Format(time.RFC3339Nano),
				"--resource", "Pod", "-n", "shop")
			const counts = "exported 2 versions, 1 baselines, 0 gaps, from "
			if !strings.Contains(stderr, counts+between.Format(time.RFC3339)) &&
				!strings.Contains(stderr, counts+between.UTC().Format(time.RFC3339)) {
				t.Errorf("stderr: got %q, want 2 versions, 1 baseline and 0 gaps", stderr)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, rvs := readExport(t, b)
			if h := r.Header(); rvs != "4 5" || h.MadeBy != "test/1" || !h.Start.Equal(between) ||
				h.Namespace != "shop" || len(h.Resources) != 1 || h.Resources[0] != "pods" {
				t.Errorf("got %q and header %+v, want 4 5 of pods in shop by test/1 from %v", rvs, h, between)
			}
			streamed, stderr := must(t, dir, "export", "-", "--start", "52w")
			if _, rvs := readExport(t, []byte(streamed)); rvs != "1 2 3 4 5" ||
				!strings.HasPrefix(stderr, "the history starts at ") {
				t.Errorf("got %q and stderr %q, want 1 2 3 4 5 and the start of the history", rvs, stderr)
			}
			streamed, _ = must(t, dir, "export", "-", "--start", "1h", "--end", "0s", "--resource", "no")
			if r, rvs := readExport(t, []byte(streamed)); rvs != "" || r.Counts() != (archive.Counts{}) {
				t.Errorf("nodes: got %q and %+v, want nothing", rvs, r.Counts())
			}
			for _, tt := range []struct {
				args []string
				want string
			}{
				{nil, "--start is required"},
				{[]string{"--start", "soon"}, `--start "soon" is not a time`},
				{[]string{"--start", "2h", "--end", "soon"}, `--end "soon" is not a time`},
				{[]string{"--start", "1h", "--end", "2h"}, ") is not before --end ("},
				{[]string{"--start", "2100-01-01T00:00:00Z"}, "in the future"},
				{[]string{"--start", "20d", "--end", "19d"}, "no history in the range: history begins at"},
				{
					[]string{"--start", "1h", "--resource", "pods,widgets"},
					`no resource matching "widgets" was ever recorded`,
				},
			} {
				_, _, err := run(t, nil, dir, append([]string{"export", filepath.Join(out, "none.whx")}, tt.args...)...)
				if history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), tt.want) ||
					strings.Contains(err.Error(), "\n") {
					t.Errorf("%v: got error %v, want an invalid one with %q", tt.args, err, tt.want)
				}
			}
			if names, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(names) != 1 {
				t.Errorf("files: got %v and error %v, want only the export", names, err)
			}
			if hidden, err := filepath.Glob(filepath.Join(out, ".*")); err != nil || len(hidden) > 0 {
				t.Errorf("temporary files: got %v and error %v, want none", hidden, err)
			}
		})
	}
}

// TestExport_LeavesNoFileOnFailure exports from a recorder whose disk fails,
// and interrupts an export.
func TestExport_LeavesNoFileOnFailure(t *testing.T) {
	dir, out := t.TempDir(), t.TempDir()
	serve(t, dir, damagedLog{})
	_, _, err := run(t, nil, dir, "export", filepath.Join(out, "file"), "--start", "1h")
	if history.CodeOf(err) != history.Unavailable {
		t.Errorf("got error %v, want code %v", err, history.Unavailable)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := runIn(ctx, nil, dir, "export", filepath.Join(out, "file"), "--start", "1h"); err == nil ||
		admin.ExitCode(err) != 1 {
		t.Errorf("interrupted: got error %v with exit code %d, want code 1", err, admin.ExitCode(err))
	}
	if left, err := os.ReadDir(out); err != nil || len(left) > 0 {
		t.Errorf("files: got %v and error %v, want none", left, err)
	}
}

// TestExport_IgnoresRetention exports records that are older than the retention
// of any recorder. No recorder dropped them, so all are exported.
func TestExport_IgnoresRetention(t *testing.T) {
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
	streamed, stderr := must(t, dir, "export", "-", "--start", "52w")
	r, rvs := readExport(t, []byte(streamed))
	first := now.Add(-48 * time.Hour).UTC().Truncate(24 * time.Hour)
	if rvs != "1 2 3 4 5" || !r.Header().Start.Equal(first) ||
		!strings.HasPrefix(stderr, "the history starts at "+first.Format(time.RFC3339)) {
		t.Errorf("got %q from %v and stderr %q, want 1 2 3 4 5 from %v", rvs, r.Header().Start, stderr, first)
	}
	streamed, _ = must(t, dir, "export", "-", "--start", now.Add(-time.Hour).Format(time.RFC3339))
	if r, rvs := readExport(t, []byte(streamed)); r.Counts().Versions != 2 || r.Counts().Baselines != 1 {
		t.Errorf("end of the range: got %q and %+v, want 2 versions and 1 baseline", rvs, r.Counts())
	}
}
