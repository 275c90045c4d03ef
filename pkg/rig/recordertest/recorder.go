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

// Patience bounds what is waited for: far longer than it takes, on any machine.
const Patience = 2 * time.Minute

// Build compiles the recorder into a directory and returns the binary's path.
func Build(dir string) (string, error) {
	binary := filepath.Join(dir, "watchhistory-recorder")
	build := exec.Command("go", "build", "-o", binary, "github.com/watchhistory/watchhistory/cmd/watchhistory-recorder") //nolint:noctx // bounded by the tests
	if output, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the recorder: %w\n%s", err, output)
	}
	return binary, nil
}

// Recorder is a process of the real binary over one database, from one start to the next.
type Recorder struct {
	// Client asks the running process. It is nil until [Recorder.Ready].
	Client *client.Client
	// URL is where the running process answers; "" until [Recorder.Ready].
	URL string

	binary     string
	kubeconfig string
	dir        string
	log        string // file of the running process's messages

	process *exec.Cmd
	ended   chan error
}

// New starts a recorder with a database of its own that ends with the test. It waits for nothing.
func New(tb testing.TB, binary, kubeconfig string) *Recorder {
	tb.Helper()
	dir := tb.TempDir()
	r := &Recorder{binary: binary, kubeconfig: kubeconfig, dir: filepath.Join(dir, "data"), log: filepath.Join(dir, "log")}
	tb.Cleanup(func() {
		if r.process != nil {
			r.Kill(tb)
		}
		if tb.Failed() {
			r.said(tb)
		}
	})
	r.Start(tb)
	return r
}

// Start starts the process and waits for nothing.
func (r *Recorder) Start(tb testing.TB) {
	tb.Helper()
	log, err := os.Create(r.log)
	if err != nil {
		tb.Fatal(err)
	}
	defer log.Close()
	r.process = exec.Command(r.binary, "--kubeconfig="+r.kubeconfig, "--log-format=json") //nolint:noctx // killed with the test
	r.process.Env = append(os.Environ(), "BADGER_PATH="+r.dir, "SERVER_PORT=0", "CONFIG_PATH=", "BIND_ADDRESS=127.0.0.1")
	r.process.Stderr = log
	started := make(chan error)
	r.ended = make(chan error, 1)
	go run(r.process, started, r.ended)
	if err := <-started; err != nil {
		r.process = nil
		tb.Fatal(err)
	}
}

// run runs a process to its end. It holds on to its thread meanwhile: with that one's end the kernel would end the process.
func run(process *exec.Cmd, started, ended chan<- error) {
	runtime.LockOSThread()
	endWithParent(process)
	err := process.Start()
	started <- err
	if err == nil {
		ended <- process.Wait()
	}
}

// Ready waits until everything is watched that is to be recorded, these resources too.
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

func watched(resources []v1.Resource, plurals []string) (bool, string) {
	found := map[string]bool{}
	for _, r := range resources {
		if r.State == "excluded" || r.State == "not_watchable" {
			continue // by default, and for good
		}
		if r.State != "watching" {
			return false, fmt.Sprintf("%s is %s: %s", r.Plural, r.State, r.Reason)
		}
		found[r.Plural] = true
	}
	for _, plural := range plurals {
		if !found[plural] {
			return false, plural + " are not known"
		}
	}
	return len(resources) > 0, "nothing is known"
}

// address returns the address that the log names, or "" where it does not yet.
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

// Alive fails the test where the process ended by itself.
func (r *Recorder) Alive(tb testing.TB) {
	tb.Helper()
	select {
	case err := <-r.ended:
		r.process = nil
		tb.Fatalf("the recorder ended by itself: %v", err)
	default:
	}
}

// Kill ends the process as kill -9 does.
func (r *Recorder) Kill(tb testing.TB) {
	tb.Helper()
	r.Alive(tb)
	if err := r.process.Process.Kill(); err != nil {
		tb.Fatal(err)
	}
	if err := <-r.ended; err == nil {
		tb.Error("a process that was killed ended well")
	}
	r.gone()
}

// Terminate ends the process in an orderly way.
func (r *Recorder) Terminate(tb testing.TB) {
	tb.Helper()
	r.Alive(tb)
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatal(err)
	}
	err := <-r.ended
	r.gone()
	if err != nil {
		tb.Fatalf("the recorder was told to end, and failed: %v", err)
	}
}

func (r *Recorder) gone() { r.process, r.Client, r.URL = nil, nil, "" }

// Metric returns the sum of a metric's values over all its labels, from the running process.
func (r *Recorder) Metric(tb testing.TB, name string) float64 {
	tb.Helper()
	value, err := metric(r.URL+v1.MetricsPath, name)
	if err != nil {
		tb.Fatal(err)
	}
	return value
}

// said logs the end of the recorder's messages.
func (r *Recorder) said(tb testing.TB) {
	tb.Helper()
	const most = 6000
	log, err := os.ReadFile(r.log)
	if err != nil {
		tb.Log(err)
	}
	tb.Logf("the recorder's last process said:\n%s", log[max(0, len(log)-most):])
}

// Eventually asks until check says yes; what it saw last is a part of the failure.
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
	tb.Fatalf("not in time: %s; last seen: %s", what, last)
}
