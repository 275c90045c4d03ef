package selector_test

import (
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

func TestWriters_SelectIfOneManagerIsSelected(t *testing.T) {
	managers := func(names ...string) (list []history.Manager) {
		for _, name := range names {
			list = append(list, history.Manager{Name: name})
		}
		return list
	}
	for _, c := range []struct {
		names    []string
		managers []history.Manager
		want     bool
	}{
		{[]string{"kubectl"}, managers("kubectl-edit"), true},
		{[]string{"kubectl"}, managers("helm", "kubectl-edit"), true},
		{[]string{"kubectl", "helm"}, managers("helm"), true},
		{[]string{"kubectl"}, managers("helm"), false},
		{[]string{"kubectl"}, nil, false},
		{[]string{"?"}, nil, true},
		{[]string{"?"}, managers(""), true},
		{[]string{"?"}, managers("helm"), false},
		{[]string{"!helm"}, managers("helm"), false},
		{[]string{"!helm"}, managers("helm", "kubectl"), true},
		{[]string{"!helm", "!?"}, nil, false},
		{[]string{"kubectl", "!kubectl edit"}, managers("kubectl-edit"), false},
		{[]string{"kubectl", " !kubectl edit "}, managers("kubectl-set"), true},
	} {
		w, err := selector.ParseWriters(c.names)
		if err != nil {
			t.Fatal(err)
		}
		if got := w.Matches(c.managers); got != c.want {
			t.Errorf("%q of %v: got %t, want %t", c.names, c.managers, got, c.want)
		}
	}
	for _, names := range [][]string{{""}, {"!"}, {"helm", " "}} {
		if _, err := selector.ParseWriters(names); history.CodeOf(err) != history.Invalid {
			t.Errorf("%q: got error %v, want an invalid one", names, err)
		}
	}
}

func TestText_CaseMattersWithCapitals(t *testing.T) {
	record := &history.Record{
		Ref: history.ObjectRef{Resource: "events", Name: "web.1"}, Kind: "Event",
		Regarding: &history.Target{Kind: "Pod", Name: "web-7d9f"},
	}
	summary := history.Summary{Text: "image app 1.4 → 1.5-RC1", Problem: "CrashLoopBackOff"}
	for text, want := range map[string]bool{
		"1.5-rc1": true, "1.5-RC1": true, "1.5-Rc1": false, "crashloop": true, "CrashLoop": true, "CRASH": false,
		"event/web.1": true, "pod/web": true, "Pod/web": false, "1.4.": false, "1.4 .* 1.5": false,
	} {
		parsed, err := selector.ParseText(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.MatchesVersion(record, summary); got != want {
			t.Errorf("%q: got %t, want %t", text, got, want)
		}
	}
}
