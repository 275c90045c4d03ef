package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

const (
	// tempPattern is the name of the temporary directory of a recording.
	tempPattern = "watchhistory-record-*"
	// staleAfter is the age from which the temporary directory of another
	// process may be removed if nothing has locked it. A new one is locked
	// within a moment.
	staleAfter = time.Hour
	// poll is the time between two looks at the watchers.
	poll = 20 * time.Millisecond
	// failsFor is how long the API server may answer with errors about a
	// resource until it counts as refused, as one of a CRD whose conversion
	// webhook is down.
	failsFor = 10 * time.Second
	// retention is longer than any recording, in days.
	retention = 3650
)

// RecordOptions are the settings of [Record].
type RecordOptions struct {
	// File is the recording. It must not exist, unless Overwrite is set.
	File string
	// Overwrite replaces an existing file, once something was recorded.
	Overwrite bool
	// Namespace is the only namespace that is recorded, next to the
	// cluster-scoped resources that the user may read. "" means all.
	Namespace string
	// MadeBy is the program's name and version.
	MadeBy string
	// Logger receives the recorder's messages. Nil means none.
	Logger *slog.Logger
	// Progress is called by [Recorder.Observed] whenever the number of observed
	// resources changes. total can grow. Nil means none.
	Progress func(observed, total int)
	// TempDir is where the database is kept. "" means the directory for
	// temporary files.
	TempDir string
}

// ScopeError is the error of a user who may not list the objects of all
// namespaces, or of the given one.
type ScopeError struct {
	Namespace string // "" means all namespaces
	Err       error  // the API server's answer
}

// Error returns the API server's answer.
func (e *ScopeError) Error() string {
	if e.Namespace == "" {
		return fmt.Sprintf("not permitted to record all namespaces: %v", e.Err)
	}
	return fmt.Sprintf("not permitted to record namespace %s: %v", e.Namespace, e.Err)
}

// Unwrap returns the API server's answer.
func (e *ScopeError) Unwrap() error { return e.Err }

// Refusal is a resource that is served and not recorded, because the API server
// refuses it.
type Refusal struct {
	Resource history.Resource
	Reason   history.GapReason
	Detail   string
}

// Recorder records a cluster in this process, into a file. The caller calls
// Observed, then lets changes happen, then CaughtUp and Finish. In any case it
// calls Close. The methods that wait must not be called concurrently.
type Recorder struct {
	opts    RecordOptions
	cluster *rest.Config
	objects metadata.Interface
	client  *http.Client
	daemon  *daemon.Daemon
	began   time.Time
	dir     string // the database
	journal *journal

	stop  context.CancelFunc // ends the daemon
	ended chan struct{}      // closed when the daemon has ended
	err   error              // of the daemon, after ended
}

// Record starts to record the cluster. It returns before anything is observed.
// Recording does not end with ctx, but by [Recorder.Finish] or
// [Recorder.Close].
//
// While it records, the file is a journal, from which the recording can be read
// up to the last second even if the process is killed. It returns a
// [ScopeError] if the user may not list the pods of the namespaces.
func Record(ctx context.Context, cluster *rest.Config, o RecordOptions) (_ *Recorder, err error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Recorder{opts: o, cluster: rest.CopyConfig(cluster), ended: make(chan struct{})}
	r.cluster.QPS = -1 // each resource is listed once
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.client, err = rest.HTTPClientFor(r.cluster); err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	if r.objects, err = metadata.NewForConfigAndClient(metadata.ConfigFor(r.cluster), r.client); err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	if err = r.checkScope(ctx); err != nil {
		return nil, err
	}
	removeStale(ctx, o.TempDir, o.Logger)
	r.began = time.Now().UTC()
	if r.dir, err = os.MkdirTemp(o.TempDir, tempPattern); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if r.daemon, err = daemon.New(ctx, r.config(), r.cluster, o.Logger); err != nil {
		return nil, err
	}
	if r.journal, err = newJournal(r.daemon, r.began, o); err != nil {
		return nil, err
	}
	r.start(ctx)
	return r, nil
}

// config returns the settings of a daemon without listeners.
func (r *Recorder) config() daemon.Config {
	c := daemon.DefaultConfig()
	c.StoragePath, c.SyncWrites, c.RetentionDays = r.dir, false, retention
	c.ServerPort, c.SecurePort, c.DebugPort = daemon.NoPort, daemon.NoPort, daemon.NoPort
	c.WatchNamespace, c.Embedded = r.opts.Namespace, true
	// The documents of the API server would be most of a short recording.
	c.RecordCatalogue = false
	c.MaxQueryRate = 0
	// All kinds are discovered. A named one that is refused would have a gap,
	// as if the configuration were wrong. Two groups serve Events, so one is
	// named.
	c.Resources = slices.DeleteFunc(c.Resources, func(r history.Resource) bool {
		return !history.IsEventResource(r.GroupResource())
	})
	return c
}

// checkScope returns a [ScopeError] if the user may not list pods.
func (r *Recorder) checkScope(ctx context.Context) error {
	pods := r.objects.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"})
	_, err := pods.Namespace(r.opts.Namespace).List(ctx, metav1.ListOptions{Limit: 1})
	switch {
	case apierrors.IsForbidden(err):
		return &ScopeError{r.opts.Namespace, err}
	case err != nil:
		return fmt.Errorf("list pods: %w", err)
	default:
		return nil
	}
}

// start runs the daemon and the journal until they are stopped.
func (r *Recorder) start(ctx context.Context) {
	ctx, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(r.ended)
		written := make(chan struct{})
		go func() { defer close(written); r.journal.run(ctx) }()
		r.err = r.daemon.Record(ctx)
		r.stop()
		<-written
	}()
}

