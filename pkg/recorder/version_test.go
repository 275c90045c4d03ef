package recorder_test

import (
	"reflect"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// one records one object and returns its record.
func one(t *testing.T, resource history.Resource, object string) *history.Record {
	t.Helper()
	w := open(t, recorder.Options{}, nil)
	s := w.stream(resource)
	w.feed(s, "sync", "end 1")
	if err := s.Observe(t.Context(), watchEvent("+", object)); err != nil {
		t.Fatal(err)
	}
	records := w.records(resource)
	if len(records) != 1 {
		t.Fatalf("got %d records, want 1", len(records))
	}
	return records[0]
}

func TestParse_ReadsFields(t *testing.T) {
	deployments := history.Resource{
		Group: "apps", Version: "v1beta2", Plural: "deployments", Kind: "Deployment", Namespaced: true,
	}
	r := one(t, deployments, `{"apiVersion":"apps/v1","kind":"Deployment",`+
		`"metadata":{"name":"web","namespace":"shop","uid":"u1","resourceVersion":"7",`+
		`"ownerReferences":[{"kind":"A","uid":"o1"},{"uid":"o2","name":"b"}]},`+
		`"involvedObject":{"kind":"Pod"},"spec":null}`)
	want := history.ObjectRef{Group: "apps", Resource: "deployments", Namespace: "shop", Name: "web", UID: "u1"}
	if r.Ref != want || r.Version != "v1" || r.Kind != "Deployment" || r.RV != "7" || r.Verb != history.Create {
		t.Errorf("got record %+v, want a create of %+v, apps/v1 Deployment at 7", r, want)
	}
	if !reflect.DeepEqual(r.Owners, []types.UID{"o1", "o2"}) {
		t.Errorf("got owners %v, want o1 and o2", r.Owners)
	}
	if r.Regarding != nil {
		t.Errorf("got target %+v of a Deployment, want none", r.Regarding)
	}
}

func TestParse_ReadsTargetOfEvent(t *testing.T) {
	newer := history.Resource{Group: "events.k8s.io", Version: "v1", Plural: "events", Kind: "Event", Namespaced: true}
	for _, tc := range []struct {
		resource history.Resource
		member   string
		want     *history.Target
	}{
		{
			events, `"involvedObject":{"kind":"Pod","namespace":"shop","name":"web","uid":"u9","apiVersion":"v1"}`,
			&history.Target{Kind: "Pod", Namespace: "shop", Name: "web", UID: "u9"},
		},
		{
			newer, `"regarding":{"kind":"Deployment","name":"web","apiVersion":"apps/v1"}`,
			&history.Target{Group: "apps", Kind: "Deployment", Name: "web"},
		},
		{
			events, `"involvedObject":{"kind":"Pod","name":"web","apiVersion":"a/b/c"}`,
			&history.Target{Kind: "Pod", Name: "web"},
		},
		{events, `"involvedObject":{}`, nil},
		{events, `"involvedObject":null`, nil},
	} {
		r := one(t, tc.resource,
			`{"metadata":{"name":"e","namespace":"shop","uid":"u1","resourceVersion":"7"},`+tc.member+`}`)
		if !reflect.DeepEqual(r.Regarding, tc.want) {
			t.Errorf("%s: got target %+v, want %+v", tc.member, r.Regarding, tc.want)
		}
	}
}

func TestParse_RemovesOnlyManagedFields(t *testing.T) {
	const managed = `"managedFields":[{"manager":"m","fieldsV1":{"f:a":{"k:{\"x\":1}":{}}}},{}]`
	for _, tc := range []struct{ name, object, want string }{
		{
			"in the middle",
			`{"kind":"Node","apiVersion":"v1","metadata":{"name":"n","uid":"u","resourceVersion":"2",` +
				managed + `,"labels":{}}, "z":1.50, "a":"é\u00e9" }`,
			`{"kind":"Node","apiVersion":"v1",` +
				`"metadata":{"name":"n","uid":"u","resourceVersion":"2","labels":{}}, "z":1.50, "a":"é\u00e9" }`,
		}, {
			"at the end",
			`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","uid":"u","resourceVersion":"2",` + managed + `}}`,
			`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n","uid":"u","resourceVersion":"2"}}`,
		}, {
			"an item of a list",
			`{"metadata":{` + managed + `,"name":"n","uid":"u","resourceVersion":"2"}}`,
			`{"kind":"Node","apiVersion":"v1","metadata":{"name":"n","uid":"u","resourceVersion":"2"}}`,
		},
	} {
		if got := string(one(t, nodes, tc.object).Object); got != tc.want {
			t.Errorf("%s: got\n\t%s\nwant\n\t%s", tc.name, got, tc.want)
		}
	}
}

func TestParse_RejectsInvalidObjects(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	valid := pod("a", "u1", "5")
	for _, object := range []string{
		"", "null", "[]", "{}", valid[:len(valid)-1], valid + "x", strings.Replace(valid, `"shop"`, `7`, 1),
		strings.Replace(valid, `"u1"`, `""`, 1),
		strings.Replace(valid, `"5"`, `""`, 1), strings.Replace(valid, `"name":"a"`, `"name":null`, 1),
		strings.Replace(valid, `"name":"a"`, `"name":"a","managedFields":[],"managedFields":[]`, 1),
		// Names of roles may be that long.
		strings.Replace(valid, `"name":"a"`, `"name":"`+strings.Repeat("r", 1025)+`"`, 1),
	} {
		if err := s.Observe(t.Context(), watchEvent("+", object)); history.CodeOf(err) != history.Invalid {
			t.Errorf("%s: got error %v, want an Invalid error", object, err)
		}
	}
	if err := s.Observe(t.Context(), history.WatchEvent{Object: []byte(valid)}); err == nil {
		t.Error("watch event without a type: got no error, want one")
	}
	expect(t, w.records(pods))
}

// The buffer of a watch event is reused for the next one.
func TestParse_KeepsNoReferenceToEvent(t *testing.T) {
	for name, object := range map[string]string{
		"with managedFields": managed("2", "a 01 x"),
		"as it is":           pod("a", "u1", "2"),
		"an Event": `{"kind":"Event","apiVersion":"v1","metadata":{"name":"e","namespace":"shop",` +
			`"uid":"u2","resourceVersion":"2"},"involvedObject":{"kind":"Pod","name":"web"},"reason":"Started"}`,
	} {
		t.Run(name, func(t *testing.T) {
			resource := pods
			if name == "an Event" {
				resource = events
			}
			want := one(t, resource, object)
			w := open(t, recorder.Options{}, nil)
			s := w.stream(resource)
			w.feed(s, "sync", "end 1")
			f := watchEvent("+", object)
			if err := s.Observe(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			for i := range f.Object {
				f.Object[i] = '#'
			}
			got := w.records(resource)[0]
			got.Time = want.Time
			if !reflect.DeepEqual(got, want) {
				t.Errorf("recorded\n\t%+v\nwant\n\t%+v", got, want)
			}
		})
	}
}
