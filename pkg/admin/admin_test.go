package admin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/admin"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs a command line over a storage directory.
func run(t *testing.T, in io.Reader, storage string, args ...string) (out, errOut string, err error) {
	t.Helper()
	return runIn(t.Context(), in, storage, args...)
}

// runIn is run in a context.
func runIn(ctx context.Context, in io.Reader, storage string, args ...string) (out, errOut string, err error) {
	root := &cobra.Command{Use: "watchhistory-recorder", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(admin.Commands(admin.Environment{Storage: func(string) (string, error) { return storage, nil }, Program: "test/1"})...)
	var stdout, stderr bytes.Buffer
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	err = root.ExecuteContext(ctx)
	return stdout.String(), stderr.String(), err
}

// must is run for what has to succeed.
func must(t *testing.T, storage string, args ...string) (out, errOut string) {
	t.Helper()
	out, errOut, err := run(t, nil, storage, args...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out, errOut
}

func open(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// record appends versions of one object, from a number on.
func record(t *testing.T, s *store.Store, from, n int) {
	t.Helper()
	b := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: strconv.Itoa(from + n - 1)}}}
	for i := range n {
		b.Records = append(b.Records, &history.Record{
			Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: "web", UID: types.UID("u")},
			Version: "v1", Kind: "Pod", Verb: history.Update, RV: strconv.Itoa(from + i), Object: []byte(`{"kind":"Pod"}`),
		})
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// recorded returns the resourceVersions in a storage directory that nobody uses.
func recorded(t *testing.T, dir string) string {
	t.Helper()
	s, err := store.Open(dir, store.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	var rvs []string
	for r, err := range s.Scan(t.Context(), history.Scan{}) {
		if err != nil {
			t.Fatal(err)
		}
		rvs = append(rvs, r.RV)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(rvs, " ")
}

// serve serves a log's operations on a storage directory's socket until the test ends.
func serve(t *testing.T, dir string, log admin.Log) {
	t.Helper()
	l, err := admin.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	server := admin.NewServer(log, "test/1", slog.New(slog.NewTextHandler(t.Output(), nil)))
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := errors.Join(server.Close(), <-ended); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

// TestBackupAndRestore goes the whole way, over a directory that nobody uses and over one whose recorder runs.
func TestBackupAndRestore(t *testing.T) {
	for _, running := range []bool{false, true} {
		t.Run(map[bool]string{false: "stopped", true: "running"}[running], func(t *testing.T) {
			dir, out := t.TempDir(), t.TempDir()
			full, more := filepath.Join(out, "full.whb"), filepath.Join(out, "more.whb")
			s := open(t, dir)
			if running {
				serve(t, dir, s)
			}
			release := func() {
				if !running {
					if err := s.Close(); err != nil {
						t.Fatal(err)
					}
				}
			}
			record(t, s, 1, 3)
			release()
			_, said := must(t, dir, "backup", full)
			position := strings.TrimSpace(said[strings.LastIndex(said, " "):])
			if !running {
				s = open(t, dir)
			}
			record(t, s, 4, 2)
			release()
			must(t, dir, "backup", more, "--since", full)
			streamed, _ := must(t, dir, "backup", "-", "--since", position)
			if file, err := os.ReadFile(more); err != nil || len(file) != len(streamed) {
				t.Errorf("a file of %d bytes, and a stream of %d, %v", len(file), len(streamed), err)
			}
			if _, said := must(t, dir, "verify"); !strings.Contains(said, "verified 5 versions") {
				t.Errorf("verify says %q", said)
			}
			restored := filepath.Join(t.TempDir(), "new")
			must(t, dir, "restore", full, more, "--storage", restored)
			if got := recorded(t, restored); got != "1 2 3 4 5" {
				t.Errorf("restored %q", got)
			}
			data, _ := must(t, dir, "backup", "-")
			restored = filepath.Join(t.TempDir(), "new")
			if _, _, err := run(t, strings.NewReader(data), restored, "restore", "-"); err != nil || recorded(t, restored) != "1 2 3 4 5" {
				t.Errorf("restored from a stream: %v", err)
			}
			if names, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(names) != 2 {
				t.Errorf("left behind: %v, %v", names, err)
			}
		})
	}
}

// TestRefusals checks that what can't be done says so in one line, and what to do.
func TestRefusals(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	record(t, s, 1, 1)
	file := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(file, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, of := range []struct {
		storage string
		args    []string
		says    string
		code    int
	}{
		{dir, []string{"backup", file}, "in use by another process", 1}, // and has no socket
		{dir, []string{"verify"}, "in use by another process", 2},
		{none, []string{"backup", file}, "holds no history", 1},
		{none, []string{"verify"}, "holds no history", 2},
		{none, []string{"repair"}, "holds no history", 1},
		{dir, []string{"repair"}, "in use by another process", 1},
		{none, []string{"verify", "-o", "yaml"}, "text or json", 2},
		{none, []string{"backup", file, "--since", "neither"}, "neither a backup's file nor its position", 1},
		{none, []string{"backup", file, "--since", file}, "not a backup", 1},
		{none, []string{"backup"}, "accepts 1 arg", 1},
		{none, []string{"restore"}, "requires at least 1 arg", 1},
		{none, []string{"restore", "-", file}, "only one backup", 1},
		{none, []string{"restore", file}, "not a backup of", 1},
		{none, []string{"restore", none}, "no such file", 1},
	} {
		_, _, err := run(t, nil, of.storage, of.args...)
		if err == nil || !strings.Contains(err.Error(), of.says) || strings.Contains(err.Error(), "\n") || admin.ExitCode(err) != of.code {
			t.Errorf("%v: %v (%d)", of.args, err, admin.ExitCode(err))
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("what was refused has made a directory")
	}
}

// TestADamagedHistory checks the exit code and the JSON.
func TestADamagedHistory(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, damagedLog{})
	out, _, err := run(t, nil, dir, "verify", "-o", "json")
	if admin.ExitCode(err) != 1 || !strings.Contains(err.Error(), "1 places are damaged") {
		t.Errorf("%v", err)
	}
	var said struct {
		Damaged int
		Damage  []store.Damage
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil || said.Damaged != 1 || len(said.Damage) != 1 || said.Damage[0].File != "000001.sst" {
		t.Errorf("%s: %v", out, err)
	}
	if out, _, err := run(t, nil, dir, "verify"); out != "000001.sst: torn\n" || admin.ExitCode(err) != 1 {
		t.Errorf("%q, %v", out, err)
	}
	// Its backups break off.
	file := filepath.Join(t.TempDir(), "file")
	_, _, err = run(t, nil, dir, "backup", file)
	if history.CodeOf(err) != history.Unavailable {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// damagedLog is a log whose disk breaks.
type damagedLog struct{}

func (damagedLog) Backup(_ context.Context, w io.Writer, _ store.Position, _ store.Progress) (store.Position, error) {
	_, err := w.Write(bytes.Repeat([]byte("half of it"), 10_000))
	if err == nil {
		err = os.ErrDeadlineExceeded
	}
	return store.Position{}, err
}

func (damagedLog) Resources(context.Context) ([]history.Resource, error) { return nil, nil }

func (damagedLog) Excerpt(_ context.Context, of history.Extent, use func(*history.Excerpt) error) error {
	of.End = time.Now()
	return use(&history.Excerpt{Extent: of, Baselines: func(yield func(*history.Record, error) bool) { yield(nil, os.ErrDeadlineExceeded) }})
}

func (damagedLog) Verify(_ context.Context, report func(store.Damage), _ store.Progress) (store.Verification, error) {
	report(store.Damage{File: "000001.sst", Problem: "torn"})
	return store.Verification{Damaged: 1}, nil
}

// TestSocket checks who may open it, that one that was left behind is replaced, and that it goes with its listener.
func TestSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, admin.SocketName)
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := admin.Listen(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket outlives its listener")
	}
	if _, err := admin.Listen(t.Context(), filepath.Join(dir, strings.Repeat("long/", 30))); history.CodeOf(err) != history.Invalid {
		t.Errorf("too long a path: %v", err)
	}
}

// TestRepair_OfALostManifest takes the manifest away. What verify finds, repair mends.
func TestRepair_OfALostManifest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	record(t, s, 1, 3)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	out, _, err := run(t, nil, dir, "verify")
	if admin.ExitCode(err) != 1 || !strings.HasPrefix(out, "MANIFEST: ") || !strings.Contains(err.Error(), "watchhistory-recorder repair") {
		t.Errorf("verify: %v, printed %q", err, out)
	}
	out, said := must(t, dir, "repair")
	if !strings.HasPrefix(out, "MANIFEST: ") || !strings.Contains(said, "verified 3 versions") || recorded(t, dir) != "1 2 3" {
		t.Errorf("repair says %q and %q", out, said)
	}
}

// TestADamagedDirectoryIsRead flips a bit of a table. Everything that can be read is exported and backed up, the user is told what is
// missing, and the directory stays as it is; a dry run of the repair says the same as the repair.
func TestADamagedDirectoryIsRead(t *testing.T) {
	dir, whole := t.TempDir(), 400
	s := open(t, dir)
	record(t, s, 1, whole)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	spoilBlock(t, dir)
	before := contents(t, dir)
	_, said := must(t, dir, "export", filepath.Join(t.TempDir(), "file"), "--start", "1h")
	if !strings.Contains(said, "is damaged; what can be read is written") || !strings.Contains(said, "lost: ") {
		t.Errorf("export said %q", said)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if _, said := must(t, dir, "backup", backup); !strings.Contains(said, "is damaged") {
		t.Errorf("backup said %q", said)
	}
	if out, _, err := run(t, nil, dir, "verify"); admin.ExitCode(err) != 1 || !strings.Contains(out, ".sst: block ") {
		t.Errorf("verify: %v, printed %q", err, out)
	}
	forecast, said := must(t, dir, "repair", "--dry-run")
	if !strings.Contains(said, "nothing was changed") {
		t.Errorf("a dry run said %q", said)
	}
	if after := contents(t, dir); after != before {
		t.Errorf("the directory was\n%s, and is\n%s", before, after)
	}
	repaired, _ := must(t, dir, "repair")
	if repaired != forecast {
		t.Errorf("the dry run printed\n%s, and the repair\n%s", forecast, repaired)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	must(t, restored, "restore", backup)
	if got, want := recorded(t, restored), recorded(t, dir); got != want || len(strings.Fields(got)) < whole/2 {
		t.Errorf("restored %q, and the repair left %q", got, want)
	}
}

// spoilBlock flips a bit in the middle of a directory's only table.
func spoilBlock(t *testing.T, dir string) {
	t.Helper()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) != 1 {
		t.Fatalf("%v, %v", tables, err)
	}
	b, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 1
	if err := os.WriteFile(tables[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// contents returns the names and sums of a directory's files.
func contents(t *testing.T, dir string) (list string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		list += fmt.Sprintf("%s %x\n", e.Name(), sha256.Sum256(b))
	}
	return list
}
