package watcher_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// fakeDocuments is a [fakeDiscovery] with a version and schemas, behind a proxy
// with a prefix.
type fakeDocuments struct {
	*fakeDiscovery

	schemas map[string]string // hashes by "api/v1" or "apis/group/version"; "" has no hash
	fails   map[string]int    // paths that get this status; -1 hangs
	asked   map[string]int    // requests of documents, by path
}

// prefix is the path below which the server is.
const prefix = "/proxy/cluster"

func newFakeDocuments(served map[string][]string) *fakeDocuments {
	d := &fakeDocuments{
		fakeDiscovery: newFakeDiscovery(served), schemas: map[string]string{}, fails: map[string]int{},
		asked: map[string]int{},
	}
	for gv := range served {
		path := "apis/" + gv
		if !strings.Contains(gv, "/") {
			path = "api/" + gv
		}
		d.schemas[path] = "1"
	}
	return d
}

func (d *fakeDocuments) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	http.StripPrefix(prefix, http.HandlerFunc(d.serve)).ServeHTTP(w, r)
}

func (d *fakeDocuments) serve(w http.ResponseWriter, r *http.Request) {
	path := strings.Trim(r.URL.Path, "/")
	if path != "version" && !strings.HasPrefix(path, "openapi/v3") {
		d.fakeDiscovery.ServeHTTP(w, r)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked[path]++
	w.Header().Set("Content-Type", "application/json")
	gv, isSchema := strings.CutPrefix(path, "openapi/v3/")
	switch code := d.fails[path]; {
	case code < 0:
		d.mu.Unlock()
		<-r.Context().Done()
		d.mu.Lock()
	case code > 0:
		status(code, string(reasons[code]), "it fails")(w, r)
	case isSchema:
		fmt.Fprintf(w, `{"schema":%q,"hash":%q}`, gv, d.schemas[gv])
	case path == "version":
		_, _ = w.Write([]byte(`{"gitVersion":"v1"}`))
	default:
		paths := map[string]any{"version": map[string]string{"serverRelativeURL": "/openapi/v3/version?hash=0"}}
		for gv, hash := range d.schemas {
			url := "/openapi/v3/" + gv
			if hash != "" {
				url += "?hash=" + hash
			}
			paths[gv] = map[string]string{"serverRelativeURL": url}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"paths": paths})
	}
}

// requests returns the number of requests of each document since the last call.
func (d *fakeDocuments) requests() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := maps.Clone(d.asked)
	clear(d.asked)
	return asked
}

// documentSink records reads like the recorder, but only in memory.
type documentSink struct {
	mu     sync.Mutex
	fails  error             // of the next Begin
	reads  int               // complete ones
	cause  gap.Cause         // of the last Begin
	hashes map[string]string // of the server, by document
	unread map[string]gap.Cause
	named  map[string]bool // in the current read
	served []string        // documents that the last complete read named, sorted
	lost   map[string]gap.Cause
}

func newDocumentSink() *documentSink { return &documentSink{hashes: map[string]string{}} }

func (s *documentSink) Begin(_ context.Context, _ time.Time, cause gap.Cause) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named, s.lost, s.cause = map[string]bool{}, map[string]gap.Cause{}, cause
	err := s.fails
	s.fails = nil
	return err
}

func (s *documentSink) ServerHash(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hashes[name]
}

func (s *documentSink) Unchanged(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.named[name] = true
}

func (s *documentSink) Observe(_ context.Context, name, serverHash string, content []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !json.Valid(content) {
		return fmt.Errorf("%s is not JSON: %s", name, content)
	}
	s.named[name], s.hashes[name] = true, serverHash
	return nil
}

func (s *documentSink) Unread(path string, cause gap.Cause) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lost[path] = cause
}

func (s *documentSink) End(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	s.served, s.unread = slices.Sorted(maps.Keys(s.named)), s.lost
	return nil
}

