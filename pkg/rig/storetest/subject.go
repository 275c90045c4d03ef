package storetest

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// subject is a log under test, with its directory and a manual clock.
type subject struct {
	Log

	t    *testing.T
	open Open
	dir  string
	opts Options
	// today is the first day of the test's calendar. now is the clock's time.
	today, now time.Time
	// created has the creation time of each object's first version.
	created map[history.ObjectRef]time.Time
}

// newSubject opens an empty log. Its clock begins at noon, so that some hours
// are still the same day.
func newSubject(t *testing.T, open Open, o Options) *subject {
	t.Helper()
	s := &subject{
		t: t, open: open, dir: t.TempDir(), opts: o,
		today: time.Now().UTC().Truncate(aDay), created: map[history.ObjectRef]time.Time{},
	}
	s.now = s.noon(0)
	s.opts.Now = func() time.Time { return s.now }
	s.start()
	return s
}

// another opens another log with other options, for a subtest or in addition to
// this one.
func (s *subject) another(t *testing.T, o Options) *subject {
	t.Helper()
	return newSubject(t, s.open, o)
}

// start opens the log.
func (s *subject) start() {
	s.t.Helper()
	log := s.open(s.t, s.dir, s.opts)
	s.Log = log
	s.t.Cleanup(func() {
		if err := log.Close(); err != nil {
			s.t.Error(err)
		}
	})
}

// reopen closes the log and opens it again.
func (s *subject) reopen() {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.start()
}

// commit appends a batch. It sets the creation times of its records, as a log
// returns them: those of their objects' first versions.
func (s *subject) commit(b *history.Batch) {
	s.t.Helper()
	for _, r := range b.Versions {
		if _, known := s.created[r.Ref]; !known {
			s.created[r.Ref] = history.CreationTime(r.Object)
		}
		r.Created = s.created[r.Ref]
	}
	if err := s.Append(s.t.Context(), b); err != nil {
		s.t.Fatal(err)
	}
}

// put appends records as a batch.
func (s *subject) put(records ...*history.Record) {
	s.t.Helper()
	s.commit(&history.Batch{Versions: newVersions(records...)})
}

// newVersions returns records as they are appended, see newVersion.
func newVersions(records ...*history.Record) (list []history.NewVersion) {
	for _, r := range records {
		list = append(list, newVersion(r))
	}
	return list
}

// newVersion returns a record as it is appended: without the previous version,
// and with the hashes of none, one or two managed entries, depending on its RV.
func newVersion(r *history.Record) history.NewVersion {
	v := history.NewVersion{Record: r}
	n, _ := strconv.ParseUint(r.RV, 10, 64) // 0 if it is not a number
	for i := range n % 3 {
		v.ManagedHashes = append(v.ManagedHashes, n+i)
	}
	return v
}

// all returns the records of a scan.
func (s *subject) all(sc history.Scan) (list []*history.Record) {
	s.t.Helper()
	for r, err := range s.Scan(s.t.Context(), sc) {
		if err != nil {
			s.t.Fatalf("scan %+v: %v", sc, err)
		}
		list = append(list, r)
	}
	return list
}

// gaps returns the result of Gaps.
func (s *subject) gaps(start, end time.Time, of ...schema.GroupResource) []history.Gap {
	s.t.Helper()
	found, err := s.Gaps(s.t.Context(), of, start, end)
	if err != nil {
		s.t.Fatal(err)
	}
	return found
}

// heads returns a resource's heads by object.
func (s *subject) heads(of schema.GroupResource) map[history.ObjectRef]history.Head {
	s.t.Helper()
	found := map[history.ObjectRef]history.Head{}
	for h, err := range s.Heads(s.t.Context(), of) {
		if err != nil {
			s.t.Fatal(err)
		}
		if _, twice := found[h.Ref]; twice {
			s.t.Errorf("%s: got two heads, want one", h.Ref)
		}
		found[h.Ref] = h
	}
	return found
}

// checkpoint returns a resource's checkpoint.
func (s *subject) checkpoint(of schema.GroupResource) history.Checkpoint {
	s.t.Helper()
	c, err := s.Checkpoint(s.t.Context(), of)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// same checks a list of records.
func (s *subject) same(what string, want, got []*history.Record) {
	s.t.Helper()
	if len(want)+len(got) > 0 && !reflect.DeepEqual(want, got) {
		s.t.Errorf("%s (-want +got):\n%s", what, cmp.Diff(brief(want), brief(got)))
	}
}

// brief returns copies of records, with large objects replaced by a checksum.
func brief(records []*history.Record) (list []*history.Record) {
	for _, r := range records {
		c := *r
		if len(c.Object) > 1<<10 {
			c.Object = fmt.Appendf(nil, "%d bytes with checksum %x", len(c.Object), sha256.Sum256(c.Object))
		}
		list = append(list, &c)
	}
	return list
}

// read returns copies of records as reading them must return them.
func read(bodies bool, records ...*history.Record) (list []*history.Record) {
	for _, r := range records {
		c := *r
		if !bodies {
			c.Object = nil
		}
		list = append(list, &c)
	}
	return list
}

// pods is the resource of [version].
func pods() schema.GroupResource { return schema.GroupResource{Resource: "pods"} }

// version returns a version of a pod. All versions differ.
func version(name, rv string, verb history.Verb) *history.Record {
	return &history.Record{
		Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: name, UID: types.UID("uid-" + name)},
		Version: "v1", Kind: "Pod", Verb: verb, RV: rv,
		Object: fmt.Appendf(nil, `{"kind":"Pod","metadata":{"name":%q,"resourceVersion":%q}}`, name, rv),
	}
}

// noise returns bytes that don't compress. They depend only on the length.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(n >> 16)}).Read(b)
	return b
}

const aDay = 24 * time.Hour

// midnight returns the beginning of a day of the test's calendar. Day 0 is
// today.
func (s *subject) midnight(day int) time.Time { return s.today.Add(time.Duration(day) * aDay) }

// noon returns the middle of a day of the test's calendar.
func (s *subject) noon(day int) time.Time { return s.midnight(day).Add(aDay / 2) }

// concurrently calls write while some readers call read repeatedly. A reader
// stops when read returns false, or after one more call once write has
// returned.
func (s *subject) concurrently(readers int, read func(reader int) bool, write func()) {
	s.t.Helper()
	var wg sync.WaitGroup
	defer wg.Wait()
	var written atomic.Bool
	defer written.Store(true)
	for i := range readers {
		wg.Go(func() {
			for more := true; more; {
				more = !written.Load()
				more = read(i) && more
			}
		})
	}
	write()
}
