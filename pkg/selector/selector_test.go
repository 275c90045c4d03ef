package selector_test

import (
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

const podObject = `{"kind":"Pod","metadata":{"name":"web-1","namespace":"shop","uid":"u1",` +
	`"labels":{"app":"web","tier":"front","empty":""}},` +
	`"spec":{"nodeName":"node-1","containers":[{"name":"app","image":"shop/web:1.5"}]},"status":{"phase":"Running"}}`

const eventObject = `{"kind":"Event","metadata":{"name":"web-1.1","namespace":"shop"},` +
	`"type":"Warning","reason":"BackOff",` +
	`"involvedObject":{"kind":"Pod","namespace":"shop","name":"web-1","uid":"u1",` +
	`"apiVersion":"v1","fieldPath":"spec.containers{app}"}}`

func pod() *history.Record {
	return &history.Record{
		Ref:  history.ObjectRef{Resource: "pods", Namespace: "shop", Name: "web-1", UID: "u1"},
		Kind: "Pod", Verb: history.Update, Object: []byte(podObject),
	}
}

func event(group, object string) *history.Record {
	return &history.Record{
		Ref:  history.ObjectRef{Group: group, Resource: "events", Namespace: "shop", Name: "web-1.1", UID: "e1"},
		Kind: "Event", Verb: history.Create, Object: []byte(object),
	}
}

func TestParseLabels_SelectsByLabels(t *testing.T) {
	for text, want := range map[string]bool{
		"app=web":                     true,
		"app==web,tier!=back":         true,
		"app in (db, web)":            true,
		"app notin (db)":              true,
		"app":                         true,
		"!app":                        false,
		"!other":                      true,
		"other!=x":                    true,
		"empty=":                      true,
		"app=web,tier=back":           false,
		"app.kubernetes.io/name=shop": false,
	} {
		labels, err := selector.ParseLabels(text)
		if err != nil {
			t.Fatal(err)
		}
		s := selector.Selector{Labels: labels}
		if got := s.MatchesObject(pod()); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
	for _, text := range []string{"app=(", "a b", "app in web", "/x=y", strings.Repeat("a", 5000)} {
		if _, err := selector.ParseLabels(text); err == nil {
			t.Errorf("%.20s: got no error, want one", text)
		}
	}
}

func TestParseFields_SelectsByFields(t *testing.T) {
	newer := strings.ReplaceAll(eventObject, "involvedObject", "regarding")
	for _, c := range []struct {
		text               string
		pod, event, newest bool
	}{
		{"metadata.name=web-1", true, false, false},
		{"metadata.namespace=shop", true, true, true},
		{"metadata.uid=e1", false, true, true},
		{"status.phase=Running", true, false, false},
		{"status.phase!=Running", false, true, true},
		{"spec.nodeName=", false, true, true},
		{"spec.nodeName==node-1,status.phase=Running", true, false, false},
		{"reason=BackOff", false, true, true},
		{"reason!=BackOff", true, false, false},
		{"type=Warning,involvedObject.kind=Pod", false, true, true},
		{"regarding.name=web-1,regarding.uid=u1", false, true, true},
		{"involvedObject.fieldPath=spec.containers{app}", false, true, true},
		{"involvedObject.apiVersion=v2", false, false, false},
		{"", true, true, true},
	} {
		fields, err := selector.ParseFields(c.text)
		if err != nil {
			t.Fatal(err)
		}
		s := selector.Selector{Fields: fields}
		got := [3]bool{
			s.MatchesObject(pod()), s.MatchesObject(event("", eventObject)),
			s.MatchesObject(event("events.k8s.io", newer)),
		}
		if want := [3]bool{c.pod, c.event, c.newest}; got != want {
			t.Errorf("%s: got %v for a pod and two Events, want %v", c.text, got, want)
		}
	}
}

func TestParseFields_UnknownFieldNamesAll(t *testing.T) {
	_, err := selector.ParseFields("spec.replicas=3")
	if err == nil || !strings.Contains(err.Error(), `"spec.replicas"`) {
		t.Fatalf("got error %v, want one that names the field", err)
	}
	for _, name := range selector.FieldNames() {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("got error %q, want it to list %s", err, name)
		}
		if _, err := selector.ParseFields(name + "=x"); err != nil {
			t.Errorf("%s: got error %v, want none", name, err)
		}
	}
}

func TestMatchesObject_SelectsEvents(t *testing.T) {
	for _, c := range []struct {
		of   selector.Selector
		want bool
	}{
		{selector.Selector{Reasons: []string{"BackOff"}}, true},
		{selector.Selector{Reasons: []string{"Started", "BackOff"}, EventTypes: []string{"Warning"}}, true},
		{selector.Selector{Reasons: []string{"Started"}}, false},
		{selector.Selector{EventTypes: []string{"Normal"}}, false},
	} {
		if got := c.of.MatchesObject(event("", eventObject)); got != c.want {
			t.Errorf("%+v: got %t for an Event, want %t", c.of, got, c.want)
		}
		other := pod()
		other.Object = []byte(eventObject) // only Events have reasons
		if c.of.MatchesObject(other) || !c.of.EventsOnly() {
			t.Errorf("%+v: got true for a pod, or for more than Events, want false", c.of)
		}
	}
}

func TestSelector_NeedsObjectOnlyForItsContents(t *testing.T) {
	for text, want := range map[string]bool{
		"metadata.name=x,metadata.uid!=y": false, "metadata.name=x,status.phase=y": true,
	} {
		fields, err := selector.ParseFields(text)
		if err != nil {
			t.Fatal(err)
		}
		if s := (&selector.Selector{Fields: fields}); s.NeedsObject() != want {
			t.Errorf("%s: got %t, want %t", text, s.NeedsObject(), want)
		}
	}
	for text, want := range map[string]struct{ object, previous bool }{
		`verb == "create" && "helm" in managers`: {},
		`size(changed) > 3`:                      {true, true},
		`old == null`:                            {true, true},
		`has(object.spec)`:                       {true, false},
	} {
		s := &selector.Selector{Expression: compile(t, text)}
		if got := s.NeedsObject(); got != want.object {
			t.Errorf("%s needs the object: got %t, want %t", text, got, want.object)
		}
		if got := s.NeedsPrevious(); got != want.previous {
			t.Errorf("%s needs the previous version: got %t, want %t", text, got, want.previous)
		}
	}
}
