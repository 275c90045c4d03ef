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
	sizes     = flag.String("versions", "10000", "how many versions are recorded and asked for, one log after the other; make bench-storage takes 10000,100000,1000000")
	perObject = flag.Int("per-object", 50, "how many versions are recorded for each object that is alive at a time")
	queries   = flag.Int("queries", 20, "how often each question is asked")
)

// What the process may have resident while it records and while it answers, in bytes, without pages of the database: the recorder,
// the store, and the made-up cluster, which has 3 MB of it at 20,000 objects.
const mostResident = 256e6

// maxStorage is what the logs may take: enough for thirty million versions.
const maxStorage = 10 << 30

// days is the span of a log's versions.
const days = 10

// TestScale records versions of a made-up cluster, spread over ten days, through the recorder, opens the log again, and asks it in
// every way that it is asked in. It checks the answers against what was recorded, holds memory to a bound, and tells the times.
func TestScale(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(memlimit.GCPercent)) // this and the next as the recorder's program does
	go memlimit.Run(t.Context())
	for size := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(size)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(size, func(t *testing.T) { scaled(t, n) })
	}
}

func scaled(t *testing.T, n int) {
	t.Helper()
	l := &log{dir: t.TempDir(), n: n, truth: newTruth(n)}
	debug.FreeOSMemory() // what the tests before took
	m := watchMemory(t, l.dir)
	l.fill(t)
	t.Logf("recorded %d versions of %d objects alive, with %d bytes of JSON and %.0f on disk each, in %v (%.0f a second): resident at most %s",
		n, l.objects(), l.json/int64(n), float64(diskUse(t, l.dir))/float64(n), l.took.Round(time.Second), float64(n)/l.took.Seconds(), m.most())
	began := time.Now()
	s := l.open(t)
	t.Logf("opened it again in %v", time.Since(began).Round(time.Millisecond))
	l.check(t, s)
	ask(t, s, l)
	t.Logf("answered: resident at most %s", m.most())
	if most := m.stop(); most > mostResident && !raced {
		t.Errorf("%.0f MB were resident, want at most %.0f", float64(most)/1e6, mostResident/1e6)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// log is a database that is filled, and what is known of it.
type log struct {
	dir   string
	n     int
	now   atomic.Int64 // the clock of whoever writes, in nanoseconds since 1970
	took  time.Duration
	json  int64 // bytes that the API server sent
	truth truth
	start time.Time
}

// objects is how many are alive at a time.
func (l *log) objects() int { return max(100, l.n / *perObject) }

func (l *log) open(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(l.dir, store.Options{MaxBytes: maxStorage, Now: func() time.Time { return time.Unix(0, l.now.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func (l *log) fill(t *testing.T) {
	t.Helper()
	l.start = time.Now().Add(-days * 24 * time.Hour)
	cluster := sample.New(sample.Options{
		Seed: 1, Objects: l.objects(), Start: l.start, Every: days * 24 * time.Hour / time.Duration(l.n),
	})
	l.now.Store(l.start.UnixNano())
	s := l.open(t)
	feed := sample.NewFeed(t.Context(), s, func() time.Time { return time.Unix(0, l.now.Load()) })
	began := time.Now()
	for range l.n {
		f := cluster.Next()
		l.now.Store(cluster.Now().UnixNano())
		l.json += int64(len(f.Object))
		l.truth.note(f)
		if err := feed.Record(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if err := feed.Close(); err != nil {
		t.Fatal(err)
	}
	l.took = time.Since(began)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// check compares the log with the truth.
func (l *log) check(t *testing.T, s *store.Store) {
	t.Helper()
	if n, exact, err := s.Count(t.Context(), history.Filter{}, l.n+1); n != l.n || !exact || err != nil {
		t.Errorf("%d versions are in the log of %d (%v, %v)", n, l.n, exact, err)
	}
	for uid, want := range l.truth.of {
		var got []string
		for r, err := range s.Scan(t.Context(), history.Scan{Filter: history.Filter{UID: uid}, Bodies: true}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, r.RV)
			if !bytes.Contains(r.Object, fmt.Appendf(nil, `"resourceVersion":%q`, r.RV)) {
				t.Errorf("version %s of %s has another one's object", r.RV, r.Ref)
			}
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%s has the versions %v, want %v", uid, got, want)
		}
	}
}
