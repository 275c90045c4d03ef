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

// run runs a command line on a storage directory.
func run(t *testing.T, in io.Reader, storage string, args ...string) (out, errOut string, err error) {
	t.Helper()
	return runIn(t.Context(), in, storage, args...)
}

// runIn is run with a context.
func runIn(ctx context.Context, in io.Reader, storage string, args ...string) (out, errOut string, err error) {
	root := &cobra.Command{Use: "watchhistory-recorder", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(admin.Commands(admin.Environment{
		Storage: func(string) (string, error) { return storage, nil }, Program: "test/1",
	})...)
	var stdout, stderr bytes.Buffer
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(&stdout)
	root.SetErr(&stderr)
	err = root.ExecuteContext(ctx)
	return stdout.String(), stderr.String(), err
}

// must is run for a command that must succeed.
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

// record appends n versions of one object, with resourceVersions from a number
// on.
func record(t *testing.T, s *store.Store, from, n int) {
	t.Helper()
	b := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: strconv.Itoa(from + n - 1)}}}
	for i := range n {
		b.Versions = append(b.Versions, history.NewVersion{Record: &history.Record{
			Ref:     history.ObjectRef{Resource: "pods", Namespace: "shop", Name: "web", UID: types.UID("u")},
			Version: "v1", Kind: "Pod", Verb: history.Update, RV: strconv.Itoa(from + i),
			Object: []byte(`{"kind":"Pod"}`),
		}})
	}
	if err := s.Append(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// recorded returns the resourceVersions in a storage directory without a
// recorder.
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

// serve serves the operations of a log on the socket of a storage directory
// until the test ends.
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

// TestBackup_RoundTrips backs up, verifies and restores a storage directory,
// without a recorder and with a running one.
func TestBackup_RoundTrips(t *testing.T) {
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
			_, stderr := must(t, dir, "backup", full)
			position := strings.TrimSpace(stderr[strings.LastIndex(stderr, " "):])
			if !running {
				s = open(t, dir)
			}
			record(t, s, 4, 2)
			release()
			must(t, dir, "backup", more, "--since", full)
			streamed, _ := must(t, dir, "backup", "-", "--since", position)
			if file, err := os.ReadFile(more); err != nil || len(file) != len(streamed) {
				t.Errorf("got a file of %d bytes and error %v, want the %d bytes of the stream",
					len(file), err, len(streamed))
			}
			if _, stderr := must(t, dir, "verify"); !strings.Contains(stderr, "verified 5 versions") {
				t.Errorf("verify: got stderr %q, want 5 verified versions", stderr)
			}
			restored := filepath.Join(t.TempDir(), "new")
			must(t, dir, "restore", full, more, "--storage", restored)
			if got := recorded(t, restored); got != "1 2 3 4 5" {
				t.Errorf("restored: got %q, want 1 2 3 4 5", got)
			}
			data, _ := must(t, dir, "backup", "-")
			restored = filepath.Join(t.TempDir(), "new")
			if _, _, err := run(t, strings.NewReader(data), restored, "restore", "-"); err != nil ||
				recorded(t, restored) != "1 2 3 4 5" {
				t.Errorf("restored from stdin: got %q and error %v, want 1 2 3 4 5", recorded(t, restored), err)
			}
			if names, err := filepath.Glob(filepath.Join(out, "*")); err != nil || len(names) != 2 {
				t.Errorf("files: got %v and error %v, want the two backups", names, err)
			}
		})
	}
}

func TestPrintError_AddsHint(t *testing.T) {
	err := &history.Error{Code: history.Invalid, Message: "open \x1b[1m/data: no", Hint: "Try \x1b[1m/other."}
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("start: %w", err), "watchhistory-recorder: start: open ^[[1m/data: no\nTry ^[[1m/other.\n"},
		{errors.New("no"), "watchhistory-recorder: no\n"},
	} {
		var got strings.Builder
		if admin.PrintError(&got, tt.err); got.String() != tt.want {
			t.Errorf("got %q, want %q", got.String(), tt.want)
		}
	}
}

// TestInspectError_NamesVariable checks the hint of a missing temporary
// directory, also if the error is wrapped.
func TestInspectError_NamesVariable(t *testing.T) {
	err := admin.InspectError(fmt.Errorf("%w: no space", store.ErrNoDirectory))
	if got, want := err.Error(), "create a temporary directory: no space"; got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
	if got := history.HintOf(err); !strings.Contains(got, "TMPDIR") {
		t.Errorf("hint: got %q, want one with TMPDIR", got)
	}
	if got := history.HintOf(admin.InspectError(store.ErrDamaged)); got != "" {
		t.Errorf("hint of another error: got %q, want none", got)
	}
	if err := admin.InspectError(nil); err != nil {
		t.Errorf("no error: got %v, want none", err)
	}
}

