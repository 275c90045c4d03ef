package store_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// damagedDir is the environment variable that makes this test binary read a log
// that may be damaged.
const damagedDir = "WATCHHISTORY_DAMAGED_DIR"

// reading is the result of reading a log: numbers of records and of those
// missing between them, or an error. Inferred are deletions that a repair
// added.
type reading struct {
	Forward, Backward, Bodies, Missing, Inferred, Heads int
	Repaired                                            bool // there are gaps of a repair
	Checkpoint                                          string
	Err                                                 string
}

// damagedChild prints a [reading]. It runs in its own process, because Badger
// may end it.
func damagedChild(dir string) {
	var r reading
	if err := r.read(context.Background(), dir); err != nil {
		r.Err = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(r)
}

func (r *reading) read(ctx context.Context, dir string) error {
	s, err := store.Open(dir, store.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer s.Close()
	gaps, err := s.Gaps(ctx, nil, time.Time{}, time.Time{})
	if err != nil {
		return err
	}
	r.Repaired = slices.ContainsFunc(gaps, func(g history.Gap) bool { return g.Reason == history.GapDamaged })
	if err := r.bodies(ctx, s); err != nil {
		return err
	}
	for order, n := range map[history.Order]*int{history.OldestFirst: &r.Forward, history.NewestFirst: &r.Backward} {
		sc := history.Scan{Order: order}
		sc.Resources = append(sc.Resources, pods())
		for _, err := range s.Scan(ctx, sc) {
			if err != nil {
				return err
			}
			*n++
		}
	}
	for _, err := range s.Heads(ctx, pods()) {
		if err != nil {
			return err
		}
		r.Heads++
	}
	c, err := s.Checkpoint(ctx, pods())
	r.Checkpoint = c.RV
	return err
}

func (r *reading) bodies(ctx context.Context, s *store.Store) error {
	last := 0
	for rec, err := range s.Scan(ctx, history.Scan{Bodies: true}) {
		if err != nil {
			return err
		}
		r.Bodies++
		if rec.Verb == history.Delete && !rec.InferredSince.IsZero() {
			r.Inferred++
			continue
		}
		rv, err := strconv.Atoi(rec.RV)
		if err != nil {
			return err
		}
		want := crashRecord(rv)
		same := bytes.Equal(rec.Object, want.Object) || rec.Verb == history.Delete && len(rec.Object) == 0 && r.Repaired
		if rv <= last || rec.Ref != want.Ref || rec.Verb != want.Verb || !same {
			panic(fmt.Sprintf("record %d is %s at %s", r.Bodies, rec.Ref, rec.RV))
		}
		r.Missing += rv - last - 1
		last = rv
	}
	return nil
}

// image returns the files of a process that is killed while tables can't be
// created, so that there are several WALs. It returns how many records there
// are, and how many are in tables.
func image(t *testing.T) (dir string, records, flushed int) {
	t.Helper()
	live, rv := t.TempDir(), 0
	s := open(t, live, store.Options{})
	add := func(n int) {
		for range n {
			b := &history.Batch{}
			for range 20 {
				rv++
				b.Versions = append(b.Versions, crashRecord(rv))
			}
			b.Checkpoints = []history.Checkpoint{{Resource: "pods", RV: strconv.Itoa(rv)}}
			if err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
	}
	add(30) // in one table: two would be compacted while they are copied
	s = reopen(t, s, live, store.Options{})
	flushed = rv
	for n := range 200 {
		_ = os.Mkdir(filepath.Join(live, fmt.Sprintf("%06d.sst", n)), 0o700) // fails if there is a table
	}
	add(80)
	dir = t.TempDir()
	copyFiles(t, live, dir)
	for n := range 200 {
		_ = os.Remove(filepath.Join(live, fmt.Sprintf("%06d.sst", n))) // removes only the empty directories
	}
	if logs, err := filepath.Glob(filepath.Join(dir, "*.mem")); err != nil || len(logs) < 2 {
		t.Fatalf("got %d WALs, error %v, want at least 2", len(logs), err)
	}
	return dir, rv, flushed
}

// writeSparse writes a file whose trailing zeros take no space.
func writeSparse(t *testing.T, path string, b []byte) {
	t.Helper()
	err := errors.Join(os.WriteFile(path, bytes.TrimRight(b, "\x00"), 0o600), os.Truncate(path, int64(len(b))))
	if err != nil {
		t.Fatal(err)
	}
}

func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	files, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		writeSparse(t, filepath.Join(to, f.Name()), b)
	}
}

// TestOpen_NoWrongAnswerAfterDamage flips a bit at a random place of each kind
// of file, or truncates the file there, and reads everything. The result is an
// error, or all records. After damage of a WAL it may be the records of an
// earlier moment with the checkpoint of that moment.
func TestOpen_NoWrongAnswerAfterDamage(t *testing.T) {
	rng := chance(t)
	from, records, flushed := image(t)
	for _, kind := range []string{".sst", ".mem", "MANIFEST", "KEYREGISTRY", ".vlog"} {
		for n := range form(4, *kills) {
			t.Run(fmt.Sprint(kind, n), func(t *testing.T) {
				dir := t.TempDir()
				copyFiles(t, from, dir)
				what := damage(t, rng, dir, kind)
				r, died := readInProcess(t, dir)
				switch {
				case died != "":
					if !strings.Contains(died, "panic: record ") { // a wrong answer
						t.Logf("%s: the process ended: %s", what, died)
						return
					}
					t.Errorf("%s: got %s, want the recorded one", what, died)
				case r.Err != "":
					t.Logf("%s: %s", what, r.Err)
				default:
					r.judge(t, what, kind, records, flushed)
				}
			})
		}
	}
}

func form[T any](short, long T) T {
	if *kills > 10 {
		return long
	}
	return short
}

// judge checks what was read without an error.
func (r *reading) judge(t *testing.T, what, kind string, records, flushed int) {
	t.Helper()
	if r.Forward != r.Bodies || r.Backward != r.Bodies {
		t.Errorf("%s: got %+v, want the same number of records in each scan", what, *r)
	}
	least := records
	if kind == ".mem" {
		least = flushed
	}
	if r.Repaired {
		t.Logf("%s: %+v", what, *r)
		return
	}
	if r.Missing > 0 {
		t.Errorf("%s: got %d missing records without a gap, want 0", what, r.Missing)
	}
	if r.Bodies < least || r.Bodies > records {
		t.Errorf("%s: got %d records without an error, want %d to %d", what, r.Bodies, least, records)
	}
	rv, err := strconv.Atoi(r.Checkpoint)
	if err != nil || rv > r.Bodies || r.Bodies-rv >= 20 {
		t.Errorf("%s: got checkpoint %q, want one just below %d", what, r.Checkpoint, r.Bodies)
	}
	if want := liveObjects(r.Bodies); r.Heads != want {
		t.Errorf("%s: got %d heads, want %d", what, r.Heads, want)
	}
}

// liveObjects returns how many objects are alive after a number of records.
func liveObjects(records int) int {
	alive := map[history.ObjectRef]bool{}
	for rv := 1; rv <= records; rv++ {
		if r := crashRecord(rv); r.Verb == history.Delete {
			delete(alive, r.Ref)
		} else {
			alive[r.Ref] = true
		}
	}
	return len(alive)
}

// damage flips a bit of a file or truncates it, and describes that.
func damage(t *testing.T, rng *rand.Rand, dir, kind string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"+kind))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d files of %s, error %v, want some", len(files), kind, err)
	}
	path := files[rng.IntN(len(files))]
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	end := max(1, len(bytes.TrimRight(b, "\x00")))
	at := rng.IntN(end)
	if rng.IntN(2) == 0 {
		at = end - 1 - rng.IntN(1+end/64) // near the index of a table, or the last entries of a log
	}
	what := fmt.Sprintf("%s truncated at %d of %d", filepath.Base(path), at, len(b))
	if rng.IntN(3) > 0 {
		bit := rng.IntN(8)
		b[at] ^= 1 << bit
		what = fmt.Sprintf("bit %d flipped at %d of %d of %s", bit, at, len(b), filepath.Base(path))
	} else {
		b = b[:at]
	}
	writeSparse(t, path, b)
	return what
}

// readInProcess reads a log in its own process. It returns the last output of a
// process that dies.
func readInProcess(t *testing.T, dir string) (r reading, died string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), damagedDir+"="+dir)
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Sprint(err, ": ", strings.SplitN(strings.TrimSpace(words.String()), "\n\n", 2)[0])
	}
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("got output %q, error %v, want JSON", out, err)
	}
	return r, ""
}
