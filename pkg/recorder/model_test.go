package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// server is a minimal API server: live objects, and every change since
// resourceVersion 1.
type server struct {
	random  *rand.Rand
	alive   map[string]change // by name
	changes []change
	uids    int
}

type change struct {
	sign, name, uid string
	rv              int
}

// act makes one random change.
func (s *server) act() {
	name := fmt.Sprint("pod-", s.random.IntN(12))
	c, exists := s.alive[name]
	c.rv, c.name = len(s.changes)+1, name
	switch {
	case !exists:
		s.uids++
		c.sign, c.uid = "+", fmt.Sprint("uid-", s.uids)
	case s.random.IntN(4) == 0:
		c.sign = "-"
	default:
		c.sign = "~"
	}
	if s.alive[name] = c; c.sign == "-" {
		delete(s.alive, name)
	}
	s.changes = append(s.changes, c)
}

func (c change) event(sign string) history.WatchEvent {
	return watchEvent(sign, pod(c.name, c.uid, strconv.Itoa(c.rv)))
}

// model is a recorder that follows the server through syncs, broken syncs,
// failed commits, crashes and restarts.
type model struct {
	*server
	*world
	stream *recorder.Stream
	log    *failing

	from   int          // checkpoint at the begin of the last sync
	missed map[int]bool // resourceVersions that a sync skipped, which may be missing
	late   map[int]bool // resourceVersions observed during a sync, which may be marked
}

func TestModel_RandomChangesAreRecordedExactly(t *testing.T) {
	for _, seed := range []uint64{1, 2, rand.Uint64()} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			w, log := failOn(t, recorder.Options{Retries: 1, BatchRecords: 4, QueueRecords: 16})
			m := &model{
				server: &server{random: rand.New(rand.NewPCG(seed, 0)), alive: map[string]change{}},
				world:  w, log: log, stream: w.stream(pods), missed: map[int]bool{}, late: map[int]bool{},
			}
			for range 60 {
				m.live()
			}
			m.log.set(func() { m.log.fails = 0 })
			for m.stream.Checkpoint() != strconv.Itoa(len(m.changes)) {
				if err := m.connect(); err != nil {
					t.Fatal(err)
				}
			}
			m.check(w.records(pods))
		})
	}
}

// live makes some changes, lets commits fail, and connects, stops or crashes
// the recorder.
func (m *model) live() {
	for range m.random.IntN(12) {
		m.act()
	}
	if m.random.IntN(4) == 0 {
		m.log.set(func() { m.log.fails, m.log.after = 1+m.random.IntN(3), m.random.IntN(4) })
	}
	err := m.connect()
	if err == nil && m.random.IntN(4) > 0 {
		return
	}
	if err := errors.Join(err, m.close()); err != nil && !errors.Is(err, errDisk) {
		m.t.Fatal(err)
	}
	m.log.set(func() { m.log.fails = 0 })
	m.start()
	m.stream = m.world.stream(pods)
}

// connect makes the calls of a watcher for one connection.
func (m *model) connect() error {
	ctx := m.t.Context()
	from, err := strconv.Atoi(m.stream.Checkpoint())
	if err != nil || m.random.IntN(5) == 0 {
		return m.sync(ctx)
	}
	for _, c := range m.changes[from:] {
		if err := m.stream.Observe(ctx, c.event(c.sign)); err != nil || m.random.IntN(20) == 0 {
			return err
		}
	}
	return m.stream.Bookmark(ctx, strconv.Itoa(len(m.changes)))
}