// TestCommands_RejectInOneLine checks the errors of commands that can't run.
func TestCommands_RejectInOneLine(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	record(t, s, 1, 1)
	file := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(file, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	for _, tt := range []struct {
		storage string
		args    []string
		want    string
		hint    string // a substring; "" means that there is none
		code    int
	}{
		// The test's own store has no socket.
		{dir, []string{"backup", file}, "in use by another process", "", 1},
		{dir, []string{"verify"}, "in use by another process", "", 2},
		{none, []string{"backup", file}, "contains no history", "--storage", 1},
		{none, []string{"verify"}, "contains no history", "--storage", 2},
		{none, []string{"repair"}, "contains no history", "--storage", 1},
		{dir, []string{"repair"}, "in use by another process", "", 1},
		{none, []string{"verify", "-o", "yaml"}, "text or json", "", 2},
		{none, []string{"backup", file, "--since", "neither"}, "neither the file nor the position of a backup", "", 1},
		{none, []string{"backup", file, "--since", file}, "not a backup", "", 1},
		{none, []string{"backup"}, "accepts 1 arg", "", 1},
		{none, []string{"restore"}, "requires at least 1 arg", "", 1},
		{none, []string{"restore", "-", file}, "only one backup", "files for several", 1},
		{none, []string{"restore", file}, "not a backup of", "", 1},
		{none, []string{"restore", none}, "no such file", "", 1},
	} {
		_, _, err := run(t, nil, tt.storage, tt.args...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") ||
			admin.ExitCode(err) != tt.code {
			t.Errorf("%v: got error %v with exit code %d, want %q in one line with %d",
				tt.args, err, admin.ExitCode(err), tt.want, tt.code)
		}
		if hint := history.HintOf(err); !strings.Contains(hint, tt.hint) || tt.hint == "" && hint != "" {
			t.Errorf("%v: got hint %q, want %q in it", tt.args, hint, tt.hint)
		}
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("got a storage directory from a rejected command, want none")
	}
}

// TestVerify_ReportsDamage checks the exit code and the output, and that a
// backup of a damaged history fails.
func TestVerify_ReportsDamage(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, damagedLog{})
	out, _, err := run(t, nil, dir, "verify", "-o", "json")
	if admin.ExitCode(err) != 1 || err.Error() != "1 place is damaged" {
		t.Errorf("got error %v with exit code %d, want 1 place is damaged with 1", err, admin.ExitCode(err))
	}
	if got := history.HintOf(err); !strings.Contains(got, "watchhistory-recorder repair") {
		t.Errorf("got hint %q, want one with the command", got)
	}
	var result struct {
		Damaged int
		Damage  []store.Damage
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || result.Damaged != 1 ||
		len(result.Damage) != 1 || result.Damage[0].File != "000001.sst" {
		t.Errorf("got %s and error %v, want one damage of 000001.sst", out, err)
	}
	if out, _, err := run(t, nil, dir, "verify"); out != "000001.sst: torn\n" || admin.ExitCode(err) != 1 {
		t.Errorf("got %q and error %v, want the damage of 000001.sst", out, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	_, _, err = run(t, nil, dir, "backup", file)
	if history.CodeOf(err) != history.Unavailable ||
		!strings.Contains(err.Error(), "the connection to the recorder broke") {
		t.Errorf("backup: got error %v, want a broken connection with code %v", err, history.Unavailable)
	}
	if got := history.HintOf(err); !strings.Contains(got, "recorder's log") {
		t.Errorf("backup: got hint %q, want one with the recorder's log", got)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) > 0 {
		t.Errorf("files: got %v and error %v, want none", left, err)
	}
}

// damagedLog is a log whose disk fails.
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
	return use(&history.Excerpt{
		Extent: of, Baselines: func(yield func(*history.Record, error) bool) { yield(nil, os.ErrDeadlineExceeded) },
	})
}

func (damagedLog) Verify(_ context.Context, report func(store.Damage), _ store.Progress) (store.Verification, error) {
	report(store.Damage{File: "000001.sst", Problem: "torn"})
	return store.Verification{Damaged: 1}, nil
}

// repairedLog is a log that is being repaired.
type repairedLog struct{ damagedLog }

var errRepaired = &history.Error{Code: history.Unavailable, Message: "being repaired", Hint: "Try again in a minute."}

func (repairedLog) Backup(context.Context, io.Writer, store.Position, store.Progress) (store.Position, error) {
	return store.Position{}, errRepaired
}

func (repairedLog) Verify(context.Context, func(store.Damage), store.Progress) (store.Verification, error) {
	return store.Verification{}, errRepaired
}

// TestServer_KeepsHint checks the hints of a running recorder's errors.
func TestServer_KeepsHint(t *testing.T) {
	dir := t.TempDir()
	serve(t, dir, repairedLog{})
	for _, args := range [][]string{{"backup", filepath.Join(t.TempDir(), "a.whb")}, {"verify"}} {
		_, _, err := run(t, nil, dir, args...)
		if err == nil || !strings.HasSuffix(err.Error(), errRepaired.Message) ||
			history.CodeOf(err) != errRepaired.Code || history.HintOf(err) != errRepaired.Hint {
			t.Errorf("%s: got error %v, code %s, hint %q, want %v, %s, %q", args[0], err, history.CodeOf(err),
				history.HintOf(err), errRepaired, errRepaired.Code, errRepaired.Hint)
		}
	}
}

// TestListen_OwnsSocket checks that the socket replaces an old one, that only
// the owner can connect, and that closing the listener removes it.
func TestListen_OwnsSocket(t *testing.T) {
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
		t.Errorf("socket: got %v and error %v, want mode 0600", st, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(path); err == nil {
		t.Error("got a socket after its listener was closed, want none")
	}
	_, err = admin.Listen(t.Context(), filepath.Join(dir, strings.Repeat("long/", 30)))
	if history.CodeOf(err) != history.Invalid {
		t.Errorf("long path: got error %v, want code %v", err, history.Invalid)
	}
}

// TestRepair_RebuildsManifest removes the manifest: verify reports it, and
// repair restores it.
func TestRepair_RebuildsManifest(t *testing.T) {
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
	if admin.ExitCode(err) != 1 || !strings.HasPrefix(out, "MANIFEST: ") ||
		!strings.Contains(history.HintOf(err), "watchhistory-recorder repair") {
		t.Errorf("verify: got %q, error %v and exit code %d, want the damage, 1 and a hint",
			out, err, admin.ExitCode(err))
	}
	out, stderr := must(t, dir, "repair")
	if !strings.HasPrefix(out, "MANIFEST: ") || !strings.Contains(stderr, "verified 3 versions") ||
		recorded(t, dir) != "1 2 3" {
		t.Errorf("repair: got %q and stderr %q, want the manifest and 3 verified versions", out, stderr)
	}
}

// TestDamagedDirectory_IsReadable flips a bit of a table. Export and backup
// write everything that can be read, report what is lost, and change nothing. A
// dry run prints the same as the repair.
func TestDamagedDirectory_IsReadable(t *testing.T) {
	dir, whole := t.TempDir(), 400
	s := open(t, dir)
	record(t, s, 1, whole)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	spoilBlock(t, dir)
	before := contents(t, dir)
	_, stderr := must(t, dir, "export", filepath.Join(t.TempDir(), "file"), "--start", "1h")
	if !strings.Contains(stderr, "is damaged; writing what can be read") || !strings.Contains(stderr, "lost: ") {
		t.Errorf("export: got stderr %q, want what is lost", stderr)
	}
	backup := filepath.Join(t.TempDir(), "backup")
	if _, stderr := must(t, dir, "backup", backup); !strings.Contains(stderr, "is damaged") {
		t.Errorf("backup: got stderr %q, want a warning of the damage", stderr)
	}
	if out, _, err := run(t, nil, dir, "verify"); admin.ExitCode(err) != 1 || !strings.Contains(out, ".sst: block ") {
		t.Errorf("verify: got %q, error %v and exit code %d, want the damage and 1", out, err, admin.ExitCode(err))
	}
	forecast, stderr := must(t, dir, "repair", "--dry-run")
	if !strings.Contains(stderr, "nothing was changed") {
		t.Errorf("dry run: got stderr %q, want that nothing was changed", stderr)
	}
	if after := contents(t, dir); after != before {
		t.Errorf("directory after the dry run: got\n%s\nwant\n%s", after, before)
	}
	repaired, _ := must(t, dir, "repair")
	if repaired != forecast {
		t.Errorf("repair: got\n%s\nwant the output of the dry run\n%s", repaired, forecast)
	}
	restored := filepath.Join(t.TempDir(), "restored")
	must(t, restored, "restore", backup)
	if got, want := recorded(t, restored), recorded(t, dir); got != want || len(strings.Fields(got)) < whole/2 {
		t.Errorf("restored: got %q, want what the repair kept: %q", got, want)
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

// contents returns the names and checksums of a directory's files.
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