// expect compares the last complete read with the documents and the unread
// paths, as "!PATH".
func (s *documentSink) expect(t *testing.T, when string, want ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := slices.Clone(s.served)
	for path := range s.unread {
		got = append(got, "!"+path)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n%q\nwant\n%q", when, got, want)
	}
}

// reading runs a set that reads the documents of a server.
func reading(t *testing.T, api *fakeDocuments, test func(*testSet, *documentSink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sink := newDocumentSink()
		w := &testSet{sinks: map[string]*fakeSink{}, documents: sink, prefix: prefix}
		targets := watcher.Targets{DiscoverCRDs: true, Documents: true}
		w.during(t, api, targets, func(w *testSet) {
			time.Sleep(5 * time.Minute) // until the first read has settled
			synctest.Wait()
			test(w, sink)
		})
	})
}

// crdGroup is the group version of the CRDs.
const crdGroup = "apiextensions.k8s.io/v1"

func TestDocuments_FetchesOnlyChangedSchemas(t *testing.T) {
	t.Parallel()
	api := newFakeDocuments(map[string][]string{
		"v1": {"pods"}, "apps/v1": {"deployments"}, crdGroup: {"customresourcedefinitions"},
	})
	api.schemas["apis/apps/v1"] = "" // a server without hashes
	all := []string{
		"version", "api", "apis", "api/v1", "apis/apps/v1", "apis/" + crdGroup,
		"openapi/v3/api/v1", "openapi/v3/apis/apps/v1", "openapi/v3/apis/" + crdGroup,
	}
	reading(t, api, func(w *testSet, sink *documentSink) {
		sink.expect(t, "first read", all...)
		if got := api.requests(); got["openapi/v3/api/v1"] != 1 || got["openapi/v3/version"] != 0 {
			t.Errorf("requests at the start: got %v, want one of the schema of v1, and none of other documents", got)
		}
		before := sink.reads
		time.Sleep(time.Hour)
		if n := sink.reads - before; n < 5 || n > 7 {
			t.Errorf("reads within an hour: got %d, want 6", n)
		}
		if got := api.requests(); got["openapi/v3/api/v1"] != 0 || got["openapi/v3/apis/apps/v1"] != got["version"] ||
			got["openapi/v3"] != got["version"] || got["version"] > 7 {
			t.Errorf("requests within an hour: got %v, want none of the unchanged schema, one of others per read", got)
		}
		api.change(func() { api.schemas["api/v1"] = "2" })
		time.Sleep(11 * time.Minute)
		if got := api.requests()["openapi/v3/api/v1"]; got != 1 {
			t.Errorf("requests of the changed schema: got %d, want 1", got)
		}
		sink.expect(t, "at last", all...)
	})
}

// A CRD that changes may change only its schema, and that a while later.
func TestDocuments_AreReadSoonAfterChangeOfCRD(t *testing.T) {
	t.Parallel()
	api := newFakeDocuments(map[string][]string{"v1": {"pods"}, crdGroup: {"customresourcedefinitions"}})
	api.events["customresourcedefinitions"] = nil
	reading(t, api, func(w *testSet, sink *documentSink) {
		api.requests()
		before := sink.reads
		api.change(func() {
			api.events["customresourcedefinitions"] = []string{
				`{"type":"ADDED","object":{"kind":"CustomResourceDefinition",` +
					`"metadata":{"name":"x","resourceVersion":"9"}}}`,
			}
		})
		api.cut("customresourcedefinitions")
		time.Sleep(time.Second)
		if n := sink.reads - before; n != 1 {
			t.Errorf("reads within a second: got %d, want 1", n)
		}
		api.change(func() { api.schemas["api/v1"] = "2" })
		time.Sleep(20 * time.Second)
		if got := api.requests()["openapi/v3/api/v1"]; got != 1 {
			t.Errorf("requests of the schema that changed later: got %d, want 1", got)
		}
		time.Sleep(2 * time.Minute)
		if n := sink.reads - before; n != 4 {
			t.Errorf("reads until it has settled: got %d, want 4", n)
		}
	})
}

