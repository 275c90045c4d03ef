package recorder_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

var replicaSets = history.Resource{
	Group: "apps", Version: "v1", Plural: "replicasets", Kind: "ReplicaSet", Singular: "replicaset", Namespaced: true,
}

// manifest returns the JSON of an object of any kind. The UID of an owner is
// optional.
func manifest(r history.Resource, name string, rv int, owner string) string {
	owners := ""
	if owner != "" {
		owners = fmt.Sprintf(`,"ownerReferences":[{"apiVersion":"v1","kind":"Owner","name":"owner","uid":%q}]`, owner)
	}
	return fmt.Sprintf(`{"kind":%q,"apiVersion":"v1",`+
		`"metadata":{"name":%q,"namespace":"shop","uid":"uid-%s-%s","resourceVersion":"%d"%s}}`,
		r.Kind, name, r.Plural, name, rv, owners)
}

// synced returns a stream of a resource that had no objects at a
// resourceVersion.
func (w *world) synced(r history.Resource, rv int) *recorder.Stream {
	w.t.Helper()
	s := w.stream(r)
	w.feed(s, "sync", fmt.Sprint("end ", rv))
	return s
}

// all restarts the recorder and returns the records of all resources.
func (w *world) all() (records []*history.Record) {
	w.t.Helper()
	w.restart()
	for record, err := range w.store.Scan(w.t.Context(), history.Scan{}) {
		if err != nil {
			w.t.Fatal(err)
		}
		records = append(records, record)
	}
	return records
}

// rvs returns the records as "plural/name@rv".
func rvs(records []*history.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s/%s@%s", r.Ref.Resource, r.Ref.Name, r.RV))
	}
	return strings.Join(all, " ")
}

// arrival is a watch event that a stream will get.
type arrival struct {
	at    time.Duration
	rv    int
	event history.WatchEvent
}

// deliver passes watch events to a stream at their times.
func deliver(ctx context.Context, s *recorder.Stream, began time.Time, arrivals []arrival) error {
	for _, a := range arrivals {
		time.Sleep(a.at - time.Since(began))
		if err := s.Observe(ctx, a.event); err != nil {
			return err
		}
	}
	return nil
}

// schedule makes random writes to the resources. It returns when each watch
// event arrives: up to skew after the write, and in order within a resource.
func schedule(random *rand.Rand, resources []history.Resource, writes int, skew time.Duration) [][]arrival {
	arrivals := make([][]arrival, len(resources))
	now, newest := time.Duration(0), make([]time.Duration, len(resources))
	for rv := 100; rv < 100+writes; rv++ {
		now += time.Duration(random.Int64N(int64(10 * time.Millisecond)))
		if random.IntN(100) == 0 {
			now += 2 * time.Second // silence
		}
		i := random.IntN(len(resources))
		newest[i] = max(newest[i], now+time.Duration(random.Int64N(int64(skew))))
		sign := "+"
		name := fmt.Sprint("o", rv)
		if n := len(arrivals[i]); n > 0 && random.IntN(2) == 0 {
			sign, name = "~", fmt.Sprint("o", arrivals[i][0].rv)
		}
		arrivals[i] = append(arrivals[i],
			arrival{newest[i], rv, watchEvent(sign, manifest(resources[i], name, rv, ""))})
	}
	return arrivals
}

// disconnect interrupts a watch at random. Watch events in between arrive
// together when the watch is resumed.
func disconnect(random *rand.Rand, arrivals []arrival) (cuts []time.Duration) {
	if len(arrivals) == 0 {
		return nil
	}
	end := arrivals[len(arrivals)-1].at
	for at := time.Duration(0); at < end; {
		at += time.Second + time.Duration(random.Int64N(int64(4*time.Second)))
		back := at + time.Duration(random.Int64N(int64(500*time.Millisecond)))
		cuts = append(cuts, at, back)
		for i := range arrivals {
			if arrivals[i].at >= at && arrivals[i].at < back {
				arrivals[i].at = back
			}
		}
		at = back
	}
	return cuts
}

