package recorder_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var (
	pods    = history.Resource{Version: "v1", Plural: "pods", Kind: "Pod", Singular: "pod", Namespaced: true}
	secrets = history.Resource{Version: "v1", Plural: "secrets", Kind: "Secret", Singular: "secret", Namespaced: true}
	events  = history.Resource{Version: "v1", Plural: "events", Kind: "Event", Singular: "event", Namespaced: true}
	nodes   = history.Resource{Version: "v1", Plural: "nodes", Kind: "Node", Singular: "node"}
)

// world is a log with a running recorder, which can be stopped and started
// again.
type world struct {
	t    *testing.T
	dir  string
	opts recorder.Options
	wrap func(recorder.Log) recorder.Log // injects faults into the log; nil for none
	now  func() time.Time                // clock of the log; the system's clock if nil

	cause gap.Cause // of the lists that feed begins

	store *store.Store
	*recorder.Recorder
	registry *prometheus.Registry // of the recorder
	stop     func() error
}

// open starts a recorder on a new log. The test stops it in its cleanup.
func open(t *testing.T, opts recorder.Options, wrap func(recorder.Log) recorder.Log) *world {
	t.Helper()
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	w := &world{t: t, dir: t.TempDir(), opts: opts, wrap: wrap}
	w.start()
	t.Cleanup(func() { _ = w.close() })
	return w
}

func (w *world) start() {
	w.t.Helper()
	s, err := store.Open(w.dir, store.Options{Now: w.now, Logger: w.opts.Logger})
	if err != nil {
		w.t.Fatal(err)
	}
	var log recorder.Log = s
	if w.wrap != nil {
		log = w.wrap(s)
	}
	opts := w.opts
	w.registry = prometheus.NewRegistry()
	opts.RedactionKey, opts.Registerer = s.RedactionKey(), w.registry
	w.store, w.Recorder = s, recorder.New(log, opts)
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.stop = func() error {
		cancel()
		err, ok := <-ended
		if ok {
			close(ended)
		}
		return err
	}
}

// close stops the recorder, which commits the accepted records, and closes the
// log.
func (w *world) close() error {
	return errors.Join(w.stop(), w.store.Close())
}

func (w *world) restart() {
	w.t.Helper()
	if err := w.close(); err != nil {
		w.t.Fatal(err)
	}
	w.start()
}

func (w *world) stream(r history.Resource) *recorder.Stream {
	w.t.Helper()
	s, err := w.Stream(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// records restarts the recorder, so that everything is committed. It returns
// all records of the resource with their bodies.
func (w *world) records(r history.Resource) []*history.Record {
	w.t.Helper()
	w.restart()
	var all []*history.Record
	scan := history.Scan{Bodies: true}
	scan.Resources = append(scan.Resources, r.GroupResource())
	for record, err := range w.store.Scan(w.t.Context(), scan) {
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, record)
	}
	return all
}

// feed makes the calls of the steps: "sync", "end RV", "abort", "bookmark RV",
// and watch events, as "+", "~" or "-" and name/uid@rv.
func (w *world) feed(s *recorder.Stream, steps ...string) {
	w.t.Helper()
	for _, step := range steps {
		if err := w.tell(s, step); err != nil {
			w.t.Fatalf("%s: %v", step, err)
		}
	}
}

func (w *world) tell(s *recorder.Stream, step string) error {
	ctx := w.t.Context()
	word, rest, _ := strings.Cut(step, " ")
	switch word {
	case "sync":
		return s.BeginList(ctx, w.cause)
	case "end":
		return s.EndList(ctx, rest)
	case "abort":
		s.AbortList()
		return nil
	case "bookmark":
		return s.Bookmark(ctx, rest)
	}
	name, rest, _ := strings.Cut(word[1:], "/")
	uid, rv, _ := strings.Cut(rest, "@")
	return s.Observe(ctx, watchEvent(word[:1], pod(name, uid, rv)))
}

// watchEvent returns a watch event: added for "+", modified for "~", deleted
// for "-".
func watchEvent(sign, object string) history.WatchEvent {
	types := map[string]history.WatchEventType{"+": history.Added, "~": history.Modified, "-": history.Deleted}
	return history.WatchEvent{Type: types[sign], Object: []byte(object)}
}

// pod returns the JSON of a pod. Its node name depends on its resourceVersion.
func pod(name, uid, rv string) string {
	return fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1",`+
		`"metadata":{"name":%q,"namespace":"shop","uid":%q,"resourceVersion":%q},`+
		`"spec":{"nodeName":"node-%s"}}`, name, uid, rv, rv)
}

// lines returns the records as "verb name/uid@rv", followed by their marks.
func lines(records []*history.Record) []string {
	var all []string
	for _, r := range records {
		line := fmt.Sprintf("%s %s/%s@%s", r.Verb, r.Ref.Name, r.Ref.UID, r.RV)
		if r.Initial {
			line += " initial"
		}
		if !r.InferredSince.IsZero() {
			line += " inferred"
		}
		all = append(all, line)
	}
	return all
}

// expect compares the records with lines.
func expect(t *testing.T, records []*history.Record, want ...string) {
	t.Helper()
	got := lines(records)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("recorded\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// eventually waits until a condition is true that another goroutine makes true.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("got a timeout, want %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