// What can't be read is reported as unread, and not as missing.
func TestDocuments_AreUnreadWhileTheirServerIsDown(t *testing.T) {
	t.Parallel()
	const agg = "metrics.example.com/v1"
	api := newFakeDocuments(map[string][]string{
		"v1": {"pods"}, agg: {"readings"}, crdGroup: {"customresourcedefinitions"},
	})
	others := []string{
		"version", "api", "apis", "api/v1", "apis/" + crdGroup, "openapi/v3/api/v1", "openapi/v3/apis/" + crdGroup,
	}
	reading(t, api, func(w *testSet, sink *documentSink) {
		sink.expect(t, "first read", append(others, "apis/"+agg, "openapi/v3/apis/"+agg)...)
		api.change(func() { api.down[agg] = true; delete(api.schemas, "apis/"+agg) })
		time.Sleep(11 * time.Minute)
		sink.expect(t, "down", append(others, "!apis/"+agg, "!openapi/v3/apis/"+agg)...)
		got := sink.unread["apis/"+agg]
		if got.Reason != history.GapServerError || !strings.Contains(got.Detail, "down") {
			t.Errorf("cause: got %+v, want %s and the server's text", got, history.GapServerError)
		}
		api.change(func() { api.down[agg] = false; api.schemas["apis/"+agg] = "2" })
		time.Sleep(2 * time.Minute)
		sink.expect(t, "back", append(others, "apis/"+agg, "openapi/v3/apis/"+agg)...)
		api.change(func() { delete(api.served, agg); delete(api.schemas, "apis/"+agg) })
		time.Sleep(11 * time.Minute)
		sink.expect(t, "removed", others...)

		api.change(func() { api.fails["openapi/v3/api/v1"] = -1; api.schemas["api/v1"] = "2" })
		time.Sleep(12 * time.Minute)
		sink.expect(t, "one schema hangs", append(slices.DeleteFunc(slices.Clone(others), func(name string) bool {
			return name == "openapi/v3/api/v1"
		}), "!openapi/v3/api/v1")...)
	})
}

func TestDocuments_ForbiddenSchemasAreLoggedOnce(t *testing.T) {
	t.Parallel()
	api := newFakeDocuments(map[string][]string{"v1": {"pods"}, crdGroup: {"customresourcedefinitions"}})
	api.fails["openapi/v3"] = http.StatusForbidden
	reading(t, api, func(w *testSet, sink *documentSink) {
		time.Sleep(time.Hour)
		sink.expect(t, "forbidden", "version", "api", "apis", "api/v1", "apis/"+crdGroup, "!openapi/v3")
		if got := sink.unread["openapi/v3"]; got.Reason != history.GapForbidden ||
			!strings.Contains(got.Detail, "verb get on the non-resource URL /openapi/v3") {
			t.Errorf("cause: got %+v, want %s and the missing right", got, history.GapForbidden)
		}
		if n := w.logged("can't be read", "/openapi/v3"); n != 1 {
			t.Errorf("lines in the log: got %d, want 1:\n%s", n, w.log.String())
		}
	})
}

// A read that fails is repeated, and disturbs no watch.
func TestDocuments_FailedReadIsRepeated(t *testing.T) {
	t.Parallel()
	api := newFakeDocuments(map[string][]string{"v1": {"pods"}, crdGroup: {"customresourcedefinitions"}})
	reading(t, api, func(w *testSet, sink *documentSink) {
		sink.mu.Lock()
		sink.fails = errors.New("the disk is full")
		sink.mu.Unlock()
		before := sink.reads
		time.Sleep(11 * time.Minute)
		if n := sink.reads - before; n < 1 || sink.cause.Detail != "" && !strings.Contains(sink.cause.Detail, "full") {
			t.Errorf("got %d reads, the last with cause %+v, want one after the failure", n, sink.cause)
		}
		if n := w.logged("level=WARN", "retrying", "the disk is full"); n != 1 {
			t.Errorf("lines in the log: got %d, want 1:\n%s", n, w.log.String())
		}
	})
}