// lull is how long a resumed watch is silent after it has delivered all missed
// changes.
const lull = 75 * time.Millisecond

// watch is a minimal watcher. It passes watch events to a stream, and pauses
// and resumes it.
func watch(ctx context.Context, s *recorder.Stream, began time.Time, arrivals []arrival, cuts []time.Duration) error {
	settled := true
	for {
		next := time.Hour
		if len(arrivals) > 0 {
			next = arrivals[0].at
		}
		quiet := time.Since(began) + lull
		switch {
		case !settled && quiet < next && (len(cuts) == 0 || quiet < cuts[0]):
			time.Sleep(lull)
			if err := s.CaughtUp(ctx); err != nil {
				return err
			}
			settled = true
		case len(cuts) > 0 && cuts[0] <= next:
			time.Sleep(cuts[0] - time.Since(began))
			s.Pause()
			time.Sleep(cuts[1] - time.Since(began))
			s.Resume()
			cuts, settled = cuts[2:], false
		case len(arrivals) == 0:
			return nil
		default:
			if err := deliver(ctx, s, began, arrivals[:1]); err != nil {
				return err
			}
			arrivals = arrivals[1:]
		}
	}
}

// TestOrder_FollowsResourceVersionsAcrossStreams delivers watch events of
// several watches out of order, by up to the skew that the recorder waits for,
// and interrupts the watches. The log contains all writes in their order.
func TestOrder_FollowsResourceVersionsAcrossStreams(t *testing.T) {
	warm(t)
	resources := []history.Resource{deployments, replicaSets, pods, events}
	for _, seed := range []uint64{1, 2, 3, rand.Uint64()} {
		for _, cut := range []bool{false, true} {
			t.Run(fmt.Sprintf("seed %d, cuts %t", seed, cut), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					random := rand.New(rand.NewPCG(seed, 0))
					w := open(t, recorder.Options{}, nil)
					arrivals := schedule(random, resources, 1000, 4*time.Millisecond)
					ended, began := make(chan error), time.Now().Add(time.Second)
					for i, r := range resources {
						s := w.synced(r, 99)
						var cuts []time.Duration
						if cut {
							cuts = disconnect(random, arrivals[i])
						}
						go func() { ended <- watch(t.Context(), s, began, arrivals[i], cuts) }()
					}
					for range resources {
						if err := <-ended; err != nil {
							t.Error(err)
						}
					}
					inOrder(t, w.all(), 1000)
				})
			})
		}
	}
}

// warm creates the state that all databases of a process share, so that none of
// it belongs to a synctest bubble.
func warm(t *testing.T) {
	t.Helper()
	w := open(t, recorder.Options{}, nil)
	w.feed(w.synced(pods, 1), "+a/u1@2")
	w.all()
}

// commits is a log that stores when records were committed.
type commits struct {
	recorder.Log

	began time.Time
	mu    sync.Mutex // guards at
	at    map[string]time.Duration
}

func (c *commits) Append(ctx context.Context, b *history.Batch) error {
	if err := c.Log.Append(ctx, b); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range b.Versions {
		c.at[r.RV] = time.Since(c.began)
	}
	return nil
}

// timed runs a test with such a log in virtual time.
func timed(t *testing.T, test func(t *testing.T, w *world, c *commits)) {
	t.Helper()
	warm(t)
	synctest.Test(t, func(t *testing.T) {
		c := &commits{began: time.Now(), at: map[string]time.Duration{}}
		test(t, open(t, recorder.Options{}, func(l recorder.Log) recorder.Log { c.Log = l; return c }), c)
	})
}

// put passes the first version of an object to a stream.
func (w *world) put(s *recorder.Stream, r history.Resource, rv int, owner string) {
	w.t.Helper()
	if err := s.Observe(w.t.Context(), watchEvent("+", manifest(r, fmt.Sprint("o", rv), rv, owner))); err != nil {
		w.t.Fatal(err)
	}
}

