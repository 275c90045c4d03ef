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
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

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
