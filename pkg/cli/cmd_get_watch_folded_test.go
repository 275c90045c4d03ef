package cli_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// rollout returns a version of a Deployment with three replicas, of which some
// are ready.
func rollout(image string, generation, observed, ready int) *history.Record {
	return &history.Record{
		Ref: ref("apps", "deployments", "shop", "api", "uid-api"), Kind: "Deployment", Verb: history.Update,
		Managers: by("kubectl-set"),
		Object: fmt.Appendf(nil, `{"apiVersion":"apps/v1","kind":"Deployment",`+
			`"metadata":{"name":"api","namespace":"shop","generation":%d},`+
			`"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"app","image":"app:%s"}]}}},`+
			`"status":{"observedGeneration":%d,"replicas":3,"updatedReplicas":%d,"readyReplicas":%d,`+
			`"availableReplicas":%d}}`, generation, image, observed, ready, ready, ready),
	}
}

// status returns a version that only a controller's status differs in.
func status(r *history.Record) *history.Record {
	r.Class, r.Managers = history.Consequence, by("kube-controller-manager")
	return r
}

// clockTimes matches the times of folded rows.
var clockTimes = regexp.MustCompile(`(?m)^(\w\w\w [ \d]\d )?\d\d:\d\d:\d\d`)

// masked returns an output without its heading, and with the same time in every
// row.
func masked(output string) string {
	if _, rows, found := strings.Cut(output, "\n\n"); found {
		output = rows
	}
	return clockTimes.ReplaceAllString(output, "12:00:00")
}

