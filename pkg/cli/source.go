package cli

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Engine answers queries in this process, without a recorder in the cluster.
// The program's main function provides it, so that this package does not depend
// on the database.
type Engine interface {
	// Open returns the history in a file. It reads the file to its end, and
	// calls progress, which may be nil, with the number of bytes that were
	// read. A file that is not a recording is a [history.Invalid] error.
	Open(ctx context.Context, file io.Reader, progress func(bytes int64)) (History, error)
	// Record starts to record a cluster into a file, and returns before
	// anything is observed.
	Record(ctx context.Context, cluster *rest.Config, o RecordOptions) (Recording, error)
	// CheckExpression returns an error if a text is not a CEL expression of a
	// query.
	CheckExpression(text string) error
}

// RecordOptions are the settings of [Engine.Record].
type RecordOptions struct {
	// File is the recording. It must not exist, unless Overwrite is set.
	File      string
	Overwrite bool
	// Namespace is the only namespace that is recorded, next to cluster-scoped
	// resources. "" means all.
	Namespace string
	// MadeBy is the program's name and version.
	MadeBy string
	// Progress is called with the number of resources that are observed, and of
	// all.
	Progress func(observed, total int)
}

// Recording records a cluster in this process. Whatever happens, its file can
// be read up to the last second. It must be closed.
type Recording interface {
	io.Closer

	// Observed waits until every resource that the user may read is observed.
	Observed(ctx context.Context) error
	// Refused returns the resources that are not recorded, with the reasons.
	Refused() []string
	// Ended is closed when recording has ended. Before Finish, it has failed.
	Ended() <-chan struct{}
	// CaughtUp waits until everything is recorded that the API server had
	// accepted before the call.
	CaughtUp(ctx context.Context) error
	// Finish stops recording, and completes the file.
	Finish(ctx context.Context) (RecordSummary, error)
}

// RecordSummary describes a complete recording.
type RecordSummary struct {
	Start, End time.Time
	Bytes      int64 // of the file
	Changes    int64 // versions, without those of the objects that existed before
	Resources  int   // that were observed
}

// ScopeError is the error of an [Engine] if the user may not list the objects
// of all namespaces, or of the given one.
type ScopeError struct{ Err error }

// Error returns the text of the cause.
func (e *ScopeError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ScopeError) Unwrap() error { return e.Err }

// History is a recorder's REST API in this process. It is safe for concurrent
// use, and must be closed.
type History interface {
	http.RoundTripper
	io.Closer

	// End returns the time before which the file ends.
	End() time.Time
	// Namespace returns the only namespace whose objects were recorded, or "".
	Namespace() string
	// ClusterScoped reports whether cluster-scoped objects were recorded, too.
	ClusterScoped() bool
	// Interrupted reports whether the file is a recording without an end: its
	// process was killed, or is running. unusable is the number of bytes at the
	// end of the file that can't be read.
	Interrupted() (interrupted bool, unusable int64)
}

// stdinFile is the value of --filename that means the standard input.
const stdinFile = "-"

// validateFile rejects flags that contradict --filename.
func (c *connection) validateFile() error {
	for _, other := range []struct {
		set  bool
		flag string
	}{
		{c.url != "", "--recorder-url"},
		{c.namespace != "", "--recorder-namespace"},
		{c.mode != "" && c.mode != string(kube.Auto), "--connect"},
		{c.sendLogin, "--send-credentials"},
		{c.caFile != "", "--recorder-ca"},
	} {
		if other.set {
			return invalidf("--filename and %s can't be combined", other.flag)
		}
	}
	if c.env.Engine == nil {
		return invalidf("--filename: this program can't read files")
	}
	return nil
}

// validateNoFile rejects --filename for a command that reads no history.
func (c *connection) validateNoFile(command string) error {
	if c.file == "" {
		return nil
	}
	return withAdvice("Leave it out.", "--filename and %s can't be combined: it reads no history", command)
}

