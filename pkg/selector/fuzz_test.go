package selector_test

import (
	"errors"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// No selector may panic, for no object, valid or not.

func FuzzLabels(f *testing.F) {
	for _, seed := range []string{"app=web", "a in (b,c),!d", "a notin (", "x.y/z!=", ",", "a=b,,c"} {
		f.Add(seed, podObject)
	}
	f.Add("app", `{"metadata":{"labels":[1`)
	f.Fuzz(func(_ *testing.T, text, object string) {
		labels, err := selector.ParseLabels(text)
		if err != nil {
			return
		}
		s := selector.Selector{Labels: labels}
		s.MatchesObject(&history.Record{Object: []byte(object)})
	})
}

func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		"metadata.name=web", "involvedObject.name!=x", `reason=\=`, "=", "status.phase==Running,type=",
	} {
		f.Add(seed, eventObject)
	}
	f.Add("reason=x", `{"reason":{`)
	f.Fuzz(func(_ *testing.T, text, object string) {
		fields, err := selector.ParseFields(text)
		if err != nil {
			return
		}
		s := selector.Selector{Fields: fields}
		s.MatchesObject(event("", object))
	})
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{
		`changed.exists(p, p.startsWith("spec")) && !("x" in managers)`, `object.spec.replicas > old.spec.replicas`,
		`has(object.a) ? object.a.b[0] == 1 : true`, `object.?a[?0].orValue(1) == 1`,
		`object.spec.map(x, [x, x]).size() > 1`,
		`timestamp(object.metadata.creationTimestamp) < timestamp("2026-01-01T00:00:00Z")`,
		`verb.matches("(a*)*b")`, `[`, `object == old`,
		`"\u0000" in managers`, `object.metadata.labels.all(k, k.contains("a"))`,
		`dyn(1) == dyn("1")`, `-9223372036854775808 - 1 == 0`,
	} {
		f.Add(seed, newDeployment, oldDeployment)
	}
	f.Add("object.a == 1", `{"a":`, `[1`)
	f.Fuzz(func(t *testing.T, text, object, before string) {
		e, err := selector.Compile(text)
		if err != nil {
			if history.CodeOf(err) != history.Invalid {
				t.Fatalf("%q: got error %v, want the code %s", text, err, history.Invalid)
			}
			return
		}
		v := selector.Version{
			Record: &history.Record{
				Verb: history.Update, Object: []byte(object), Managers: []history.Manager{{Name: "x"}},
			},
			Previous: func() (*history.Record, error) { return &history.Record{Object: []byte(before)}, nil },
		}
		if _, err := e.Matches(t.Context(), v); err != nil && !errors.Is(err, selector.ErrTooExpensive) {
			t.Fatalf("%q: got error %v, want none or %v", text, err, selector.ErrTooExpensive)
		}
	})
}
