package symptom

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// MaxRules is the number of additional rules that [Compile] accepts.
const MaxRules = 100

// codePattern is what the code of an additional rule matches.
const codePattern = `^[A-Z][A-Za-z0-9]{0,63}$`

// Rule is an additional rule: a version of a resource has a symptom if an
// expression is true for it.
type Rule struct {
	Code     string // such as "ReplicaLag"; it may be one of [Codes]
	Resource schema.GroupResource
	// Expression is a CEL expression, as [selector.Compile] compiles it. It
	// reads one version only: old is null, and changed is empty.
	Expression string
	Text       string // of the symptom; if it is empty, it is the code
}

// Extra are additional rules. They are safe for concurrent use. A nil Extra has
// no rules.
type Extra struct {
	rules []extraRule
}

// extraRule is a compiled rule.
type extraRule struct {
	Rule
	expression *selector.Expression
}

// Compile compiles additional rules. The error of an invalid one is a
// [history.Error] that begins with its number, from 1.
func Compile(rules []Rule) (*Extra, error) {
	if len(rules) > MaxRules {
		return nil, history.Errorf(history.Invalid, "%d rules: want at most %d", len(rules), MaxRules)
	}
	extra := &Extra{}
	for i, r := range rules {
		invalid := func(format string, args ...any) error {
			return history.Errorf(history.Invalid, "rule %d: "+format, append([]any{i + 1}, args...)...)
		}
		if err := CheckCode(r.Code); err != nil {
			return nil, invalid("code: %w", err)
		}
		if err := CheckText(r.Text); err != nil {
			return nil, invalid("%s: %w", r.Code, err)
		}
		switch {
		case r.Resource.Resource == "":
			return nil, invalid("%s: the resource is missing", r.Code)
		case slices.ContainsFunc(extra.rules, func(other extraRule) bool { return r.isSame(&other.Rule) }):
			return nil, invalid("%s: the same resource has a rule of this code already", r.Code)
		}
		expression, err := selector.Compile(r.Expression)
		if err != nil {
			return nil, invalid("%s: %w", r.Code, err)
		}
		if expression.NeedsLog() {
			return nil, invalid("%s: problem, newest and created are variables of queries only", r.Code)
		}
		if r.Text == "" {
			r.Text = r.Code
		}
		extra.rules = append(extra.rules, extraRule{r, expression})
	}
	return extra, nil
}

// isSame reports whether two rules have the same resource and code.
func (r *Rule) isSame(other *Rule) bool { return r.Resource == other.Resource && r.Code == other.Code }

// CheckCode returns an error if a text can't be the code of an additional rule.
func CheckCode(code string) error {
	if !regexp.MustCompile(codePattern).MatchString(code) {
		return history.Errorf(history.Invalid,
			"%q: want letters and digits after a capital letter, at most 64", code)
	}
	return nil
}

// CheckText returns an error if a text can't be that of a symptom. An empty one
// can.
func CheckText(text string) error {
	if text != line(text, maxText) {
		return history.Errorf(history.Invalid, "want a text in one line with at most %d characters", maxText)
	}
	return nil
}

// Of returns the symptoms that the additional rules find in a version, in the
// order of the rules. The record must have its object. The error is that of
// ctx, or [selector.ErrTooExpensive] with the symptoms of the other rules.
//
// An Event that expired has none, as for [Of].
func (e *Extra) Of(ctx context.Context, r *history.Record) (found []Symptom, err error) {
	resource := r.Ref.GroupResource()
	if e == nil || r.Verb == history.Delete && history.IsEventResource(resource) {
		return nil, nil
	}
	version := selector.Version{Record: r, Previous: func() (*history.Record, error) { return nil, nil }}
	var expensive error
	for i := range e.rules {
		rule := &e.rules[i]
		if rule.Resource != resource {
			continue
		}
		matches, err := rule.expression.Matches(ctx, version)
		if errors.Is(err, selector.ErrTooExpensive) {
			expensive = err
			continue
		}
		if err != nil {
			return nil, err
		}
		if matches && len(found) < maxSymptoms {
			found = append(found, Symptom{Code: rule.Code, Text: rule.Text})
		}
	}
	return found, expensive
}

// Begin returns the symptoms that the additional rules find in a version, and
// reports whether one of them begins: the previous version did not have it.
// before is the object of that version, or nil if it is not available. Then
// every symptom begins, except for that of an Event. The errors are those of
// [Extra.Of].
func (e *Extra) Begin(ctx context.Context, r *history.Record, before []byte) (now []Symptom, begins bool, err error) {
	if now, err = e.Of(ctx, r); len(now) == 0 {
		return nil, false, err
	}
	switch {
	case r.Verb == history.Create:
		return now, true, err
	case history.IsEventResource(r.Ref.GroupResource()):
		return now, false, err
	case before == nil:
		return now, true, err
	}
	previous := *r
	previous.Object = before
	had, failed := e.Of(ctx, &previous)
	begins = slices.ContainsFunc(now, func(s Symptom) bool { return !slices.Contains(had, s) })
	return now, begins, errors.Join(err, failed)
}

// At returns the symptoms of the additional rules, followed by those that [At]
// returns. A rule that is too expensive for the version finds nothing. The
// error is that of ctx.
func (e *Extra) At(ctx context.Context, r *history.Record, at time.Time) ([]Symptom, error) {
	found, err := e.Of(ctx, r)
	if err != nil && !errors.Is(err, selector.ErrTooExpensive) {
		return nil, err
	}
	found = append(found, At(r, at)...)
	return found[:min(len(found), maxSymptoms)], nil
}

// HealthAt returns the health of a version as [HealthAt] does. If an additional
// rule finds a symptom, an object that is not deleted is [Failing]. Errors are
// those of [Extra.At].
func (e *Extra) HealthAt(ctx context.Context, r *history.Record, at time.Time) (Health, error) {
	h := HealthAt(r, at)
	if h.State == Failing || r.Verb == history.Delete {
		return h, nil
	}
	found, err := e.Of(ctx, r)
	switch {
	case err != nil && !errors.Is(err, selector.ErrTooExpensive):
		return Health{}, err
	case len(found) > 0:
		return Health{State: Failing, Text: found[0].Text}, nil
	default:
		return h, nil
	}
}
