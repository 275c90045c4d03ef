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
	seed  = flag.Uint64("seed", 0, "what the random moments and loads of the tests of faults follow from; 0 takes a new one")
	kills = flag.Int("kills", 10, "how often TestKill kills; above 10, how often TestDamage damages each kind of file")
)

// roundsOfADirectory is how many kills one log lives through: later ones would spend their time on reading what is there.
const roundsOfADirectory = 10

// chance returns the test's random numbers, and says the seed that brings them back.
func chance(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("seed %d: go test -run '^%s$' ./pkg/store -seed %d -kills %d", s, t.Name(), s, *kills)
	return rand.New(rand.NewPCG(s, 1))
}

// life is one process that appends until it is killed.
type life struct {
	rng  *rand.Rand
	dir  string
	last promise // what any process has acknowledged
}

// TestKill kills a process that appends, again and again: after so many commits, after so many milliseconds, while it opens the
// log, and when it has just made or removed a table. It checks that every opening works unaided, that everything that was
// acknowledged is there, once and without a hole, that no checkpoint and no end of a gap is ahead of its records, and that
// no key is torn.
func TestKill(t *testing.T) {
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

// check looks at what is left of a log whose process was killed.
func (l *life) check(t *testing.T) {
	t.Helper()
	s := open(t, l.dir, store.Options{})
	n := 0
	for r, err := range s.Scan(t.Context(), history.Scan{Bodies: true}) {
		n++
		if err != nil {
			t.Fatal(err)
		}
		if want := crashRecord(n); r.RV != want.RV || r.Ref != want.Ref || r.Verb != want.Verb || !bytes.Equal(r.Object, want.Object) {
			t.Fatalf("record %d is %s %s, RV %s with %d bytes", n, r.Verb, r.Ref, r.RV, len(r.Object))
		}
	}
	if n < l.last.RV {
		t.Errorf("acknowledged %d, recorded %d", l.last.RV, n)
	}
	l.checkClaims(t, s, n)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := audit(t, l.dir, store.DefaultRetention, true); got != n {
		t.Errorf("%d records by key, %d by scan", got, n)
	}
}

// checkClaims checks what the log of n records says about what it has seen.
func (l *life) checkClaims(t *testing.T, s *store.Store, n int) {
	t.Helper()
	c, err := s.Checkpoint(t.Context(), pods())
	if err != nil {
		t.Fatal(err)
	}
	// No RV says that nothing is known to be complete: a batch that withdrew the checkpoint may have been on its way.
	if rv, _ := strconv.Atoi(c.RV); c.RV != "" && (rv < l.last.Checkpoint || rv > n) {
		t.Errorf("acknowledged checkpoint %d, found %q at %d records", l.last.Checkpoint, c.RV, n)
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
			t.Errorf("there is checkpoint %s within the open gap %d", c.RV, began)
		}
		if last, _ := strconv.Atoi(g.Detail); !g.Open() && last > n {
			t.Errorf("gap %d ends with record %d, and there are %d", began, last, n)
		}
	}
	for began, ended := range l.last.Gaps {
		if now, ok := ends[began]; !ok || ended && !now {
			t.Errorf("gap %d (ended: %v) was acknowledged, and is there: %v, ended: %v", began, ended, ok, now)
		}
	}
}

// live runs a process that makes promises until it is killed.
func (l *life) live(t *testing.T) {
	t.Helper()
	l.run(t, crashSeed+"="+strconv.FormatUint(l.rng.Uint64(), 10), func(line []byte) error {
		l.last = promise{}
		return json.Unmarshal(line, &l.last)
	})
}

// run runs a process, told by a variable what to do, until it is killed, and hears each line that it prints.
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
		t.Fatalf("the child ended by itself: %v", err)
	}
}

func killAfter(ctx context.Context, cmd *exec.Cmd, d time.Duration) {
	select {
	case <-time.After(d):
		_ = cmd.Process.Kill()
	case <-ctx.Done():
	}
}

// killAtTables kills when the tables in a directory have changed so often: in the middle of a flush or of a compaction.
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

// crashDir names the environment variable that makes this test binary append to a log until it is killed; crashSeed the one that
// has the seed of what it appends.
const (
	crashDir  = "WATCHHISTORY_CRASH_DIR"
	crashSeed = "WATCHHISTORY_CRASH_SEED"
)

// The load: so many objects live at once, each through so many versions, from a creation to a deletion.
const (
	crashObjects  = 40
	crashVersions = 12
)

// promise is what a process acknowledges: the records up to RV, the checkpoint (0: withdrawn), and the gaps, by when they began,
// that ended or did not.
type promise struct {
	RV, Checkpoint int
	Gaps           map[int]bool
}

func pods() schema.GroupResource { return schema.GroupResource{Resource: "pods"} }

// crasher is a process that goes on from where the log ends.
type crasher struct {
	promise

	rng  *rand.Rand
	log  *store.Store
	open int // when the open gap began; 0: there is none
}

// crashChild prints a promise of every batch once it is committed. It ends by being killed or, when nobody listens any
// more, by a failing print. Anything else is a panic, which the parent takes for a failure.
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

// resume reads what there is.
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

// batch makes a batch, some of which are larger than a transaction.
func (c *crasher) batch() *history.Batch {
	b := &history.Batch{}
	for range 1 + c.rng.IntN(60) {
		c.RV++
		b.Records = append(b.Records, crashRecord(c.RV))
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

// gap is the open gap, which tells the last record that it ends with.
func (c *crasher) gap(end time.Time) history.Gap {
	c.Gaps[c.open] = !end.IsZero()
	return history.Gap{
		Resource: "pods", Start: time.Unix(int64(c.open), 0), End: end, Reason: history.GapExpired, Detail: strconv.Itoa(c.RV),
	}
}

// crashRecord is the record with this resourceVersion, whoever writes it: one version of one of the objects that take turns.
func crashRecord(rv int) *history.Record {
	name, version := fmt.Sprint("web-", rv%crashObjects), rv/crashObjects
	r := pod(name, strconv.Itoa(rv), history.Update)
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

// crashBody is like that of the version before, but for one that fits no transaction.
func crashBody(rv int) []byte {
	b := fmt.Appendf(nil, `{"rv":%d,"spec":%q}`, rv, strings.Repeat(fmt.Sprint("object ", rv%crashObjects, " stays the same; "), 60))
	if rv%250 == 0 {
		b = append(b, random(1_300_000)...)
	}
	return b
}
