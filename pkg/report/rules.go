package report

import (
	"context"
	"slices"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Rule is a rule that no change should match.
type Rule struct {
	Expression string // in CEL, as in [client.EventsQuery]
	// Changes are the newest changes that match, oldest first and without
	// objects. A rule without any is kept.
	Changes []v1.Event
	More    bool // older changes match, too
}

const (
	maxMatches = 10  // the number of changes of a rule that are kept
	rulesPage  = 100 // versions in a page; initial versions are skipped
)

// MatchRules reads which changes of a query match rules. The query's order,
// limit and expression are ignored. Errors are those of the first expression
// that can't be evaluated.
//
// The initial version of an object never matches: it is a state, not a change,
// and the object may have been in that state long before recording began.
func MatchRules(
	ctx context.Context, source *client.Client, q client.EventsQuery, expressions []string,
) ([]Rule, error) {
	var rules []Rule
	for _, text := range expressions {
		q.Expression, q.Order, q.Limit, q.Summary = text, history.NewestFirst, rulesPage, true
		rule := Rule{Expression: text}
		for e, err := range source.All(ctx, q) {
			if err != nil {
				return nil, err
			}
			if e.Initial {
				continue
			}
			if len(rule.Changes) == maxMatches {
				rule.More = true
				break
			}
			rule.Changes = append(rule.Changes, e)
		}
		slices.Reverse(rule.Changes)
		rules = append(rules, rule)
	}
	return rules, nil
}

// Matched reports whether any of the rules matches a change.
func Matched(rules []Rule) bool { return len(matchedRules(rules)) > 0 }

// matchedRules returns the rules that match a change.
func matchedRules(rules []Rule) (matched []Rule) {
	for i := range rules {
		if len(rules[i].Changes) > 0 {
			matched = append(matched, rules[i])
		}
	}
	return matched
}
