package diff_test

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

func TestObjects(t *testing.T) {
	tests := []struct {
		name     string
		old, new string
		want     []string
	}{
		{"equal", `{"a":[1,{"b":null}]}`, `{"a":[1,{"b":null}]}`, nil},
		{"scalars", `{"a":1,"b":2,"c":3}`, `{"b":2,"c":4,"d":5}`, []string{"removed a", "changed c", "added d"}},
		{"null is a value", `{"a":null}`, `{}`, []string{"removed a"}},
		{
			"quoted fields", `{"metadata":{"labels":{"a/b":"1","c":"1"}}}`,
			`{"metadata":{"labels":{"a/b":"2","c":"2"}}}`,
			[]string{`changed metadata.labels["a/b"]`, "changed metadata.labels.c"},
		},
		{
			"containers are matched by name",
			`{"spec":{"containers":[{"name":"app","image":"a"},{"name":"old","image":"b"}]}}`,
			`{"spec":{"containers":[{"name":"new","image":"b"},{"name":"app","image":"c"}]}}`,
			[]string{
				"removed spec.containers[name=old]", "added spec.containers[name=new]",
				"changed spec.containers[name=app].image",
			},
		},
		{
			"ports are matched by number and protocol",
			`{"ports":[{"containerPort":53,"protocol":"UDP","x":1},{"containerPort":53,"protocol":"TCP"}]}`,
			`{"ports":[{"containerPort":53,"protocol":"UDP","x":2},{"containerPort":53,"protocol":"TCP"}]}`,
			[]string{"changed ports[containerPort=53,protocol=UDP].x"},
		},
		{
			"conditions are matched by type", `{"conditions":[{"type":"A","status":"True"}]}`,
			`{"conditions":[{"type":"B","status":"True"},{"type":"A","status":"False"}]}`,
			[]string{"added conditions[type=B]", "changed conditions[type=A].status"},
		},
		{
			"mounts are matched by path: one volume may have many", `{"m":[{"name":"v","mountPath":"/a"}]}`,
			`{"m":[{"name":"v","mountPath":"/a"},{"name":"v","mountPath":"/b"}]}`,
			[]string{"added m[mountPath=/b]"},
		},
		{
			"keys that are not unique are ignored", `{"l":[{"name":"a"},{"name":"a"}]}`,
			`{"l":[{"name":"a"},{"name":"a"},{"name":"a"}]}`,
			[]string{"added l[2]"},
		},
		{
			"order is kept", `{"l":[{"name":"a"},{"name":"b"}]}`,
			`{"l":[{"name":"b"},{"name":"a"}]}`,
			[]string{"reordered l"},
		},
		{
			"scalars are matched by subsequence", `{"args":["--a","--b","--c"]}`,
			`{"args":["--new","--a","--x","--c"]}`,
			[]string{"added args[0]", "changed args[2]"},
		},
		{
			"items without a key change inside", `{"rules":[{"host":"a","n":1},{"host":"b"}]}`,
			`{"rules":[{"host":"a","n":2},{"host":"b"}]}`,
			[]string{"changed rules[0].n"},
		},
		{
			"quoted keys", `{"l":[{"name":"a].b","x":1},{"name":"c d","x":1}]}`,
			`{"l":[{"name":"a].b","x":2},{"name":"c d","x":2}]}`,
			[]string{`changed l[name="a].b"].x`, `changed l[name="c d"].x`},
		},
		{"types", `{"a":{"b":1},"c":[1]}`, `{"a":[1],"c":{"b":1}}`, []string{"changed a", "changed c"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, after := object(t, tt.old), object(t, tt.new)
			changes := diff.Objects(before, after)
			var got []string
			for _, c := range changes {
				got = append(got, c.Kind.String()+" "+c.Path.String())
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
			checkApplies(t, before, after)
		})
	}
}

func TestNoise(t *testing.T) {
	before := object(t, `{"metadata":{"resourceVersion":"1","generation":1,"uid":"a"},"status":{"observedGeneration":1,
		"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"1","lastTransitionTime":"1"}]}}`)
	after := object(t, `{"metadata":{"resourceVersion":"2","generation":2,"uid":"b",
		"annotations":{"deployment.kubernetes.io/revision":"2","kubectl.kubernetes.io/last-applied-configuration":"{}"}},
		"status":{"observedGeneration":2,"conditions":[{"type":"Ready","status":"False","lastHeartbeatTime":"2","lastTransitionTime":"2"}]}}`)
	var news []string
	noise := 0
	for _, c := range diff.Objects(before, after) {
		if c.Noise() {
			noise++
		} else {
			news = append(news, c.Path.String())
		}
	}
	if want := []string{"metadata.uid", "status.conditions[type=Ready].status"}; !reflect.DeepEqual(news, want) ||
		noise != 6 {
		t.Errorf("got changes %q and %d noise, want %q and 6", news, noise, want)
	}
	whole := diff.Objects(before, map[string]any{})
	for _, c := range whole {
		if c.Noise() {
			t.Errorf("removal of %s: got noise, want none", c.Path)
		}
	}
}

// TestObjects_Random compares random objects with much in common. Applying the
// changes to the old object gives the new one.
func TestObjects_Random(t *testing.T) {
	for seed := range uint64(3000) {
		g := generator{rand.New(rand.NewPCG(seed, 1))}
		before := g.object(4)
		after := g.mutate(before, 4).(map[string]any)
		checkApplies(t, before, after)
		checkApplies(t, before, g.object(4))
		checkApplies(t, before, before)
		if t.Failed() {
			t.Fatalf("failed with seed %d", seed)
		}
	}
}

func TestObjects_UnusualValues(t *testing.T) {
	odd := []map[string]any{
		nil,
		{},
		{"": nil, "spec": 3, "status": []any{}, "metadata": "x"},
		{
			"metadata": map[string]any{"annotations": 1, "labels": []any{nil}},
			"status":   map[string]any{"containerStatuses": map[string]any{"a": 1}},
		},
		{"metadata": map[string]any{"annotations": nil}, "data": []any{map[string]any{"name": nil}}},
		{"status": map[string]any{
			"containerStatuses": []any{map[string]any{"name": "a", "state": 1}},
			"conditions":        []any{map[string]any{"type": "x", "status": 1}},
		}},
		{"status": map[string]any{"containerStatuses": []any{
			map[string]any{"name": "a", "state": map[string]any{"waiting": "no"}, "image": []any{}},
		}}},
		{
			"typed": map[string]string{"a": "b"}, "slice": []string{"a"},
			"nilmap": map[string]any(nil), "nillist": []any(nil),
		},
	}
	for _, before := range odd {
		for _, after := range odd {
			checkApplies(t, before, after)
			diff.Summary(diff.Objects(before, after))
		}
	}
}

func FuzzObjects(f *testing.F) {
	f.Add(`{"spec":{"containers":[{"name":"app","image":"a:1"}]}}`,
		`{"spec":{"containers":[{"name":"app","image":"a:2"}]}}`)
	f.Add(`{"status":{"containerStatuses":[{"name":"a","state":{"waiting":{"reason":"x"}}}]}}`,
		`{"status":{"containerStatuses":[]}}`)
	f.Add(`{"metadata":{"annotations":{"a":"b"}},"data":{"k":"v"}}`, `{"metadata":{},"data":{"k":"w"}}`)
	f.Add(`{"l":[1,2,3,[4]]}`, `{"l":[3,2,{"name":"x"}]}`)
	f.Add(`{"data":{"a":"b: 1\nc: [d]\n","x":"{\"y\":1}"}}`, `{"data":{"a":"b: 2\nc: []\n","x":"{\"y\":2}"}}`)
	f.Add(`{"spec":{"ports":[{"port":80}],"taints":[{"key":"a/b","effect":"c"}],"x":{"size":1},"y":{"size":1}}}`,
		`{"spec":{"ports":[{"port":81}],"ingress":[{"from":[{"podSelector":{"matchLabels":{"a":"b"}}}]}]},`+
			`"rules":[{}]}`)
	f.Add(`{"status":{"conditions":[{"type":"A","status":"True","reason":"x","message":"y"}]}}`,
		`{"status":{"conditions":[{"type":"A","status":7,"reason":"z"}]}}`)
	f.Fuzz(func(t *testing.T, a, b string) {
		var before, after map[string]any
		if json.Unmarshal([]byte(a), &before) != nil || json.Unmarshal([]byte(b), &after) != nil {
			return
		}
		checkApplies(t, before, after)
		checkSummary(t, diff.Summary(diff.Objects(before, after)))
	})
}

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// checkApplies checks that the changes lead from one object to the other.
func checkApplies(t *testing.T, before, after map[string]any) {
	t.Helper()
	changes := diff.Objects(before, after)
	if got := apply(before, changes); !sameJSON(got, after) {
		t.Errorf("apply %v to %s:\ngot  %s\nwant %s", changes, text(before), text(got), text(after))
	}
	if got := diff.Objects(after, after); len(got) != 0 {
		t.Errorf("compare %s with itself: got %v, want no changes", text(after), got)
	}
}

// sameJSON compares objects. A nil object equals an empty one only at the root,
// as for a decoded null.
func sameJSON(a, b map[string]any) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
