package demo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/process"
)

const (
	readyPoll    = 100 * time.Millisecond
	inSync       = "ok\n" // the whole body of /readyz if nothing is missing
	maxReadyBody = 64 << 10
)

// recorder is the running watchhistory-recorder.
type recorder struct {
	cmd   *exec.Cmd
	url   string
	log   string
	ended chan struct{} // closed when the process has ended
	err   error         // how it ended; valid once done is closed
}

// startRecorder starts the recorder on a loopback port. The recorder ends with
// this process, unless it is to keep running.
func startRecorder(executable, dir, kubeconfig string, port int, outlive bool) (*recorder, error) {
	r := &recorder{
		url:   "https://127.0.0.1:" + strconv.Itoa(port),
		log:   filepath.Join(dir, "recorder.log"),
		ended: make(chan struct{}),
	}
	log, err := os.Create(r.log)
	if err != nil {
		return nil, fmt.Errorf("make the recorder's log: %w", err)
	}
	r.cmd = exec.Command(executable) //nolint:noctx // ended by stop, in its own time
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Env = append(os.Environ(),
		"KUBECONFIG="+kubeconfig, "SERVER_PORT=-1", "SECURE_PORT="+strconv.Itoa(port),
		"POD_NAMESPACE="+recorderNamespace, "BADGER_PATH="+filepath.Join(dir, "data"))
	if outlive {
		process.Detach(r.cmd)
	} else {
		process.Tie(r.cmd)
	}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // a tied process ends with this thread
		defer func() { _ = log.Close() }()
		err := r.cmd.Start()
		started <- err
		if err == nil {
			r.err = r.cmd.Wait()
			close(r.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start the recorder: %w", err)
	}
	return r, nil
}

// awaitReady waits until the recorder has recorded all existing objects.
func (r *recorder) awaitReady(ctx context.Context) error {
	for {
		select {
		case <-r.ended:
			log, err := os.ReadFile(r.log)
			return errors.Join(fmt.Errorf("the recorder ended: %w\n%s", r.err, log), err)
		default:
		}
		if r.ready(ctx) {
			return nil
		}
		if err := pause(ctx, readyPoll); err != nil {
			return err
		}
	}
}

// probe does not verify the recorder's certificate, as the probes of the
// kubelet.
var probe = &http.Client{Transport: &http.Transport{ //nolint:gochecknoglobals // a constant
	TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as the kubelet does
}}

func (r *recorder) ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/readyz", nil)
	if err != nil {
		return false
	}
	response, err := probe.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxReadyBody))
	return err == nil && response.StatusCode == http.StatusOK && string(body) == inSync
}

func (r *recorder) pid() int { return r.cmd.Process.Pid }

// stop terminates the recorder, so that it writes its pending records. It kills
// the recorder if that takes too long. It fails if the recorder has already
// ended.
func (r *recorder) stop(ctx context.Context) error {
	select {
	case <-r.ended:
		return fmt.Errorf("the recorder had ended: %w", r.err)
	default:
	}
	if err := r.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("end the recorder: %w", err)
	}
	select {
	case <-r.ended:
		return r.err
	case <-ctx.Done():
		return errors.Join(errors.New("the recorder did not end in time"), r.cmd.Process.Kill())
	}
}
