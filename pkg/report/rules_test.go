package report_test

import (
	"fmt"
	"strings"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/report"
)

// TestMatchRules_ReturnsNewestChanges compares what matches rules with the
// changes of the same query.
func TestMatchRules_ReturnsNewestChanges(t *testing.T) {
	source, question := incident(t, "configmap-edited")
	q := client.EventsQuery{
		Namespace: question.Namespace, Start: question.Start, Order: history.NewestFirst, Limit: 500,
	}
	var pods []string
	for e, err := range source.All(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Kind == "Pod" && len(pods) < 10 {
			pods = append([]string{fmt.Sprintf("%s#%d", e.ResourceName, e.Revision)}, pods...)
		}
	}
	rules, err := report.MatchRules(t.Context(), source, q,
		[]string{`object.kind == "Pod"`, `object.kind == "Nothing"`, `object.kind == "ConfigMap" && verb == "update"`})
	if err != nil || len(rules) != 3 {
		t.Fatalf("got %d rules, error %v, want 3", len(rules), err)
	}
	var got []string
	for _, e := range rules[0].Changes {
		got = append(got, fmt.Sprintf("%s#%d", e.ResourceName, e.Revision))
	}
	if strings.Join(got, " ") != strings.Join(pods, " ") || !rules[0].More || len(pods) != 10 {
		t.Errorf("got %q, more %t, want the newest 10 changes of pods, oldest first: %q", got, rules[0].More, pods)
	}
	if len(rules[1].Changes) != 0 || rules[1].More {
		t.Errorf("got %+v, want no change", rules[1])
	}
	if len(rules[2].Changes) == 0 || rules[2].More || len(rules[2].Changes[0].ObjectChanges) > 0 {
		t.Errorf("got %+v, want some changes without objects", rules[2])
	}
	if !report.Matched(rules) || report.Matched(rules[1:2]) || report.Matched(nil) {
		t.Error("got another result of Matched, want it true for rules that match a change only")
	}
	if _, err := report.MatchRules(t.Context(), source, q, []string{"frobs"}); history.CodeOf(err) != history.Invalid {
		t.Errorf("an expression without meaning: got error %v, want an invalid one", err)
	}
}

// TestMatchRules_InitialVersionIsNoChange uses rules that are true for objects
// that existed before recording began.
func TestMatchRules_InitialVersionIsNoChange(t *testing.T) {
	source, question := incident(t, "configmap-edited")
	q := client.EventsQuery{Namespace: question.Namespace, Order: history.OldestFirst, Limit: 500}
	var initial, changed *v1.Event
	for e, err := range source.All(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Initial {
			initial = &e
		} else if initial != nil && e.UID == initial.UID {
			changed = &e
		}
	}
	if changed == nil {
		t.Fatal("got no object that existed before and was changed, want one")
	}
	text := fmt.Sprintf("object.metadata.uid == %q", initial.UID)
	rules, err := report.MatchRules(t.Context(), source, q, []string{text})
	if err != nil || len(rules) != 1 || len(rules[0].Changes) == 0 {
		t.Fatalf("got %+v, error %v, want the changes of %s", rules, err, initial.ResourceName)
	}
	for i := range rules[0].Changes {
		if e := &rules[0].Changes[i]; e.Initial {
			t.Errorf("got the initial version of %s, want changes only", e.ResourceName)
		}
	}
	q.End = initial.Timestamp.Add(1)
	rules, err = report.MatchRules(t.Context(), source, q, []string{text})
	if err != nil || report.Matched(rules) {
		t.Errorf("before the change: got %+v, error %v, want no change", rules, err)
	}
}

// TestWrite_VerdictOfRules checks what both formats say about rules.
func TestWrite_VerdictOfRules(t *testing.T) {
	change := v1.Event{
		Timestamp: now, Verb: "update", Kind: "Pod", Namespace: "shop", ResourceName: "web-1", Revision: 3,
		Summary: "CrashLoopBackOff", Managers: []v1.Manager{{Manager: "kubelet"}},
	}
	matching := report.Rule{Expression: `problem != ""`, Changes: []v1.Event{change}, More: true}
	other := report.Rule{Expression: "false"}
	for _, tt := range []struct {
		rules []report.Rule
		want  string
	}{
		{nil, ""},
		{[]report.Rule{other}, "✓ The rule matches no recorded change."},
		{[]report.Rule{other, other}, "✓ None of 2 rules matches a recorded change."},
		{[]report.Rule{matching}, "✗ The rule matches a change:"},
		{[]report.Rule{other, matching}, "✗ 1 of 2 rules match a change:"},
	} {
		r := gatherEmpty()
		r.Rules = tt.rules
		text, data := markdown(t, r), decode(t, page(t, r)).text
		end := "\n## What is not recorded"
		if !report.Matched(tt.rules) {
			end = "\n## What is wrong" // that no rule matches may be due to what is not recorded
		}
		head, _, _ := strings.Cut(text, end)
		if got := strings.Contains(head, "\n"+tt.want+"\n"); !got && tt.want != "" {
			t.Errorf("got the head %q, want %q in it", head, tt.want)
		}
		if tt.want == "" && (strings.ContainsAny(head, "✓✗") || strings.Contains(data, `"verdict"`)) {
			t.Errorf("without rules: got the head %q and the data %.300s, want nothing about rules", head, data)
		}
		if tt.want != "" && !strings.Contains(data, `"verdict":"`+tt.want+`"`) {
			t.Errorf("got the data %.300s, want %q in it", data, tt.want)
		}
		if !report.Matched(tt.rules) {
			continue
		}
		for _, want := range []string{
			`✗ <code>problem &#33;= &#34;&#34;</code>`,
			`<code>shop pod/web-1<span>&#35;</span>3</code> CrashLoopBackOff`, "kubelet",
			"\n- Older changes match, too.\n",
		} {
			if !strings.Contains(head, want) {
				t.Errorf("got the head\n%s\nwant %q in it", head, want)
			}
		}
		if want := `"text":"problem != \"\"","changes":[{"t":`; !strings.Contains(data, want) {
			t.Errorf("got the data %.500s, want %q in it", data, want)
		}
	}
}
