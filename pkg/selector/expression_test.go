package selector_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

func compile(tb testing.TB, text string) *selector.Expression {
	tb.Helper()
	e, err := selector.Compile(text)
	if err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return e
}

const (
	oldDeployment = `{"metadata":{"name":"web","resourceVersion":"1","generation":1},` +
		`"spec":{"replicas":3,"paused":false,"template":{"spec":{"containers":[{"name":"web","image":"shop:1"}]}}},` +
		`"status":{"observedGeneration":1}}`
	newDeployment = `{"metadata":{"name":"web","resourceVersion":"2","generation":2,` +
		`"labels":{"app.kubernetes.io/name":"shop"}},` +
		`"spec":{"replicas":5,"ratio":1.5,"huge":123456789012345678901,"paused":true,` +
		`"template":{"spec":{"containers":[{"name":"web","image":"shop:2"}]}}},"status":{"observedGeneration":1}}`
)

// update is the update from oldDeployment to newDeployment.
func update(tb testing.TB) selector.Version {
	tb.Helper()
	calls := 0
	return selector.Version{
		Record: &history.Record{
			Verb: history.Update, Object: []byte(newDeployment),
			Managers: []history.Manager{{Name: "kubectl-set"}, {Name: "helm"}},
		},
		Previous: func() (*history.Record, error) {
			if calls++; calls > 1 {
				tb.Errorf("previous version: got %d calls, want at most one", calls)
			}
			return &history.Record{Object: []byte(oldDeployment)}, nil
		},
	}
}

func TestExpression_IsTrueForVersion(t *testing.T) {
	for text, want := range map[string]bool{
		`changed.exists(p, p.startsWith("spec.template")) && !("kube-controller-manager" in managers)`: true,
		`"spec.template.spec.containers[name=web].image" in changed`:                                   true,
		`changed.exists(p, p.startsWith("metadata.") && p != "metadata.labels")`:                       false,
		`"metadata.labels" in changed && "spec.paused" in changed && old != null`:                      true,
		`object.spec.replicas > old.spec.replicas`:                                                     true,
		`object.spec.replicas == 5 && object.spec.ratio == 1.5 && object.spec.ratio < 2`:               true,
		`object.spec.huge > 1e20`: true,
		`object.spec.template.spec.containers.all(c, c.image.matches("^shop:[0-9]+$"))`: true,
		`object.metadata.labels["app.kubernetes.io/name"] == "shop"`:                    true,
		`object.status.observedGeneration < object.metadata.generation`:                 true,
		`object.spec.template == old.spec.template`:                                     false,
		`object.spec.template.spec == object.spec.template.spec`:                        true,
		`object.spec.paused`:                               true,
		`!old.spec.paused`:                                 true,
		`object.spec`:                                      false, // not a boolean
		`verb == "update"`:                                 true,
		`verb in ["create", "delete"]`:                     false,
		`managers == ["kubectl-set", "helm"]`:              true,
		`object.spec.missing == "x"`:                       false,
		`object.spec.missing != "x"`:                       false, // an error, as for has()
		`!(object.spec.missing == "x")`:                    false,
		`!has(object.spec.missing)`:                        true,
		`object.?spec.?missing.orValue(7) == 7`:            true,
		`object.spec.missing == 1 || true`:                 true,
		`object.spec.replicas.startsWith("5")`:             false, // another type
		`object.spec.replicas / 0 == 1`:                    false,
		`object.items[3] == 1`:                             false,
		`object[object] == 1`:                              false,
		`object.spec.map(k, k).exists(k, k == "replicas")`: true,
	} {
		got, err := compile(t, text).Matches(t.Context(), update(t))
		if err != nil || got != want {
			t.Errorf("%s: got %t, error %v, want %t", text, got, err, want)
		}
	}
}

