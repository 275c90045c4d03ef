package archive_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "rewrite the fixtures")

// clock is a manual clock.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

// world is a log of a sample cluster of three days, with gaps.
type world struct {
	*store.Store

	clock *clock
	begin time.Time
}

// newWorld records 3,000 versions in small batches. The retention drops the
// first day, so some objects have only a baseline.
func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{begin: time.Now().UTC().Truncate(24 * time.Hour).Add(-72*time.Hour + 5*time.Hour)}
	w.clock = &clock{w.begin}
	s, err := store.Open(tb.TempDir(), store.Options{NoSync: true, Now: w.clock.now, Retention: 50 * time.Hour})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	w.Store = s
	c := sample.New(sample.Options{Seed: 4, Objects: 150, Start: w.begin, Every: time.Minute})
	idle := history.Resource{Group: "idle.example.com", Version: "v1", Plural: "idles", Kind: "Idle"}
	for _, r := range append(c.Resources(), idle) {
		if err := s.Register(tb.Context(), r); err != nil {
			tb.Fatal(err)
		}
	}
	const versions = 3000
	gaps := []history.Gap{ // in the order of their ends
		{Resource: "nodes", Start: w.at(30), Reason: history.GapForbidden},
		{Resource: "pods", Start: w.at(28), End: w.at(32), Reason: history.GapExpired, Detail: "too old: \xff"},
		{Resource: "pods", Start: w.at(50), End: w.at(51), Reason: history.GapRestarted},
		{
			Group: "apps", Resource: "deployments", Start: w.at(40),
			End: w.at(60), Reason: history.GapDisconnected, Detail: "away",
		},
	}
	for b := range sample.Batches(tb, func(yield func(sample.WatchEvent) bool) {
		for range versions {
			if !yield(c.Next()) {
				return
			}
		}
	}) {
		for r := b.Versions; len(r) > 0; {
			n := min(len(r), 5)
			w.clock.t = w.clock.t.Add(time.Duration(n) * 80 * time.Second)
			w.append(tb, &history.Batch{Versions: r[:n]})
			if len(gaps) > 0 && w.clock.t.After(gaps[0].End) && w.clock.t.After(gaps[0].Start) {
				w.append(tb, &history.Batch{Gaps: gaps[:1]})
				gaps = gaps[1:]
			}
			r = r[n:]
		}
	}
	if err := s.Prune(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return w
}

// at returns the time hours after the beginning.
func (w *world) at(hours float64) time.Time {
	return w.begin.Add(time.Duration(hours * float64(time.Hour)))
}

func (w *world) append(tb testing.TB, b *history.Batch) {
	tb.Helper()
	if err := w.Append(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
}

// export exports an extent. It returns the file and the extent that it
// contains.
func (w *world) export(tb testing.TB, of history.Extent) ([]byte, history.Extent) {
	tb.Helper()
	var b bytes.Buffer
	var cut history.Extent
	err := w.Excerpt(tb.Context(), of, func(e *history.Excerpt) error {
		cut = e.Extent
		_, err := archive.Write(&b, e, "a test", w.clock.t, nil)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes(), cut
}

// read opens an export. It checks that Close removes all files.
func read(tb testing.TB, file []byte) *archive.Reader {
	tb.Helper()
	dir := tb.TempDir()
	r, err := archive.Open(tb.Context(), bytes.NewReader(file), dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
			tb.Errorf("got the files %v, error %v, want none left", left, err)
		}
	})
	return r
}

// readError returns the error of opening a file. It checks that no file is
// left.
func readError(tb testing.TB, file io.Reader) error {
	tb.Helper()
	dir := tb.TempDir()
	r, err := archive.Open(tb.Context(), file, dir, nil)
	if err == nil {
		tb.Error(errors.Join(errors.New("got no error, want one"), r.Close()))
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		tb.Errorf("got the files %v, error %v, want none left", left, err)
	}
	return err
}

func resource(text string) schema.GroupResource { return schema.ParseGroupResource(text) }

func moment(tb testing.TB, text string) time.Time {
	tb.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		tb.Fatal(err)
	}
	return at.UTC()
}
