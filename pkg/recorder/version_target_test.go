package recorder_test

import (
	"fmt"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

func TestParse_CorrectsNamespaceOfTarget(t *testing.T) {
	scopes := map[string]bool{"/Namespace": false, "/Pod": true, "cert-manager.io/ClusterIssuer": false}
	w := open(t, recorder.Options{Scope: func(group, kind string) (namespaced, known bool) {
		namespaced, known = scopes[group+"/"+kind]
		return namespaced, known
	}}, nil)
	cases := []struct {
		about, namespace string // the reference, and the namespace of the Event
		want             string // the namespace of the target
	}{
		{`"apiVersion":"v1","kind":"Namespace","namespace":"shop"`, "shop", ""},
		{`"apiVersion":"v1","kind":"Namespace"`, "default", ""},
		{`"apiVersion":"cert-manager.io/v1","kind":"ClusterIssuer","namespace":"cert-manager"`, "cert-manager", ""},
		{`"apiVersion":"v1","kind":"Pod","namespace":"shop"`, "shop", "shop"},
		{`"apiVersion":"v1","kind":"Pod"`, "default", "default"},
		// An unknown kind keeps the namespace of the reference.
		{`"apiVersion":"x.example/v1","kind":"Unheard","namespace":"shop"`, "shop", "shop"},
		{`"apiVersion":"x.example/v1","kind":"Unheard"`, "default", ""},
	}
	s := w.stream(events)
	w.feed(s, "sync", "end 1")
	for i, tc := range cases {
		object := fmt.Sprintf(`{"kind":"Event","apiVersion":"v1",`+
			`"metadata":{"name":"e-%d","namespace":%q,"uid":"uid-%d","resourceVersion":"%d"},`+
			`"involvedObject":{%s,"name":"it"}}`, i, tc.namespace, i, i+2, tc.about)
		if err := s.Observe(t.Context(), watchEvent("+", object)); err != nil {
			t.Fatal(err)
		}
	}
	records := w.records(events)
	if len(records) != len(cases) {
		t.Fatalf("got %d records, want %d", len(records), len(cases))
	}
	for i, tc := range cases {
		if got := records[i].Regarding.Namespace; got != tc.want {
			t.Errorf("%s in an Event of namespace %s: got namespace %q, want %q", tc.about, tc.namespace, got, tc.want)
		}
	}
	about := history.Scan{Filter: history.Filter{Regarding: &history.Target{Kind: "Namespace", Name: "it"}}}
	n := 0
	for _, err := range w.store.Scan(t.Context(), about) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("got %d Events about the namespace, want 2", n)
	}
}