func TestExpression_OfLog(t *testing.T) {
	v := update(t)
	known := v
	known.Problem = func() (string, error) { return "CrashLoopBackOff, exit 1", nil }
	known.Newest = func() (bool, error) { return true, nil }
	known.Created = func() (bool, error) { return true, nil }
	for text, want := range map[string]bool{
		`problem.contains("CrashLoopBackOff")`: true,
		`problem == ""`:                        false,
		`newest && verb != "delete"`:           true,
		`!newest`:                              false,
		`created && newest`:                    true,
		`!created`:                             false,
	} {
		e := compile(t, text)
		if got, err := e.Matches(t.Context(), known); err != nil || got != want || !e.NeedsLog() {
			t.Errorf("%s: got %t, error %v, needs the log: %t, want %t", text, got, err, e.NeedsLog(), want)
		}
		if got, err := e.Matches(t.Context(), v); err != nil || got {
			t.Errorf("%s without a log: got %t, error %v, want false", text, got, err)
		}
	}
	known.Newest = func() (bool, error) { return false, errors.New("disk") }
	if _, err := compile(t, `newest`).Matches(t.Context(), known); err == nil || err.Error() != "disk" {
		t.Errorf("other versions can't be read: got error %v, want disk", err)
	}
	if compile(t, `verb == "update" && object.spec.replicas > old.spec.replicas`).NeedsLog() {
		t.Error("got an expression of two versions that needs the log")
	}
}

func TestExpression_WithoutPreviousVersion(t *testing.T) {
	v := update(t)
	v.Previous = func() (*history.Record, error) { return nil, nil }
	for text, want := range map[string]bool{
		`old == null && changed == []`:             true,
		`old.spec.replicas == 3`:                   false,
		`old == null || old.spec.replicas == 3`:    true,
		`has(old.spec) || has(object.spec.nosuch)`: false,
	} {
		if got, err := compile(t, text).Matches(t.Context(), v); err != nil || got != want {
			t.Errorf("%s: got %t, error %v, want %t", text, got, err, want)
		}
	}
	v.Previous = func() (*history.Record, error) { return nil, errors.New("disk") }
	if _, err := compile(t, `old == null`).Matches(t.Context(), v); err == nil || err.Error() != "disk" {
		t.Errorf("previous version can't be read: got error %v, want disk", err)
	}
	if got, err := compile(t, `verb == "update" || old == null`).Matches(t.Context(), v); !got || err != nil {
		t.Errorf("previous version is not needed: got %t, error %v, want true", got, err)
	}
}

func TestCompile_ReportsColumn(t *testing.T) {
	for text, want := range map[string]string{
		`verb = "x"`:                    `^line 1, column 6: Syntax error: `,
		`verb == missing`:               `^line 1, column 9: undeclared reference to 'missing'$`,
		"verb == \"x\" &&\n  missing":   `^line 2, column 3: undeclared reference to 'missing'$`,
		`verb == 3`:                     `^line 1, column 6: found no matching overload `,
		`"text"`:                        `^line 1, column 1: the expression is of type string: want true or false$`,
		`size(changed)`:                 `^line 1, column 1: the expression is of type int: want true or false$`,
		`(`:                             `^line 1, column 2: Syntax error: `,
		``:                              `^line 1, column 1: Syntax error: `,
		"\x00":                          `^line 1, column 1: Syntax error: `,
		strings.Repeat("!", 5000) + "a": `^5001 bytes are too long: want at most 4096$`,
		strings.Repeat("(", 500) + "a":  `^line 1, column \d+: .*recursion`,
		`object.a.all(a, object.a.all(b, object.a.all(c, object.a.all(d, ` +
			`a == b && c == d))))`: `^line 1, column 1: the expression may cost \d+ steps `,
	} {
		_, err := selector.Compile(text)
		if err == nil || !regexp.MustCompile(want).MatchString(err.Error()) || history.CodeOf(err) != history.Invalid {
			t.Errorf("%.40q: got error %v, want %s", text, err, want)
		}
	}
}

func TestExpression_IsBounded(t *testing.T) {
	items := strings.TrimSuffix(strings.Repeat("1,", 3000), ",")
	v := selector.Version{Record: &history.Record{Object: fmt.Appendf(nil, `{"a":[%s]}`, items)}}
	e := compile(t, `object.a.all(x, object.a.all(y, x == 1 && y == 1))`)
	if _, err := e.Matches(t.Context(), v); !errors.Is(err, selector.ErrTooExpensive) ||
		history.CodeOf(err) != history.Invalid {
		t.Errorf("9,000,000 iterations: got error %v, want %v", err, selector.ErrTooExpensive)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Matches(ctx, v); !errors.Is(err, context.Canceled) {
		t.Errorf("context ended: got error %v, want Canceled", err)
	}
}