// Handler returns the REST API of the recording, as it is at the moment.
func (r *Recorder) Handler() http.Handler { return r.daemon.Handler() }

// File returns the name of the recording.
func (r *Recorder) File() string { return r.opts.File }

// Began returns when the recording began.
func (r *Recorder) Began() time.Time { return r.began }

// Ended returns a channel that is closed when recording has ended. Before
// [Recorder.Finish], it has failed.
func (r *Recorder) Ended() <-chan struct{} { return r.ended }

// Observed waits until every resource that the user may read is listed and
// watched. Then it writes to the file, which is valid from then on. If ctx ends
// before, the error names the resources that are not observed. A [ScopeError]
// means that nothing may be read.
func (r *Recorder) Observed(ctx context.Context) error {
	before, total := -1, -1
	err := r.wait(ctx, func() (string, error) {
		s := r.survey()
		if n := len(s.observed) + len(s.pending); r.opts.Progress != nil &&
			(len(s.observed) != before || n != total) {
			before, total = len(s.observed), n
			r.opts.Progress(before, total)
		}
		if len(s.pending) > 0 {
			return "not observed yet: " + s.pendingText(), nil
		}
		if len(s.observed) == 0 {
			return "", &ScopeError{r.opts.Namespace, errors.New("the API server refuses every resource")}
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	r.journal.flush(context.WithoutCancel(ctx)) // a write that is cut off ends the journal
	return nil
}

// Refused returns the resources that are not recorded because the API server
// refuses them, ordered by group and plural.
func (r *Recorder) Refused() []Refusal { return r.survey().refused }

// wait calls missing until it returns "" or an error, ctx ends, or recording
// ends.
func (r *Recorder) wait(ctx context.Context, missing func() (string, error)) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for {
		text, err := missing()
		if err != nil || text == "" {
			return err
		}
		select {
		case <-ticker.C:
		case <-r.ended:
			return r.failure()
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", context.Cause(ctx), text)
		}
	}
}

// failure returns why the daemon has ended.
func (r *Recorder) failure() error {
	if r.err != nil {
		return fmt.Errorf("recording failed: %w", r.err)
	}
	return errors.New("recording has ended")
}

// survey is how the resources are observed at the moment.
type survey struct {
	observed []history.Resource
	refused  []Refusal
	pending  []watcher.Status
}

// survey returns the state of each resource. One that is not served is neither
// observed nor refused.
func (r *Recorder) survey() (s survey) {
	states, troubles := r.daemon.Watches()
	s.pending = troubles
	for _, status := range states {
		switch {
		case status.State == watcher.Watching:
			s.observed = append(s.observed, status.Resource)
		case status.State == watcher.Ignored, status.Refused && status.Reason == history.GapNotServed:
		case status.Refused, isFailing(status):
			s.refused = append(s.refused, Refusal{status.Resource, status.Reason, status.Detail})
		default:
			s.pending = append(s.pending, status)
		}
	}
	return s
}

// isFailing reports whether the API server has been answering with errors about
// a resource that was never observed.
func isFailing(s watcher.Status) bool {
	return s.State == watcher.Waiting && s.Reason == history.GapServerError && !s.Synced &&
		!s.Establishing(time.Now()) && time.Since(s.Since) > failsFor
}

// maxNames bounds the resources that an error names.
const maxNames = 5

// pendingText names the resources that are not observed, with their causes.
func (s *survey) pendingText() string {
	var names []string
	for _, status := range s.pending {
		name := status.Resource.GroupResource().String()
		if status.Detail != "" {
			name += " (" + status.Detail + ")"
		}
		names = append(names, name)
	}
	return shortened(names)
}

// shortened joins names, of which it leaves out those after the first few.
func shortened(names []string) string {
	if more := len(names) - maxNames; more > 0 {
		names = append(slices.Clone(names[:maxNames]), fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, ", ")
}

// Finish stops recording, and replaces the journal by an export with everything
// that was recorded. After an error the journal is left.
func (r *Recorder) Finish(ctx context.Context) (Summary, error) {
	select {
	case <-r.ended:
		return Summary{}, r.failure()
	default:
	}
	refused := r.Refused()
	r.journal.observe(ctx) // while the watchers have their states
	r.stop()
	<-r.ended
	if r.err != nil {
		return Summary{}, r.failure()
	}
	s, err := r.journal.finish(ctx)
	s.Refused = refused
	return s, err
}

// Close stops recording and removes the database. It leaves the file as it is,
// but removes it if it is empty. It may be called more than once.
func (r *Recorder) Close() error {
	var errs []error
	if r.stop != nil {
		r.stop()
		<-r.ended
		r.stop = nil
	}
	if r.journal != nil {
		errs = append(errs, r.journal.close())
		r.journal = nil
	}
	if r.daemon != nil {
		errs = append(errs, r.daemon.Close())
		r.daemon = nil
	}
	if r.client != nil {
		r.client.CloseIdleConnections()
	}
	if r.dir != "" {
		errs = append(errs, os.RemoveAll(r.dir))
		r.dir = ""
	}
	return errors.Join(errs...)
}

// removeStale removes the temporary directories of processes that were killed.
func removeStale(ctx context.Context, dir string, logger *slog.Logger) {
	if dir == "" {
		dir = os.TempDir()
	}
	for _, pattern := range []string{tempPattern, "watchhistory-export-*"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range found {
			st, err := os.Lstat(name)
			if err != nil || !st.IsDir() || time.Since(st.ModTime()) < staleAfter {
				continue
			}
			if removed, err := store.RemoveUnused(name); removed || err != nil {
				logger.DebugContext(ctx, "removed a directory of an earlier process", "path", name, "err", err)
			}
		}
	}
}
