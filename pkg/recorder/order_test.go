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

var replicaSets = history.Resource{Group: "apps", Version: "v1", Plural: "replicasets", Kind: "ReplicaSet", Singular: "replicaset", Namespaced: true}

// manifest returns the JSON of an object of any kind; an owner is optional.
func manifest(r history.Resource, name string, rv int, owner string) string {
	owners := ""
	if owner != "" {
		owners = fmt.Sprintf(`,"ownerReferences":[{"apiVersion":"v1","kind":"Owner","name":"owner","uid":%q}]`, owner)
	}
	return fmt.Sprintf(`{"kind":%q,"apiVersion":"v1","metadata":{"name":%q,"namespace":"shop","uid":"uid-%s-%s","resourceVersion":"%d"%s}}`,
		r.Kind, name, r.Plural, name, rv, owners)
}

// synced returns a stream whose resource has no objects at this
// resourceVersion.
func (w *world) synced(r history.Resource, rv int) *recorder.Stream {
	w.t.Helper()
	s := w.stream(r)
	w.feed(s, "sync", fmt.Sprint("end ", rv))
	return s
}

// all stops the recorder and returns the log's records of all resources.
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

// rvs returns the records as "plural/name@rv", one after the other.
func rvs(records []*history.Record) string {
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s/%s@%s", r.Ref.Resource, r.Ref.Name, r.RV))
	}
	return strings.Join(all, " ")
}

// arrival is a frame on its way to a stream.
type arrival struct {
	at    time.Duration
	rv    int
	frame history.WatchEvent
}

// deliver gives a stream its frames at their times.
func deliver(ctx context.Context, s *recorder.Stream, began time.Time, arrivals []arrival) error {
	for _, a := range arrivals {
		time.Sleep(a.at - time.Since(began))
		if err := s.Observe(ctx, a.frame); err != nil {
			return err
		}
	}
	return nil
}

// schedule makes random writes to the resources and returns when each frame
// arrives: up to a skew after the write, and in order within a resource.
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
		arrivals[i] = append(arrivals[i], arrival{newest[i], rv, frame(sign, manifest(resources[i], name, rv, ""))})
	}
	return arrivals
}

// disconnect cuts the streams off now and then: what arrives in between comes
// at once when the watch is resumed.
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

// lull is how long a resumed watch brings nothing when it has brought all that
// was missed.
const lull = 75 * time.Millisecond

// watch is a watcher in a few lines: it gives a stream its frames, and pauses
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

// TestOrder_FollowsResourceVersionsAcrossStreams lets frames of several
// watches arrive out of order, by up to the skew that the recorder waits for,
// and cuts the watches. The log has all writes in their order.
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

// warm lets the database make what all databases of a process share, so that
// none of that belongs to one bubble.
func warm(t *testing.T) {
	t.Helper()
	w := open(t, recorder.Options{}, nil)
	w.feed(w.synced(pods, 1), "+a/u1@2")
	w.all()
}

// commits is a log that notes when records were committed, since it was made.
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
	for _, r := range b.Records {
		c.at[r.RV] = time.Since(c.began)
	}
	return nil
}

// timed runs a test over a log that notes commits, in virtual time.
func timed(t *testing.T, test func(t *testing.T, w *world, c *commits)) {
	t.Helper()
	warm(t)
	synctest.Test(t, func(t *testing.T) {
		c := &commits{began: time.Now(), at: map[string]time.Duration{}}
		test(t, open(t, recorder.Options{}, func(l recorder.Log) recorder.Log { c.Log = l; return c }), c)
	})
}

// put gives a stream the first version of an object.
func (w *world) put(s *recorder.Stream, r history.Resource, rv int, owner string) {
	w.t.Helper()
	if err := s.Observe(w.t.Context(), frame("+", manifest(r, fmt.Sprint("o", rv), rv, owner))); err != nil {
		w.t.Fatal(err)
	}
}

func (c *commits) check(t *testing.T, want map[string]time.Duration) {
	t.Helper()
	time.Sleep(5 * time.Second)
	c.mu.Lock()
	defer c.mu.Unlock()
	for rv, at := range want {
		if got := c.at[rv]; got < at || got > at+5*time.Millisecond {
			t.Errorf("version %s was committed at %v, want %v", rv, got, at)
		}
	}
}

// TestOrder_DelaysOnlyWhatMayBeAnEffect states how long versions wait.
func TestOrder_DelaysOnlyWhatMayBeAnEffect(t *testing.T) {
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
		w.put(a, pods, 103, "") // too young to be waited for
		c.check(t, map[string]time.Duration{
			"100": 1005 * ms, "101": 2060 * ms, "102": 2060 * ms, "103": 2260 * ms,
		})
	})
}

