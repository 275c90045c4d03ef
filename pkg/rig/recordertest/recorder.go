package recordertest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
)

// Patience bounds every wait. It is far longer than any of them takes.
const Patience = 2 * time.Minute

// Build compiles the recorder into the directory and returns the binary's path.
func Build(dir string) (string, error) {
	binary := filepath.Join(dir, "watchhistory-recorder")
	build := exec.Command("go", "build", "-o", binary, "github.com/watchhistory/watchhistory/cmd/watchhistory-recorder") //nolint:noctx // bounded by the tests
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the recorder: %w\n%s", err, output)
	}
	return binary, nil
}

// Recorder is a recorder with one database. Its process can be ended and
// started again. It is not safe for concurrent use.
type Recorder struct {
	// Client queries the running process. It is nil until [Recorder.Ready].
	Client *client.Client
	// URL is the base URL of the running process, or "" until [Recorder.Ready].
	URL string

	binary     string
	kubeconfig string
	dir        string
	log        string // file with the log of the newest process

	process *exec.Cmd  // nil if none runs
	ended   chan error // receives the process's result
}

// New starts a recorder with an empty database. It ends with the test. New does
// not wait until the recorder is ready.
func New(tb testing.TB, binary, kubeconfig string) *Recorder {
	tb.Helper()
	dir := tb.TempDir()
	r := &Recorder{
		binary: binary, kubeconfig: kubeconfig, dir: filepath.Join(dir, "data"), log: filepath.Join(dir, "log"),
	}
	tb.Cleanup(func() {
		if r.process != nil {
			r.Kill(tb)
		}
		if tb.Failed() {
			r.logTail(tb)
		}
	})
	r.Start(tb)
	return r
}

// Database returns the directory of the database. Only one process at a time
// can open it.
func (r *Recorder) Database() string { return r.dir }

// Start starts the process, on the database as it is. It does not wait until
// the recorder is ready.
func (r *Recorder) Start(tb testing.TB) {
	tb.Helper()
	log, err := os.Create(r.log)
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	r.process = exec.Command(r.binary, "--kubeconfig="+r.kubeconfig, "--log-format=json") //nolint:noctx // killed with the test
	r.process.Env = append(os.Environ(), "BADGER_PATH="+r.dir, "SERVER_PORT=0",
		"CONFIG_PATH=", "BIND_ADDRESS=127.0.0.1")
	r.process.Stderr = log
	started := make(chan error)
	r.ended = make(chan error, 1)
	go run(r.process, started, r.ended)
	if err := <-started; err != nil {
		r.process = nil
		tb.Fatal(err)
	}
}

// run runs a process to its end. It locks its thread meanwhile: the kernel
// kills the process when the thread that started it ends.
func run(process *exec.Cmd, started, ended chan<- error) {
	runtime.LockOSThread()
	endWithParent(process)
	err := process.Start()
	started <- err
	if err == nil {
		ended <- process.Wait()
	}
}

// Ready waits until all resources that are recorded are watched, including
// these.
func (r *Recorder) Ready(tb testing.TB, plurals ...string) {
	tb.Helper()
	address := ""
	Eventually(tb, "the recorder listens", func() (bool, string) {
		r.Alive(tb)
		address = r.address(tb)
		return address != "", ""
	})
	r.URL = "http://" + address
	c, err := client.New(r.URL, client.Options{Transport: &http.Transport{DisableKeepAlives: true}})
	if err != nil {
		tb.Fatal(err)
	}
	r.Client = c
	Eventually(tb, "everything is watched", func() (bool, string) {
		r.Alive(tb)
		list, err := c.Resources(tb.Context())
		if err != nil {
			return false, err.Error()
		}
		return watched(list.Resources, plurals)
	})
}

// watched reports whether the catalogue has all plurals and every resource is
// watching. The string is the first exception.
func watched(resources []v1.Resource, plurals []string) (bool, string) {
	found := map[string]bool{}
	for _, r := range resources {
		if r.State == "excluded" || r.State == "not_watchable" {
			continue // by default, and permanently
		}
		if r.State != "watching" {
			return false, fmt.Sprintf("%s is %s: %s", r.Plural, r.State, r.Reason)
		}
		found[r.Plural] = true
	}
	for _, plural := range plurals {
		if !found[plural] {
			return false, plural + " is not in the catalogue"
		}
	}
	return len(resources) > 0, "the catalogue is empty"
}

// address returns the address in the log, or "" if it has none yet.
func (r *Recorder) address(tb testing.TB) string {
	tb.Helper()
	log, err := os.ReadFile(r.log)
	if err != nil {
		tb.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		var entry struct{ Msg, Address string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "recording" {
			return entry.Address
		}
	}
	return ""
}

// Alive fails the test if the process has ended.
func (r *Recorder) Alive(tb testing.TB) {
	tb.Helper()
	select {
	case err := <-r.ended:
		r.process = nil
		tb.Fatalf("got an exit of the recorder (%v), want it running", err)
	default:
	}
}

// Kill kills the process with SIGKILL.
func (r *Recorder) Kill(tb testing.TB) {
	tb.Helper()
	r.Alive(tb)
	if err := r.process.Process.Kill(); err != nil {
		tb.Fatal(err)
	}
	if err := <-r.ended; err == nil {
		tb.Error("killed recorder: got exit code 0, want a signal")
	}
	r.gone()
}

// Terminate stops the process with SIGTERM, and fails the test unless it exits
// with 0.
func (r *Recorder) Terminate(tb testing.TB) {
	tb.Helper()
	r.Alive(tb)
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	err := <-r.ended
	r.gone()
	if err != nil {
		tb.Fatalf("terminated recorder: got %v, want exit code 0", err)
	}
}

func (r *Recorder) gone() { r.process, r.Client, r.URL = nil, nil, "" }

// Metric returns a counter or a gauge of the running process, summed over all
// labels.
func (r *Recorder) Metric(tb testing.TB, name string) float64 {
	tb.Helper()
	value, err := metric(r.URL+v1.MetricsPath, name)
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// logTail logs the end of the newest process's log.
func (r *Recorder) logTail(tb testing.TB) {
	tb.Helper()
	const most = 6000
	log, err := os.ReadFile(r.log)
	if err != nil {
		tb.Log(err)
	}
	tb.Logf("end of the recorder's log:\n%s", log[max(0, len(log)-most):])
}

// Eventually waits until check returns ok, and fails the test after [Patience].
// The failure contains the last seen state.
func Eventually(tb testing.TB, what string, check func() (ok bool, seen string)) {
	tb.Helper()
	last := ""
	for deadline := time.Now().Add(Patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		ok, seen := check()
		if ok {
			return
		}
		last = seen
	}
	tb.Fatalf("want within %v: %s; last got: %s", Patience, what, last)
}
