package store_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// crashDir names the environment variable that makes this test binary append to a log until it is killed.
const crashDir = "WATCHHISTORY_CRASH_DIR"

func pods() schema.GroupResource { return schema.GroupResource{Resource: "pods"} }

// reached returns the highest resourceVersion among the heads: what was committed last, checkpoint or not.
func reached(ctx context.Context, s *store.Store) (int, error) {
	top := 0
	for h, err := range s.Heads(ctx, pods()) {
		if err != nil {
			return 0, err
		}
		rv, err := strconv.Atoi(h.RV)
		if err != nil {
			return 0, err
		}
		top = max(top, rv)
	}
	return top, nil
}

// crashChild goes on from where the log ends, and prints the resourceVersion of every checkpoint once it is committed.
// It ends by being killed or, when nobody listens any more, by a failing print. Anything else is a panic, which the parent
// takes for a failure.
func crashChild(dir string) {
	ctx := context.Background()
	s, err := store.Open(dir, store.Options{NoSync: true})
	if err != nil {
		panic(err)
	}
	rv, err := reached(ctx, s)
	if err != nil {
		panic(err)
	}
	for {
		b := &history.Batch{}
		for range 1 + rand.IntN(60) {
			rv++
			b.Records = append(b.Records, crashRecord(rv))
		}
		b.Checkpoints = []history.Checkpoint{{Resource: "pods", RV: strconv.Itoa(rv)}}
		if err := s.Append(ctx, b); err != nil {
			panic(err)
		}
		if _, err := fmt.Fprintln(os.Stdout, rv); err != nil {
			return
		}
	}
}

func crashRecord(rv int) *history.Record {
	r := pod(fmt.Sprint("web-", rv%40), strconv.Itoa(rv), history.Update)
	r.Owners = []types.UID{"owner"}
	r.Regarding = &history.Target{Kind: "Node", Name: "node-1"}
	if r.Object = fmt.Appendf(nil, `{"rv":%d}`, rv); rv%250 == 0 {
		r.Object = append(r.Object, random(1_300_000)...) // none of these fits a transaction
	}
	return r
}

// TestKill kills a process that appends, again and again, and checks that every opening works unaided, that everything
// that was acknowledged is there, once and without a hole, that no checkpoint is ahead of it, and that no key is torn.
func TestKill(t *testing.T) {
	dir, rounds := t.TempDir(), 10
	if testing.Short() {
		rounds = 3
	}
	for range rounds {
		acknowledged := killed(t, dir)
		s := open(t, dir, store.Options{})
		c, err := s.Checkpoint(t.Context(), pods())
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for r, err := range s.Scan(t.Context(), history.Scan{Bodies: true}) {
			n++
			if err != nil {
				t.Fatal(err)
			}
			if r.RV != strconv.Itoa(n) || !bytes.Equal(r.Object, crashRecord(n).Object) {
				t.Fatalf("record %d has RV %s and %d bytes", n, r.RV, len(r.Object))
			}
		}
		if rv, _ := strconv.Atoi(c.RV); acknowledged > rv || rv > n {
			t.Errorf("acknowledged %d, checkpoint %d, recorded %d", acknowledged, rv, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if got := audit(t, dir, store.DefaultRetention, true); got != n {
			t.Errorf("%d records by key, %d by scan", got, n)
		}
	}
}

// killed runs a child for a while and returns the last resourceVersion that it acknowledged.
func killed(t *testing.T, dir string) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Some die by the number of commits, the others wherever they are by then, even while they open the log.
	commits, limit := 1+rand.IntN(60), time.Hour
	if rand.IntN(3) == 0 {
		limit = time.Duration(rand.IntN(400)) * time.Millisecond
	}
	timer := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	last := 0
	for lines := bufio.NewScanner(out); lines.Scan(); commits-- {
		if commits == 0 {
			_ = cmd.Process.Kill()
		}
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child ended by itself: %v", err)
	}
	return last
}