// TestOrder_TakesNoBeatForSilence lets frames arrive at intervals, as they do
// from connections that are read at intervals. None is the first after silence.
func TestOrder_TakesNoBeatForSilence(t *testing.T) {
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

// TestOrder_LearnsHowLateWatchesAre lets one watch be later than the recorder
// expects. After the first time the recorder waits for it.
func TestOrder_LearnsHowLateWatchesAre(t *testing.T) {
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

// TestOrder_WaitsForLostWatches states how long versions wait for a watch that
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
		b.Pause() // and does not come back
		w.put(a, pods, 103, "")
		time.Sleep(20*time.Second - time.Since(c.began))
		w.put(a, pods, 104, "")
		c.check(t, map[string]time.Duration{"100": 1300 * ms, "101": 1300 * ms, "103": 4000 * ms, "104": 20005 * ms})
	})
}

// TestOrder_MergesBacklogs resumes streams that missed far more than the queue
// holds, one after the other.
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
					if err := s.Observe(t.Context(), frame("+", manifest(resources[i], fmt.Sprint("o", rv), rv, ""))); err != nil {
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

// TestOrder_KnowsOtherCounters lets Events have resourceVersions of an etcd of
// their own. After a while the order of the other resources does not depend on
// them any more, and theirs is that of their arrival.
func TestOrder_KnowsOtherCounters(t *testing.T) {
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
					want += fmt.Sprintf(" replicasets/o%d@%d pods/o%d@%d events/o%d@%d", n, n, n+1, n+1, other+1000+i, other+1000+i)
				}
				if got := rvs(w.all()[201:]); got != want[1:] {
					t.Errorf("got  %s\nwant %s", got, want[1:])
				}
			})
		})
	}
}

// TestOrder_PutsOwnersFirstInAList checks that what existed before the
// recording comes after its owners as far as it is in one commit.
func TestOrder_PutsOwnersFirstInAList(t *testing.T) {
	w, log := failOn(t, recorder.Options{})
	gate := make(chan struct{})
	log.set(func() { log.gate = gate })
	p, r, d := w.stream(pods), w.stream(replicaSets), w.stream(deployments)
	w.feed(p, "sync")
	w.put(p, pods, 9, "uid-replicasets-o8")
	w.feed(p, "end 10")
	eventually(t, "a commit has begun", func() bool { return w.Stats().QueueRecords == 0 })
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
			t.Fatalf("record %d is %s %s@%s, want resourceVersion %s", i, r.Ref.Resource, r.Ref.Name, got, want)
		}
	}
}

// TestOrder_WhatIsCreatedWaitsForItsOwner lets the watch of the owners be later
// than any wait that was learned from late records. The owner comes first
// nevertheless. One that never comes holds what it owns up for a bounded time,
// and one that is known, or that nobody watches, does not.
func TestOrder_WhatIsCreatedWaitsForItsOwner(t *testing.T) {
	const ms = time.Millisecond
	owned := func(apiVersion, kind, uid string) history.WatchEvent {
		return frame("+", fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","namespace":"shop","uid":"uid-p","resourceVersion":"101",`+
			`"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":"o","uid":%q}]}}`, apiVersion, kind, uid))
	}
	about := frame("+", `{"kind":"Event","apiVersion":"v1","metadata":{"name":"e","namespace":"shop","uid":"uid-e","resourceVersion":"101"},`+
		`"involvedObject":{"apiVersion":"apps/v1","kind":"ReplicaSet","namespace":"shop","name":"o","uid":"uid-replicasets-o100"}}`)
	for name, tc := range map[string]struct {
		late     time.Duration // of the owner, which is written before
		effect   history.WatchEvent
		from, to time.Duration // when the effect is committed
	}{
		"a late owner":               {300 * ms, owned("apps/v1", "ReplicaSet", "uid-replicasets-o100"), 300 * ms, 600 * ms},
		"a late subject of an Event": {300 * ms, about, 300 * ms, 600 * ms},
		"an owner that is known":     {0, owned("apps/v1", "ReplicaSet", "uid-replicasets-o100"), 10 * ms, 250 * ms},
		"one that never comes":       {0, owned("apps/v1", "ReplicaSet", "none"), 400 * ms, 700 * ms},
		"one that nobody watches":    {0, owned("x/v1", "ReplicaSet", "none"), 10 * ms, 250 * ms},
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
					t.Errorf("the cause was committed at %v and the effect at %v, want it from %v to %v", c.at["100"]-10*time.Second, got, tc.from, tc.to)
				}
			})
		})
	}
}
