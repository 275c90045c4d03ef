package scale_test

import (
	"bytes"
	"flag"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/memlimit"
	"github.com/watchhistory/watchhistory/pkg/rig/sample"
	"github.com/watchhistory/watchhistory/pkg/store"
)

var (
	sizes = flag.String("versions", "10000",
		"numbers of versions, one log for each; make bench-storage uses 10000,100000,1000000")
	perObject = flag.Int("per-object", 50, "number of versions per existing object")
	queries   = flag.Int("queries", 20, "number of runs of each query")
)

// maxResident limits the resident memory while the process records and answers,
// in bytes, without pages of the database. It includes the recorder, the store,
// and the generated cluster, which takes 3 MB for 20,000 objects.
const maxResident = 256e6

// maxStorage limits the size of a log, in bytes. It is enough for thirty
// million versions.
const maxStorage = 10 << 30

// days is the time span of a log's versions.
const days = 10

// TestScale_AnswersWithinMemoryLimit records versions of a generated cluster,
// spread over ten days, opens the log again, and runs every kind of query. It
// checks the answers and the memory, and logs the times.
func TestScale_AnswersWithinMemoryLimit(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(memlimit.GCPercent)) // this and the next line as in the recorder's main
	go memlimit.Run(t.Context())
	for size := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		if testing.Short() {
			n = min(n, 3000)
		}
		t.Run(fmt.Sprint(n), func(t *testing.T) { testSize(t, n) })
	}
}

// testSize is the test for one number of versions.
func testSize(t *testing.T, n int) {
	t.Helper()
	l := &log{dir: t.TempDir(), n: n, expected: newExpected(n)}
	debug.FreeOSMemory() // returns the memory of the previous tests
	m := watchMemory(t, l.dir)
	l.fill(t)
	t.Logf("recorded %d versions of %d objects, with %d bytes of JSON and %.0f on disk each, "+
		"in %v (%.0f per second): at most %s resident",
		n, l.objects(), l.json/int64(n), float64(diskUse(t, l.dir))/float64(n),
		l.elapsed.Round(time.Second), float64(n)/l.elapsed.Seconds(), m.maxima())
	start := time.Now()
	s := l.open(t)
	t.Logf("opened the log in %v", time.Since(start).Round(time.Millisecond))
	l.check(t, s)
	measureQueries(t, s, l)
	t.Logf("queried: at most %s resident", m.maxima())
	if most := m.stop(); most > maxResident && !raceEnabled {
		t.Errorf("got %.0f MB resident, want at most %.0f", float64(most)/1e6, maxResident/1e6)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// log is a database to fill, with the versions that it must contain.
type log struct {
	dir      string
	n        int
	now      atomic.Int64 // clock of the writers, in nanoseconds since 1970
	elapsed  time.Duration
	json     int64 // bytes that the API server sent
	expected expected
	start    time.Time
}

// objects returns the number of objects that exist at the same time.
func (l *log) objects() int { return max(100, l.n / *perObject) }

// open opens the store until the test ends.
func (l *log) open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(l.dir,
		store.Options{MaxBytes: maxStorage, Now: func() time.Time { return time.Unix(0, l.now.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// fill records n versions and closes the store.
func (l *log) fill(t *testing.T) {
	t.Helper()
	l.start = time.Now().Add(-days * 24 * time.Hour)
	cluster := sample.New(sample.Options{
		Seed: 1, Objects: l.objects(), Start: l.start, Every: days * 24 * time.Hour / time.Duration(l.n),
	})
	l.now.Store(l.start.UnixNano())
	s := l.open(t)
	feed := sample.NewFeed(t.Context(), s, func() time.Time { return time.Unix(0, l.now.Load()) })
	start := time.Now()
	for range l.n {
		f := cluster.Next()
		l.now.Store(cluster.Now().UnixNano())
		l.json += int64(len(f.Object))
		l.expected.note(f)
		if err := feed.Record(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	l.elapsed = time.Since(start)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// check compares the versions in the log with the expected ones.
func (l *log) check(t *testing.T, s *store.Store) {
	t.Helper()
	if n, exact, err := s.Count(t.Context(), history.Filter{}, l.n+1); n != l.n || !exact || err != nil {
		t.Errorf("got %d versions (exact %t, error %v), want %d", n, exact, err, l.n)
	}
	for uid, want := range l.expected.of {
		var got []string
		for r, err := range s.Scan(t.Context(), history.Scan{Filter: history.Filter{UID: uid}, Bodies: true}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.RV)
			if !bytes.Contains(r.Object, fmt.Appendf(nil, `"resourceVersion":%q`, r.RV)) {
				t.Errorf("version %s of %s: got the object of another version", r.RV, r.Ref)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s: got versions %v, want %v", uid, got, want)
		}
	}
}
