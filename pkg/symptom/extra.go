package symptom

import (
	"context"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// The limits of additional rules.
const (
	maxRules    = 100
	codePattern = `^[A-Z][A-Za-z0-9]{0,63}$`
)

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
	if len(rules) > maxRules {
		return nil, history.Errorf(history.Invalid, "%d rules: want at most %d", len(rules), maxRules)
	}
	code := regexp.MustCompile(codePattern)
	extra := &Extra{}
	for i, r := range rules {
		invalid := func(format string, args ...any) error {
			return history.Errorf(history.Invalid, "rule %d: "+format, append([]any{i + 1}, args...)...)
		}
		switch {
		case !code.MatchString(r.Code):
			return nil, invalid("code %q: want letters and digits after a capital letter, at most 64", r.Code)
		case r.Resource.Resource == "":
			return nil, invalid("%s: the resource is missing", r.Code)
		case slices.ContainsFunc(extra.rules, func(other extraRule) bool { return r.isSame(&other.Rule) }):
			return nil, invalid("%s: the same resource has a rule of this code already", r.Code)
		case r.Text != line(r.Text, maxText):
			return nil, invalid("%s: want a text in one line with at most %d characters", r.Code, maxText)
		}
		expression, err := selector.Compile(r.Expression)
		if err != nil {
			return nil, invalid("%s: %w", r.Code, err)
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

// Of returns the symptoms that the additional rules find in a version, in the
// order of the rules. The record must have its object. The error is that of
// ctx, or [selector.ErrTooExpensive].
//
// An Event that expired has none, as for [Of].
func (e *Extra) Of(ctx context.Context, r *history.Record) (found []Symptom, err error) {
	resource := r.Ref.GroupResource()
	if e == nil || r.Verb == history.Delete && history.IsEventResource(resource) {
		return nil, nil
	}
	version := selector.Version{Record: r, Previous: func() (*history.Record, error) { return nil, nil }}
	for i := range e.rules {
		rule := &e.rules[i]
		if rule.Resource != resource {
			continue
		}
		matches, err := rule.expression.Matches(ctx, version)
		if err != nil {
			return nil, err
		}
		if matches && len(found) < maxSymptoms {
			found = append(found, Symptom{Code: rule.Code, Text: rule.Text})
		}
	}
	return found, nil
}