// check compares the times of commits with the wanted ones.
func (c *commits) check(t *testing.T, want map[string]time.Duration) {
	t.Helper()
	time.Sleep(5 * time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	for rv, at := range want {
		if got := c.at[rv]; got < at || got > at+5*time.Millisecond {
			t.Errorf("version %s: got commit at %v, want %v", rv, got, at)
		}
	}
}

// TestOrder_DelaysOnlyPossibleEffects checks how long versions wait.
func TestOrder_DelaysOnlyPossibleEffects(t *testing.T) {
	const ms = time.Millisecond
	timed(t, func(t *testing.T, w *world, c *commits) {
		t.Helper()
		a, b := w.synced(pods, 99), w.synced(replicaSets, 99)
		time.Sleep(time.Second - time.Since(c.began))
		w.put(a, pods, 100, "") // the first after silence
		time.Sleep(time.Second)
		w.put(a, pods, 101, "u1") // its owner may be about to arrive
		time.Sleep(20 * ms)
		w.put(b, replicaSets, 102, "") // not after silence
		time.Sleep(30 * ms)
		w.put(a, pods, 103, "") // too new to be committed together
		c.check(t, map[string]time.Duration{
			"100": 1005 * ms, "101": 2060 * ms, "102": 2060 * ms, "103": 2260 * ms,
		})
	})
}

// TestOrder_IntervalsBetweenReadsAreNotSilence delivers watch events at
// intervals, as connections do that are read at intervals. None of them is the
// first after silence.
func TestOrder_IntervalsBetweenReadsAreNotSilence(t *testing.T) {
	timed(t, func(t *testing.T, w *world, _ *commits) {
		t.Helper()
		a, b := w.synced(pods, 99), w.synced(replicaSets, 99)
		time.Sleep(2 * time.Second)
		w.put(a, pods, 100, "") // ends silence
		want := "pods/o100@100"
		for rv := 101; rv < 121; rv += 2 {
			time.Sleep(250 * time.Millisecond)
			w.put(a, pods, rv+1, "")
			time.Sleep(10 * time.Millisecond)
			w.put(b, replicaSets, rv, "")
			want += fmt.Sprintf(" replicasets/o%d@%d pods/o%d@%d", rv, rv, rv+1, rv+1)
		}
		if got := rvs(w.all()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// TestOrder_SkewGrowsWithLateWatches has one watch that is later than the
// recorder expects. After the first time, the recorder waits for it.
func TestOrder_SkewGrowsWithLateWatches(t *testing.T) {
	timed(t, func(t *testing.T, w *world, _ *commits) {
		t.Helper()
		a, b := w.synced(pods, 99), w.synced(replicaSets, 99)
		time.Sleep(2 * time.Second)
		want := "pods/o100@100"
		w.put(a, pods, 100, "") // ends silence
		time.Sleep(10 * time.Millisecond)
		for rv := 101; rv < 141; rv += 2 {
			w.put(a, pods, rv+1, "")
			time.Sleep(100 * time.Millisecond)
			w.put(b, replicaSets, rv, "") // 100 ms late
			time.Sleep(30 * time.Millisecond)
			if rv == 101 {
				want += fmt.Sprintf(" pods/o%d@%d replicasets/o%d@%d", rv+1, rv+1, rv, rv)
				continue
			}
			want += fmt.Sprintf(" replicasets/o%d@%d pods/o%d@%d", rv, rv, rv+1, rv+1)
		}
		if got := rvs(w.all()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

// TestOrder_WaitsForLostWatches checks how long versions wait for a watch that
// broke off.
func TestOrder_WaitsForLostWatches(t *testing.T) {
	const ms = time.Millisecond
	timed(t, func(t *testing.T, w *world, c *commits) {
		t.Helper()
		a, b := w.synced(pods, 99), w.synced(replicaSets, 99)
		time.Sleep(time.Second - time.Since(c.began))
		b.Pause()
		w.put(a, pods, 101, "")
		time.Sleep(300 * ms)
		b.Resume()
		w.put(b, replicaSets, 100, "") // what was missed
		w.put(b, replicaSets, 102, "")
		time.Sleep(3*time.Second - time.Since(c.began))
		b.Pause() // never resumed
		w.put(a, pods, 103, "")
		time.Sleep(20*time.Second - time.Since(c.began))
		w.put(a, pods, 104, "")
		c.check(t, map[string]time.Duration{"100": 1300 * ms, "101": 1300 * ms, "103": 4000 * ms, "104": 20005 * ms})
	})
}

// TestOrder_MergesBacklogs resumes streams one after the other. Each missed far
// more than the queue holds.
func TestOrder_MergesBacklogs(t *testing.T) {
	warm(t)
	resources := []history.Resource{deployments, replicaSets, pods}
	synctest.Test(t, func(t *testing.T) {
		w := open(t, recorder.Options{QueueRecords: 64, BatchRecords: 16}, nil)
		for _, r := range resources {
			w.synced(r, 99)
		}
		w.restart()
		const writes = 3000
		var streams []*recorder.Stream
		for _, r := range resources {
			streams = append(streams, w.stream(r))
		}
		ended := make(chan error)
		for i, s := range streams {
			go func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				s.Resume()
				for rv := 100 + i; rv < 100+writes; rv += len(resources) {
					err := s.Observe(t.Context(), watchEvent("+", manifest(resources[i], fmt.Sprint("o", rv), rv, "")))
					if err != nil {
						ended <- err
						return
					}
				}
				ended <- s.CaughtUp(t.Context())
			}()
		}
		for range streams {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		inOrder(t, w.all(), writes)
	})
}

// TestOrder_IgnoresOtherCounters gives Events the resourceVersions of another
// etcd. After a while, the order of the other resources does not depend on them
// any more. Events are in the order of their arrival.
func TestOrder_IgnoresOtherCounters(t *testing.T) {
	for _, other := range []int{1, 1_000_000} {
		t.Run(fmt.Sprint("from ", other), func(t *testing.T) {
			warm(t)
			synctest.Test(t, func(t *testing.T) {
				w := open(t, recorder.Options{}, nil)
				a, b, e := w.synced(pods, 99_999), w.synced(replicaSets, 99_999), w.synced(events, other)
				for i := range 100 { // 50 seconds
					w.put(a, pods, 100_000+i, "")
					w.put(e, events, other+1+i, "")
					time.Sleep(500 * time.Millisecond)
				}
				w.put(a, pods, 109_999, "") // ends silence
				time.Sleep(10 * time.Millisecond)
				want := ""
				for i := range 20 { // an Event about each pod, whose ReplicaSet is late
					n := 110_000 + 2*i
					w.put(a, pods, n+1, "")
					w.put(e, events, other+1000+i, "")
					time.Sleep(10 * time.Millisecond)
					w.put(b, replicaSets, n, "")
					time.Sleep(40 * time.Millisecond)
					want += fmt.Sprintf(" replicasets/o%d@%d pods/o%d@%d events/o%d@%d",
						n, n, n+1, n+1, other+1000+i, other+1000+i)
				}
				if got := rvs(w.all()[201:]); got != want[1:] {
					t.Errorf("got  %s\nwant %s", got, want[1:])
				}
			})
		})
	}
}

// TestOrder_PutsOwnersFirstAmongInitialRecords checks that initial records
// follow their owners within one commit.
func TestOrder_PutsOwnersFirstAmongInitialRecords(t *testing.T) {
	w, log := failOn(t, recorder.Options{})
	gate := make(chan struct{})
	log.set(func() { log.gate = gate })
	p, r, d := w.stream(pods), w.stream(replicaSets), w.stream(deployments)
	w.feed(p, "sync")
	w.put(p, pods, 9, "uid-replicasets-o8")
	w.feed(p, "end 10")
	eventually(t, "a commit that has begun", func() bool { return w.scrape()["queue_records"] == 0 })
	w.feed(r, "sync")
	w.feed(d, "sync")
	w.put(p, pods, 11, "uid-replicasets-o8")
	w.put(r, replicaSets, 8, "uid-deployments-o7")
	w.put(r, replicaSets, 6, "uid-deployments-o5")
	w.put(d, deployments, 7, "")
	w.put(d, deployments, 5, "")
	w.feed(r, "end 10")
	w.feed(d, "end 10")
	close(gate)
	want := "pods/o9@9 deployments/o7@7 replicasets/o8@8 deployments/o5@5 replicasets/o6@6 pods/o11@11"
	if got := rvs(w.all()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// inOrder checks that the records are the writes from resourceVersion 100 on.
func inOrder(t *testing.T, records []*history.Record, writes int) {
	t.Helper()
	if len(records) != writes {
		t.Errorf("got %d records, want %d", len(records), writes)
	}
	for i, r := range records {
		if got, want := r.RV, strconv.Itoa(100+i); got != want {
			t.Fatalf("record %d: got %s %s@%s, want resourceVersion %s", i, r.Ref.Resource, r.Ref.Name, got, want)
		}
	}
}

// TestOrder_CreationWaitsForCauses has owners whose watch is later than any
// skew. The owner is committed first nevertheless. An owner that never arrives
// delays its dependents for a bounded time. An owner that is live, or that is
// not watched, delays nothing.
func TestOrder_CreationWaitsForCauses(t *testing.T) {
	const ms = time.Millisecond
	owned := func(apiVersion, kind, uid string) history.WatchEvent {
		return watchEvent("+", fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1",`+
			`"metadata":{"name":"p","namespace":"shop","uid":"uid-p","resourceVersion":"101",`+
			`"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":"o","uid":%q}]}}`, apiVersion, kind, uid))
	}
	about := watchEvent("+", `{"kind":"Event","apiVersion":"v1",`+
		`"metadata":{"name":"e","namespace":"shop","uid":"uid-e","resourceVersion":"101"},`+
		`"involvedObject":{"apiVersion":"apps/v1","kind":"ReplicaSet","namespace":"shop",`+
		`"name":"o","uid":"uid-replicasets-o100"}}`)
	for name, tc := range map[string]struct {
		late     time.Duration // delay of the owner, which is written first
		effect   history.WatchEvent
		from, to time.Duration // when the effect is committed
	}{
		"a late owner": {
			300 * ms, owned("apps/v1", "ReplicaSet", "uid-replicasets-o100"), 300 * ms, 600 * ms,
		},
		"a late target of an Event": {300 * ms, about, 300 * ms, 600 * ms},
		"an owner that is live":     {0, owned("apps/v1", "ReplicaSet", "uid-replicasets-o100"), 10 * ms, 250 * ms},
		"one that never arrives":    {0, owned("apps/v1", "ReplicaSet", "none"), 400 * ms, 700 * ms},
		"one that is not watched":   {0, owned("x/v1", "ReplicaSet", "none"), 10 * ms, 250 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, w *world, c *commits) {
				t.Helper()
				of := pods
				if strings.Contains(string(tc.effect.Object), "involvedObject") {
					of = events
				}
				causes, effects := w.synced(replicaSets, 99), w.synced(of, 99)
				time.Sleep(10*time.Second - time.Since(c.began))
				ended := make(chan error)
				go func() {
					time.Sleep(10 * ms)
					ended <- effects.Observe(t.Context(), tc.effect)
				}()
				time.Sleep(tc.late)
				w.put(causes, replicaSets, 100, "")
				if err := <-ended; err != nil {
					t.Error(err)
				}
				time.Sleep(5 * time.Second)
				c.mu.Lock()
				defer c.mu.Unlock()
				if got := c.at["101"] - 10*time.Second; got < tc.from || got > tc.to || c.at["100"] > c.at["101"] {
					t.Errorf(
						"got the cause committed at %v and the effect at %v, want the effect after it, from %v to %v",
						c.at["100"]-10*time.Second, got, tc.from, tc.to,
					)
				}
			})
		})
	}
}
