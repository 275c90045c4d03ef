package store_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

var (
	seed  = flag.Uint64("seed", 0, "seed of the random moments and loads of fault tests; 0 means a new one")
	kills = flag.Int("kills", 10,
		"number of kills of TestAppend_SurvivesKill; above 10, how often each kind of file is damaged")
)

// roundsOfADirectory is the number of kills of one log. More of them would
// mostly test reading.
const roundsOfADirectory = 10

// chance returns the random numbers of a test, and logs the seed that
// reproduces them.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d: go test -run '^%s$' ./pkg/store -seed %d -kills %d", s, t.Name(), s, *kills)
	return rand.New(rand.NewPCG(s, 1))
}

// life is a log to which processes append until they are killed.
type life struct {
	rng  *rand.Rand
	dir  string
	last promise // the last that a process acknowledged
}

// TestAppend_SurvivesKill repeatedly kills a process that appends: after some
// commits, after some milliseconds, while it opens the log, or after it made or
// removed a table. After each kill:
//
//   - the log opens without help
//   - every acknowledged record exists exactly once, without holes
//   - no checkpoint and no end of a gap is newer than its records
//   - the database has no incomplete keys
func TestAppend_SurvivesKill(t *testing.T) {
	rng, rounds := chance(t), *kills
	if testing.Short() {
		rounds = min(rounds, 3)
	}
	var l *life
	for round := range rounds {
		if round%roundsOfADirectory == 0 {
			l = &life{rng: rng, dir: t.TempDir()}
		}
		l.live(t)
		l.check(t)
	}
}