// openFile opens the history in the file of --filename. Nothing is asked of a
// cluster: it may be another one than that of the file, or no longer exist.
func (c *connection) openFile(ctx context.Context, o client.Options) (_ *session, err error) {
	name, in := c.file, c.env.In
	c.env.file = c.file
	if name == stdinFile {
		name = "the standard input"
	} else {
		file, err := os.Open(c.file)
		if err != nil {
			return nil, invalidf("--filename: %v", err)
		}
		defer file.Close()
		in = file
	}
	found, err := c.env.Engine.Open(ctx, in, c.showRead(name))
	if err != nil {
		return nil, withPrefix(name, err)
	}
	o.Transport, o.Name = found, name
	o.RetryWait = -1 // only this process sends requests
	recorder, err := client.New("http://file", o)
	if err != nil {
		return nil, err
	}
	c.recorded = recordedScope{file: name, namespace: found.Namespace(), clusterScoped: found.ClusterScoped()}
	if interrupted, unusable := found.Interrupted(); interrupted {
		note := "The recording was interrupted, or is running: the file ends at " +
			found.End().Format(time.RFC3339) + "."
		if unusable > 0 {
			note += fmt.Sprintf(" The last %d bytes are damaged or incomplete.", unusable)
		}
		c.env.note(note)
	}
	c.followClock(recorder)
	s := &session{Client: recorder, recorded: &c.recorded}
	s.types = resolver{readCatalogue: recorder.Resources, env: &c.env}
	if s.namespace, err = c.objectNamespace(); err != nil {
		_ = recorder.Close()
		return nil, err
	}
	return s, nil
}

// recordedScope is the scope of a file. It is empty without a file.
type recordedScope struct {
	file          string // as messages name it
	namespace     string // the only one; empty: there are others
	clusterScoped bool   // cluster-scoped objects are in it, too
}

// content returns all that a file of one namespace has, or "" for another file.
func (r *recordedScope) content() string {
	switch {
	case r.namespace == "":
		return ""
	case r.clusterScoped:
		return "namespace " + r.namespace + ", and cluster-scoped objects"
	default:
		return "namespace " + r.namespace
	}
}

// note returns a note with what a file is limited to, or "".
func (r *recordedScope) note() string {
	if r.namespace == "" {
		return ""
	}
	return r.file + " has only " + r.content() + "."
}

// check rejects a namespace that a file does not have. "" is that of
// cluster-scoped objects.
func (r *recordedScope) check(namespace string) error {
	if r.namespace == "" || namespace == r.namespace || namespace == "" && r.clusterScoped {
		return nil
	}
	return withAdvice("-n "+r.namespace+" selects it.", "%s has only namespace %s", r.file, r.namespace)
}

// namespacesRead is how many of the newest changes of a file are read for the
// namespaces that it is about.
const namespacesRead = 1000

// noteNamespaces writes which namespaces a file has, if all were requested and
// it has only one. It also does so if no flag selects a namespace and the file
// has no change in that of the kubeconfig, which may be of another cluster.
func (c *connection) noteNamespaces(ctx context.Context, s *session) error {
	switch {
	case s.namespace == history.AllNamespaces:
		c.env.note(c.recorded.note())
		return nil
	case c.named, *c.config.Namespace != "", c.recorded.namespace != "", s.types.onlyClusterScoped:
		return nil
	}
	page, err := s.Client.Events(ctx, client.EventsQuery{
		Order: history.NewestFirst, Limit: namespacesRead, Classes: []history.Class{history.Root}, Summary: true,
	})
	if err != nil {
		return err
	}
	var found []string
	for i := range page.Events {
		switch of := page.Events[i].Namespace; {
		case history.ScopeOf(of) == s.namespace:
			return nil
		case of != "" && !slices.Contains(found, of):
			found = append(found, of)
		}
	}
	slices.Sort(found)
	if len(found) > 0 {
		c.env.note("The file has changes in the namespaces " + strings.Join(found, ", ") + ": give one with -n, or -A.")
	}
	return nil
}

// showRead returns a function that shows how much of a file was read.
func (c *connection) showRead(name string) func(bytes int64) {
	if c.env.progress == nil {
		return nil
	}
	var shown int64
	return func(bytes int64) {
		if mib := bytes >> 20; mib > shown {
			shown = mib
			c.env.progress.replace(fmt.Sprintf("Reading %s: %d MiB…", name, mib))
		}
	}
}