func TestGetWatch_FoldsAndWritesOutcomes(t *testing.T) {
	r := newRecording(t)
	created := rollout("1.4", 1, 1, 3)
	created.Verb = history.Create
	r.write(time.Hour, created)
	r.write(5*time.Minute, rollout("1.5", 2, 1, 3))
	f := follow(t, r, "get", "-w", "--since", "30m")
	f.has("image app 1.4 → 1.5")
	r.write(4*time.Minute, status(rollout("1.5", 2, 2, 1)))
	r.write(3*time.Minute, status(rollout("1.5", 2, 2, 3)))
	f.has("✓ 3/3 ready")
	r.writeMap("settings")
	f.has("configmap/settings")
	r.write(0, rollout("1.6", 3, 2, 3))
	f.has("image app 1.5 → 1.6")
	r.write(0, status(rollout("1.6", 3, 3, 2)))
	pod := &history.Record{
		Ref: ref("", "pods", "shop", "api-1", "uid-api-1"), Kind: "Pod", Verb: history.Create,
		Managers: by("kubelet"), Owners: []types.UID{"uid-api"}, Class: history.Onset,
		Object: []byte(`{"status":{"containerStatuses":[{"name":"app","state":{"waiting":` +
			`{"reason":"ImagePullBackOff"}}}]}}`),
	}
	r.write(0, pod)
	f.has("✗ pod/api-1")
	f.stop()
	want := `12:00:00   kubectl set   deployment/api#2   image app 1.4 → 1.5
                                              … waiting for the controller
12:00:00                 deployment/api#2   ✓ 3/3 ready after 2m (2 consequences)
12:00:00   helm          configmap/settings#1   created
12:00:00   kubectl set   deployment/api#5       image app 1.5 → 1.6
12:00:00                 deployment/api#5       ✗ pod/api-1 ImagePullBackOff after 0s (2 consequences)
`
	if got := masked(f.output()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Of given types, the rows and the gaps are shown, and nothing of others.
func TestGetWatch_FoldsGivenTypes(t *testing.T) {
	r := newRecording(t)
	r.write(time.Hour, rollout("1.4", 1, 1, 3))
	f := follow(t, r, "get", "deploy,cm", "-w", "--no-headers")
	f.has("deployment/api#1")
	deployments := schema.GroupResource{Group: "apps", Resource: "deployments"}
	r.writeGaps(2*time.Minute, -1, history.GapForbidden, "", schema.GroupResource{Resource: "pods"})
	r.write(0, &history.Record{
		Ref:  ref("toys.example", "wolves", "shop", "grey", "uid-wolf"),
		Kind: "Wolf", Verb: history.Create, Object: []byte(`{}`),
	})
	r.writeGaps(2*time.Minute, -1, history.GapForbidden, "", deployments)
	f.has("recorder sees no deployments since")
	r.writeMap("one")
	f.has("configmap/one#1")
	f.stop()
	if got := f.output(); strings.Contains(got, "wolf") || strings.Contains(got, "pods") {
		t.Errorf("got\n%s\nwant only Deployments and ConfigMaps", got)
	}
}

// Types that change only as consequences are not folded.
func TestGetWatch_ConsequencesAreFlat(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	for _, flag := range []string{"-w", "--watch-only"} {
		f := follow(t, r, "get", "pods", flag, "--since", "24h")
		for range 3000 { // until the stream is open
			if r.streams.Load() > 2 { // the others are for the positions
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		pod := &history.Record{
			Ref: ref("", "pods", "shop", "web-1", "uid-web-1"+flag), Kind: "Pod", Verb: history.Create,
			Managers: by("kubelet"), Owners: []types.UID{"uid-rs"}, Class: history.Consequence, Object: []byte(`{}`),
		}
		r.write(0, pod)
		f.has("pod/web-1")
		f.stop()
		if got := f.output(); !strings.HasPrefix(got, "TIME ") {
			t.Errorf("%s: got\n%s\nwant a table of versions", flag, got)
		}
		r.streams.Store(0)
	}
}

// What is written later is not on the page before.
func TestGetWatch_OnlyNewRows(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	f := follow(t, r, "--watch-only")
	for range 3000 { // until the stream is open
		if r.streams.Load() == 2 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	r.writeMap("one")
	f.has("configmap/one")
	f.stop()
	if want := "12:00:00   helm   configmap/one#1   created\n"; masked(f.output()) != want {
		t.Errorf("got %q, want %q", masked(f.output()), want)
	}
}

// A change that belongs to a row which was written is a row again, with what
// has become of it.
func TestGetWatch_RowsGrow(t *testing.T) {
	r := newRecording(t)
	replicas := func(n int, manager string) *history.Record {
		d := rollout("1.4", n, n, 3)
		d.Object = bytes.ReplaceAll(d.Object, []byte(`"replicas":3,"template"`),
			fmt.Appendf(nil, `"replicas":%d,"template"`, n))
		d.Managers = []history.Manager{{Name: manager, Fields: []string{"spec.replicas"}}}
		return d
	}
	r.write(time.Hour, replicas(2, "helm"))
	f := follow(t, r, "get", "-w", "--since", "10m", "--who", "kubectl")
	for i, n := range []int{4, 2, 4, 2} {
		manager := []string{"kubectl", "ledger-operator"}[i%2]
		r.write(time.Duration(8-i)*time.Minute, replicas(n, manager))
		if manager == "kubectl" {
			f.has(fmt.Sprintf("deployment/api#%d", i+2))
		}
	}
	f.has("FIGHT")
	f.stop()
	for _, want := range []string{
		"kubectl   deployment/api#2   replicas 2 → 4\n", "deployment/api#4", "replicas 2 ⇄ 4 ×4 in 3m FIGHT",
	} {
		if !strings.Contains(f.output(), want) {
			t.Errorf("got\n%s\nwant %q", f.output(), want)
		}
	}
}

// restartable is a recorder that can be stopped and started again with its
// database, at the same address.
type restartable struct {
	t       *testing.T
	dir     string
	address string
	api     *recordertest.API
	server  *httptest.Server
	before  func(*http.Request) // is called before each request; may be nil
}

func (r *restartable) start() {
	r.t.Helper()
	var err error
	if r.api, err = recordertest.OpenAPI(r.dir, nil); err != nil {
		r.t.Fatal(err)
	}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.before != nil {
			r.before(q)
		}
		r.api.ServeHTTP(w, q)
	}))
	if r.address != "" {
		_ = r.server.Listener.Close()
		if r.server.Listener, err = net.Listen("tcp", r.address); err != nil { //nolint:noctx // a test
			r.t.Fatal(err)
		}
	}
	r.server.Start()
	r.address = r.server.Listener.Addr().String()
}

func (r *restartable) stop() {
	r.t.Helper()
	r.server.CloseClientConnections()
	r.server.Close()
	if err := r.api.Close(); err != nil {
		r.t.Error(err)
	}
}

// write records a root change that is folded with no other one.
func (r *restartable) write(n int) {
	r.t.Helper()
	name := fmt.Sprintf("m%d", n)
	resource := history.Resource{Version: "v1", Plural: "configmaps", Kind: "ConfigMap", Namespaced: true}
	err := r.api.Record(r.t.Context(), []history.Resource{resource}, &history.Batch{Versions: []history.NewVersion{{
		Record: &history.Record{
			Ref: ref("", "configmaps", "shop", name, "uid-"+name), Kind: "ConfigMap", Verb: history.Create,
			RV: fmt.Sprint(n + 1), Version: "v1", Managers: by("writer-" + name), Object: []byte(`{}`),
		},
	}}})
	if err != nil {
		r.t.Fatal(err)
	}
}

// Each row is written once, whatever happens to the recorder, and none is lost.
func TestGetWatch_WritesEachRowOnceAcrossRestarts(t *testing.T) {
	server := &restartable{t: t, dir: t.TempDir()}
	server.start()
	defer func() { server.stop() }()
	n := 0
	some := func(most int) {
		for range most {
			server.write(n)
			n++
		}
	}
	some(5)
	r := &recording{t: t, url: "http://" + server.address, now: time.Now()}
	f := follow(t, r, "get", "-w", "--limit", "3")
	f.has("configmap/m4#1")
	some(1)
	f.has("configmap/m5#1") // the stream is open
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for range rounds {
		some(7)
		server.stop()
		server.start()
		some(300) // more than one page
		f.has(fmt.Sprintf("configmap/m%d#1", n-1))
		server.server.CloseClientConnections()
		some(2)
		f.has(fmt.Sprintf("configmap/m%d#1", n-1))
	}
	f.stop()
	for i := range n {
		want := 1
		if i < 2 {
			want = 0 // beyond the limit
		}
		name := fmt.Sprintf("configmap/m%d#1 ", i)
		if got := strings.Count(f.output(), name); got != want {
			t.Errorf("%s: got %d rows, want %d", name, got, want)
		}
	}
	if !strings.Contains(f.stderr, "Reconnected to the recorder; no change was missed.\n") {
		t.Errorf("got stderr %q, want a note about the reconnection", f.stderr)
	}
}