// check checks the log after its process was killed.
func (l *life) check(t *testing.T) {
	t.Helper()
	s := open(t, l.dir, store.Options{})
	n := 0
	for r, err := range s.Scan(t.Context(), history.Scan{Bodies: true}) {
		n++
		if err != nil {
			t.Fatal(err)
		}
		if want := crashRecord(n); r.RV != want.RV || r.Ref != want.Ref || r.Verb != want.Verb ||
			!bytes.Equal(r.Object, want.Object) {
			t.Fatalf("record %d: got %s %s, RV %s with %d bytes, want %s %s, RV %s with %d bytes",
				n, r.Verb, r.Ref, r.RV, len(r.Object),
				want.Verb, want.Ref, want.RV, len(want.Object))
		}
	}
	if n < l.last.RV {
		t.Errorf("got %d records, want at least the acknowledged %d", n, l.last.RV)
	}
	l.checkClaims(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := audit(t, l.dir, store.DefaultRetention, true); got != n {
		t.Errorf("got %d records by key, want %d as by scan", got, n)
	}
}

// checkClaims checks the checkpoint and the gaps of a log of n records.
func (l *life) checkClaims(t *testing.T, s *store.Store, n int) {
	t.Helper()
	c, err := s.Checkpoint(t.Context(), pods())
	if err != nil {
		t.Fatal(err)
	}
	// The checkpoint may have no RV: the killed process may have committed a
	// batch that withdrew it.
	if rv, _ := strconv.Atoi(c.RV); c.RV != "" && (rv < l.last.Checkpoint || rv > n) {
		t.Errorf("got checkpoint %q, want one from the acknowledged %d to %d", c.RV, l.last.Checkpoint, n)
	}
	gaps, err := s.Gaps(t.Context(), []schema.GroupResource{pods()}, time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	ends := map[int]bool{}
	for _, g := range gaps {
		began := int(g.Start.Unix())
		ends[began] = !g.Open()
		if g.Open() && c.RV != "" {
			t.Errorf("open gap %d: got checkpoint %s, want none", began, c.RV)
		}
		if last, _ := strconv.Atoi(g.Detail); !g.Open() && last > n {
			t.Errorf("gap %d: got its end at record %d, want at most %d", began, last, n)
		}
	}
	for began, ended := range l.last.Gaps {
		if now, ok := ends[began]; !ok || ended && !now {
			t.Errorf("gap %d: got found %v, ended %v, want the acknowledged found true, ended %v",
				began, ok, now, ended)
		}
	}
}

// live runs a process that acknowledges batches until it is killed.
func (l *life) live(t *testing.T) {
	t.Helper()
	l.run(t, crashSeed+"="+strconv.FormatUint(l.rng.Uint64(), 10), func(line []byte) error {
		l.last = promise{}
		return json.Unmarshal(line, &l.last)
	})
}

// run runs a child process until it is killed, and calls hear with each line
// that it prints. The environment variable selects what the child does.
func (l *life) run(t *testing.T, variable string, hear func(line []byte) error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+l.dir, variable)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, done := context.WithCancel(t.Context())
	defer done()
	commits := 1 << 30
	switch l.rng.IntN(4) {
	case 0:
		commits = 1 + l.rng.IntN(60)
	case 1:
		go killAfter(ctx, cmd, time.Duration(l.rng.IntN(600))*time.Millisecond)
	case 2:
		go killAfter(ctx, cmd, time.Duration(l.rng.IntN(60))*time.Millisecond)
	default:
		go killAtTables(ctx, cmd, l.dir, 1+l.rng.IntN(6))
	}
	for lines := bufio.NewScanner(out); lines.Scan(); commits-- {
		if commits == 0 {
			_ = cmd.Process.Kill()
		}
		if err := hear(lines.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("child process: got exit %v, want it killed", err)
	}
}

func killAfter(ctx context.Context, cmd *exec.Cmd, d time.Duration) {
	select {
	case <-time.After(d):
		_ = cmd.Process.Kill()
	case <-ctx.Done():
	}
}

// killAtTables kills a process once the tables in a directory have changed
// several times: during a flush or a compaction.
func killAtTables(ctx context.Context, cmd *exec.Cmd, dir string, changes int) {
	before := ""
	for ctx.Err() == nil {
		tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
		if err != nil {
			return
		}
		if now := fmt.Sprint(tables); now != before {
			before = now
			changes--
		}
		if changes < 0 {
			_ = cmd.Process.Kill()
			return
		}
		time.Sleep(time.Millisecond / 2)
	}
}

// crashDir is the environment variable that makes the test binary append to a
// log until it is killed. crashSeed is the variable with the seed of its load.
const (
	crashDir  = "WATCHHISTORY_CRASH_DIR"
	crashSeed = "WATCHHISTORY_CRASH_SEED"
)

// The load: how many objects exist at a time, and how many versions each has
// from its creation to its deletion.
const (
	crashObjects  = 40
	crashVersions = 12
)

// promise is the state that a process acknowledged: the records up to RV, the
// checkpoint (0: withdrawn), and whether gaps have ended, by their beginning.
type promise struct {
	RV, Checkpoint int
	Gaps           map[int]bool
}

func pods() schema.GroupResource { return schema.GroupResource{Resource: "pods"} }

// crasher continues a log.
type crasher struct {
	promise

	rng  *rand.Rand
	log  *store.Store
	open int // when the open gap began; 0: no gap is open
}

// crashChild prints a promise for every committed batch. It ends when it is
// killed, or when printing fails because the parent has ended. Any other end is
// a panic, which fails the parent's test.
func crashChild(dir string) {
	seed, err := strconv.ParseUint(os.Getenv(crashSeed), 10, 64)
	if err != nil {
		panic(err)
	}
	c := &crasher{rng: rand.New(rand.NewPCG(seed, 2))}
	if c.log, err = store.Open(dir, store.Options{NoSync: c.rng.IntN(3) > 0}); err != nil {
		panic(err)
	}
	if err := c.resume(context.Background()); err != nil {
		panic(err)
	}
	for {
		if err := c.log.Append(context.Background(), c.batch()); err != nil {
			panic(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(c.promise); err != nil {
			return
		}
	}
}

// resume loads the promise of an existing log.
func (c *crasher) resume(ctx context.Context) error {
	for r, err := range c.log.Scan(ctx, history.Scan{Order: history.NewestFirst, Limit: 1}) {
		if err != nil {
			return err
		}
		if c.RV, err = strconv.Atoi(r.RV); err != nil {
			return err
		}
	}
	checkpoint, err := c.log.Checkpoint(ctx, pods())
	if err != nil {
		return err
	}
	c.Checkpoint, _ = strconv.Atoi(checkpoint.RV)
	known, err := c.log.Gaps(ctx, nil, time.Time{}, time.Time{})
	c.Gaps = map[int]bool{}
	for _, g := range known {
		began := int(g.Start.Unix())
		c.Gaps[began] = !g.Open()
		if g.Open() {
			c.open = began
		}
	}
	return err
}

// batch returns the next batch. Some batches exceed a transaction.
func (c *crasher) batch() *history.Batch {
	b := &history.Batch{}
	for range 1 + c.rng.IntN(60) {
		c.RV++
		b.Versions = append(b.Versions, crashRecord(c.RV))
	}
	switch n := c.rng.IntN(10); {
	case n == 0 && c.open == 0:
		c.open, c.Checkpoint = c.RV, 0
		b.Gaps = []history.Gap{c.gap(time.Time{})}
		b.Checkpoints = []history.Checkpoint{{Resource: "pods"}}
	case n < 3 && c.open != 0:
		b.Gaps = []history.Gap{c.gap(time.Now())}
		c.open = 0
		c.checkpoint(b)
	case n < 8 && c.open == 0:
		c.checkpoint(b)
	}
	return b
}

func (c *crasher) checkpoint(b *history.Batch) {
	c.Checkpoint = c.RV
	b.Checkpoints = []history.Checkpoint{{Resource: "pods", RV: strconv.Itoa(c.RV)}}
}

// gap returns the open gap. Its detail is the last record before its end.
func (c *crasher) gap(end time.Time) history.Gap {
	c.Gaps[c.open] = !end.IsZero()
	return history.Gap{
		Resource: "pods", Start: time.Unix(int64(c.open), 0), End: end,
		Reason: history.GapExpired, Detail: strconv.Itoa(c.RV),
	}
}

// crashRecord returns the record with a resourceVersion, as it is appended: a
// version of one of the objects, in turn.
func crashRecord(rv int) history.NewVersion {
	name, version := fmt.Sprint("web-", rv%crashObjects), rv/crashObjects
	r := history.NewVersion{Record: pod(name, strconv.Itoa(rv), history.Update)}
	r.Ref.UID = types.UID(fmt.Sprint(name, "-", version/crashVersions))
	r.Owners = []types.UID{"owner"}
	r.Regarding = &history.Target{Kind: "Node", Name: "node-1"}
	r.Object = crashBody(rv)
	switch version % crashVersions {
	case 0:
		r.Verb = history.Create
	case crashVersions - 1:
		r.Verb = history.Delete
		fallthrough
	default:
		r.Before = crashBody(rv - crashObjects)
	}
	return r
}

// crashBody returns a body that resembles the previous version's. Some exceed a
// transaction.
func crashBody(rv int) []byte {
	b := fmt.Appendf(nil, `{"rv":%d,"spec":%q}`,
		rv, strings.Repeat(fmt.Sprint("object ", rv%crashObjects, " stays the same; "), 60))
	if rv%250 == 0 {
		b = append(b, random(1_300_000)...)
	}
	return b
}
