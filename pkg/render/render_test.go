package render_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func now() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) }

func ago(d time.Duration) time.Time { return now().Add(-d) }

// golden compares got with testdata/NAME.txt, where NAME is the test's name.
func golden(t *testing.T, got string) {
	t.Helper()
	path := filepath.Join("testdata", strings.ReplaceAll(t.Name(), "/", "_")+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant (%s; -update rewrites it)\n%s", got, path, want)
	}
}

// testLooks writes a table or a diff with several options, and compares each
// output with its golden file.
func testLooks(t *testing.T, run func(*render.Printer) error) {
	t.Helper()
	for name, opts := range map[string]render.Options{
		"plain":      {},
		"terminal":   {Color: true, Width: 90},
		"narrow":     {Width: 20},
		"wide":       {Wide: true, Namespaces: true},
		"timestamps": {Timestamps: true, Location: time.FixedZone("", 3600), NoHeaders: true},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			opts.Now = now()
			if err := run(render.New(&out, opts)); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(out.String()) {
				if strings.HasSuffix(strings.TrimSuffix(line, "\n"), " ") {
					t.Errorf("got trailing white space in %q, want none", line)
				}
				if width := twwidth.Width(strings.TrimSuffix(line, "\n")); opts.Width == 90 && width > 90 {
					t.Errorf("got %d columns, want at most 90: %q", width, line)
				}
			}
			golden(t, out.String())
		})
	}
}

// web returns a version of the Deployment "web".
func web(revision uint64, at time.Duration, verb, summary string, managers ...v1.Manager) v1.Event {
	return v1.Event{
		Timestamp: ago(at), Verb: verb, Namespace: "shop", ResourceType: "deployments", ResourceName: "web",
		Group: "apps", APIVersion: "apps/v1", Kind: "Deployment", UID: "uid-web",
		ResourceVersion: "100", Revision: revision,
		Summary: summary, Managers: managers,
	}
}

// changes returns versions of several objects, oldest first: one of each kind
// that a table writes in a way of its own.
func changes() []v1.Event {
	initial := web(1, 6*24*time.Hour, "create", "existed when recording began")
	initial.Initial = true
	inferred := web(4, time.Minute, "delete", "deleted")
	inferred.Inferred = &v1.Interval{Start: ago(3 * time.Minute), End: ago(time.Minute)}
	node := v1.Event{
		Timestamp: ago(12 * time.Minute), Verb: "update", ResourceType: "nodes",
		ResourceName: "node-1", Kind: "Node", Revision: 7,
	}
	pod := v1.Event{
		Timestamp: ago(11 * time.Minute), Verb: "create", Namespace: "shop", ResourceType: "pods",
		ResourceName: "web-7d9f-x2k1p", Kind: "Pod", Revision: 1,
		Managers: []v1.Manager{{Manager: "kubelet", Subresource: "status"}, {Manager: "kube-controller-manager"}},
		Summary: "evil \x1b[31mred\u202e\u009b1m\r\n" +
			"second\tline and a text which is longer than any terminal is wide: 東京 東京 東京 東京 東京 東京 東京",
	}
	scaled := web(3, 10*time.Minute, "update", "scaled 3 → 0")
	scaled.Unmanaged = &v1.Unmanaged{Subresource: "scale"}
	bound := v1.Event{
		Timestamp: ago(10 * time.Minute), Verb: "update", Namespace: "shop", ResourceType: "pods",
		ResourceName: "web-7d9f-x2k1p", Kind: "Pod", Revision: 2,
		Unmanaged: &v1.Unmanaged{Subresource: "binding", Writer: "kube-scheduler"}, Summary: "scheduled to node-1",
	}
	return []v1.Event{
		initial, node, web(2, 12*time.Minute, "update", "image app: 1.4 → 1.5", v1.Manager{Manager: "kubectl-set"}),
		pod, scaled, bound, inferred,
	}
}

func TestTimeline(t *testing.T) {
	testLooks(t, func(p *render.Printer) error { return p.Timeline(changes(), nil) })
}

// TestTimeline_ContinuesTable checks that the next page of a table has no
// header, and that its columns are at least as wide.
func TestTimeline_ContinuesTable(t *testing.T) {
	var out bytes.Buffer
	p, events := render.New(&out, render.Options{Now: now()}), changes()
	for _, page := range [][]v1.Event{events[1:4], nil, events[:1]} {
		if err := p.Timeline(page, nil); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, out.String())
}

func TestHistory(t *testing.T) {
	testLooks(t, func(p *render.Printer) error { return p.History(changes(), nil) })
}

func TestTables_WriteNothingWithoutRows(t *testing.T) {
	var out bytes.Buffer
	p := render.New(&out, render.Options{})
	for _, write := range []func([]v1.Event, []v1.Gap) error{p.Timeline, p.History, p.Related} {
		if err := write(nil, nil); err != nil || out.Len() > 0 {
			t.Errorf("got %q and error %v, want nothing", out.String(), err)
		}
	}
	if err := p.Names(nil); err != nil || out.Len() > 0 {
		t.Errorf("got %q and error %v, want nothing", out.String(), err)
	}
}

func TestRelated(t *testing.T) {
	testLooks(t, func(p *render.Printer) error { return p.Related(kubernetesEvents(), nil) })
}

// kubernetesEvents returns records of three Kubernetes Events. One of them has
// two records, another a body that is not JSON.
func kubernetesEvents() []v1.Event {
	record := func(uid string, at time.Duration, body string) v1.Event {
		return v1.Event{
			Timestamp: ago(at), Verb: "update", Namespace: "shop", ResourceType: "events",
			ResourceName: uid, Kind: "Event", UID: uid,
			Summary: "from the record", ObjectChanges: json.RawMessage(body),
		}
	}
	backOff := func(count, last string) string {
		return `{"type":"Warning","reason":"BackOff","message":"Back-off restarting\nfailed container",` +
			`"count":` + count + `,
			"involvedObject":{"kind":"Pod","name":"web-7d9f-x2k1p"},"source":{"component":"kubelet"},
			"firstTimestamp":"2026-03-04T11:57:00Z","lastTimestamp":"` + last + `"}`
	}
	return []v1.Event{
		record("e1", 3*time.Minute, backOff("1", "2026-03-04T11:57:00Z")),
		record("e2", 4*time.Minute, `{"type":"Normal","reason":"ScalingReplicaSet",`+
			`"message":"Scaled up replica set web-7d9f to 3",
			"involvedObject":{"kind":"Deployment","name":"web"},"reportingComponent":"deployment-controller","eventTime":"2026-03-04T11:56:00.000001Z",
			"firstTimestamp":null,"lastTimestamp":null}`),
		record("e1", 2*time.Minute, backOff("5", "2026-03-04T11:58:00Z")),
		record("e3", 5*time.Minute, `broken`),
	}
}

func TestDocument(t *testing.T) {
	for name, write := range map[string]func(*render.Printer, []v1.Event) error{
		"json":  func(p *render.Printer, e []v1.Event) error { return p.JSON(render.Items{Items: e}) },
		"yaml":  func(p *render.Printer, e []v1.Event) error { return p.YAML(render.Items{Items: e}) },
		"names": (*render.Printer).Names,
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			err := write(render.New(&out, render.Options{Now: now(), Color: true, Width: 10}), changes()[:3])
			if err != nil {
				t.Fatal(err)
			}
			golden(t, out.String())
		})
	}
}