// sync lists all objects in random order, with changes meanwhile. It breaks off
// at random and begins again.
func (m *model) sync(ctx context.Context) error {
	from, unknown := strconv.Atoi(m.stream.Checkpoint())
	for {
		if err := m.stream.BeginList(ctx, gap.Cause{}); err != nil {
			return err
		}
		if unknown == nil { // the checkpoint is durable now
			m.from = from
		}
		for rv := m.from + 1; rv <= len(m.changes); rv++ {
			m.missed[rv] = true
		}
		list := m.list()
		broken := m.random.IntN(3) == 0
		if broken {
			list = list[:m.random.IntN(len(list)+1)]
		}
		m.act()
		late := m.changes[len(m.changes)-1]
		m.late[late.rv] = true
		for _, c := range list {
			if err := m.stream.Observe(ctx, c.event("+")); err != nil {
				return err
			}
		}
		if broken {
			m.stream.AbortList()
			continue
		}
		if err := m.stream.Observe(ctx, late.event(late.sign)); err != nil {
			return err
		}
		return m.stream.EndList(ctx, strconv.Itoa(late.rv))
	}
}

// list returns the live objects in random order.
func (m *model) list() []change {
	list := slices.SortedFunc(maps.Values(m.alive), func(a, b change) int { return a.rv - b.rv })
	m.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// check compares the records with the changes of the server.
func (m *model) check(records []*history.Record) {
	m.t.Helper()
	verbs := map[string]history.Verb{"+": history.Create, "~": history.Update, "-": history.Delete}
	last := map[string]*history.Record{} // by UID
	recorded := map[int]bool{}
	for i, r := range records {
		uid := string(r.Ref.UID)
		rv, _ := strconv.Atoi(r.RV)
		c := m.changes[rv-1]
		before := last[uid]
		last[uid] = r
		marked := r.Initial || !r.InferredSince.IsZero()
		switch {
		case c.uid != uid || c.name != r.Ref.Name:
			m.t.Errorf("record %d: got version %[3]d of %[2]s, want one that existed", i, uid, rv)
		case (before == nil) != (r.Verb == history.Create):
			m.t.Errorf("record %d: got %s of %s at %d with an earlier record: %t, want that only without create",
				i, r.Verb, uid, rv, before != nil)
		case before != nil && before.Verb == history.Delete:
			m.t.Errorf("record %d: got %s of %s at %d, want none after its deletion", i, r.Verb, uid, rv)
		case r.Verb == history.Delete && c.sign != "-":
			if before.RV != r.RV || !marked {
				m.t.Errorf("record %d: got an inferred deletion of %s at %d (marked: %t), "+
					"want a marked one at its last version %s",
					i, uid, rv, marked, before.RV)
			}
			continue
		case before != nil && !older(before.RV, r.RV):
			m.t.Errorf("record %d: got %s at %d after version %s, want ascending versions", i, uid, rv, before.RV)
		case marked && !m.missed[rv] && !m.late[rv]:
			m.t.Errorf("record %d: got a marked %s at %d, want no mark: it was watched", i, uid, rv)
		case !marked && verbs[c.sign] != r.Verb:
			m.t.Errorf("record %d, %s at %d: got verb %s, want %s", i, uid, rv, r.Verb, verbs[c.sign])
		}
		recorded[rv] = true
	}
	m.complete(recorded, last)
}

// complete checks that every watched change is recorded, and that the last
// records equal the state of the server.
func (m *model) complete(recorded map[int]bool, last map[string]*history.Record) {
	m.t.Helper()
	for _, c := range m.changes {
		if !recorded[c.rv] && !m.missed[c.rv] {
			m.t.Errorf("got no record of %s%s@%d, want one", c.sign, c.uid, c.rv)
		}
	}
	for uid, r := range last {
		c, alive := m.alive[r.Ref.Name]
		if alive = alive && c.uid == uid; alive != (r.Verb != history.Delete) {
			m.t.Errorf("%s, alive: %t: got %s@%s as the last record, want one of that state", uid, alive, r.Verb, r.RV)
		} else if alive && r.RV != strconv.Itoa(c.rv) {
			m.t.Errorf("%s: got version %[3]s in the last record, want %[2]d", uid, c.rv, r.RV)
		}
	}
	m.t.Logf("%d changes, %d recorded versions, %d skipped by syncs", len(m.changes), len(recorded), len(m.missed))
}

func older(a, b string) bool { return len(a) < len(b) || len(a) == len(b) && a < b }
