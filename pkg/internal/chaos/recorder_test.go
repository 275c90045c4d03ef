package chaos_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
)

// recorder is a process of the real binary over one database, from one start to the next.
type recorder struct {
	kubeconfig string
	dir        string
	log        string // file of the running process's messages

	process *exec.Cmd
	ended   chan error
	client  *client.Client // once it is ready
}

// newRecorder starts a recorder with a database of its own that ends with the test, and waits until it is ready.
func newRecorder(t *testing.T, kubeconfig string) *recorder {
	t.Helper()
	define(t)
	dir := t.TempDir()
	r := &recorder{kubeconfig: kubeconfig, dir: filepath.Join(dir, "data"), log: filepath.Join(dir, "log")}
	t.Cleanup(func() {
		if r.process != nil {
			r.kill(t)
		}
		if t.Failed() {
			r.said(t)
		}
	})
	r.start(t)
	r.ready(t)
	return r
}

// start starts the process and waits for nothing.
func (r *recorder) start(t *testing.T) {
	t.Helper()
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	r.process = exec.Command(binary, "--kubeconfig="+r.kubeconfig, "--log-format=json") //nolint:noctx // killed with the test
	r.process.Env = append(os.Environ(), "BADGER_PATH="+r.dir, "SERVER_PORT=0", "CONFIG_PATH=", "BIND_ADDRESS=127.0.0.1")
	r.process.Stderr = log
	if err := r.process.Start(); err != nil {
		t.Fatal(err)
	}
	r.ended = make(chan error, 1)
	go func(process *exec.Cmd, ended chan<- error) { ended <- process.Wait() }(r.process, r.ended)
}

// ready waits until everything is watched that is to be recorded, the custom resource of the load too.
func (r *recorder) ready(t *testing.T) {
	t.Helper()
	address := ""
	eventually(t, "the recorder listens", func() (bool, string) {
		r.alive(t)
		address = r.address(t)
		return address != "", ""
	})
	c, err := client.New("http://"+address, &http.Transport{DisableKeepAlives: true}, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.client = c
	eventually(t, "everything is watched", func() (bool, string) {
		r.alive(t)
		list, err := c.Resources(t.Context())
		if err != nil {
			return false, err.Error()
		}
		return watched(list.Resources)
	})
}

func watched(resources []v1.Resource) (bool, string) {
	widgets := false
	for _, r := range resources {
		if r.State != "watching" {
			return false, fmt.Sprintf("%s is %s: %s", r.Plural, r.State, r.Reason)
		}
		widgets = widgets || r.Plural == "widgets"
	}
	return widgets, "widgets are not known"
}

// address returns the address that the log names, or "" where it does not yet.
func (r *recorder) address(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(r.log)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(log) {
		var entry struct{ Msg, Address string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "recording" {
			return entry.Address
		}
	}
	return ""
}

// alive fails the test where the process ended by itself.
func (r *recorder) alive(t *testing.T) {
	t.Helper()
	select {
	case err := <-r.ended:
		r.process = nil
		t.Fatalf("the recorder ended by itself: %v", err)
	default:
	}
}

// kill ends the process as kill -9 does.
func (r *recorder) kill(t *testing.T) {
	t.Helper()
	r.alive(t)
	if err := r.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-r.ended; err == nil {
		t.Error("a process that was killed ended well")
	}
	r.process, r.client = nil, nil
}

// terminate ends the process in an orderly way.
func (r *recorder) terminate(t *testing.T) {
	t.Helper()
	r.alive(t)
	if err := r.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := <-r.ended
	r.process, r.client = nil, nil
	if err != nil {
		t.Fatalf("the recorder was told to end, and failed: %v", err)
	}
}

// restart ends the process in an orderly way and waits until the next is ready.
func (r *recorder) restart(t *testing.T) {
	t.Helper()
	r.terminate(t)
	r.start(t)
	r.ready(t)
}

// events returns everything that is recorded in a namespace, oldest first, and has looked into the bodies: a version that
// can't be read back is none.
func (r *recorder) events(t *testing.T, namespace string) (events []v1.Event) {
	t.Helper()
	for e, err := range r.client.All(t.Context(), client.EventsQuery{Namespace: namespace}) {
		if err != nil {
			t.Fatal(err)
		}
		var body struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := json.Unmarshal(e.ObjectChanges, &body); err != nil {
			t.Fatalf("body of %s %s at %s: %v", e.ResourceType, e.ResourceName, e.ResourceVersion, err)
		}
		if body.Kind != e.Kind || body.Metadata.Name != e.ResourceName {
			t.Errorf("%s %s at %s has the body of %+v", e.ResourceType, e.ResourceName, e.ResourceVersion, body)
		}
		e.ObjectChanges = nil
		events = append(events, e)
	}
	return events
}

// said logs the end of the recorder's messages.
func (r *recorder) said(t *testing.T) {
	t.Helper()
	const most = 6000
	log, err := os.ReadFile(r.log)
	if err != nil {
		t.Log(err)
	}
	t.Logf("the recorder's last process said:\n%s", log[max(0, len(log)-most):])
}
