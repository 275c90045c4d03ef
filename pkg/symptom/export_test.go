package symptom

import (
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// RuleNames returns the names of all rules.
func RuleNames() (names []string) {
	for i := range rules {
		names = append(names, rules[i].name)
	}
	return names
}

// RulesAt returns the names of the rules that find symptoms of a version.
func RulesAt(r *history.Record, at time.Time) (names []string) {
	for rule := range newObject(r, at).apply() {
		names = append(names, rule.name)
	}
	return names
}

// Gauged returns the resources that have a health of their own.
func Gauged() (resources []string) {
	for i := range gauges {
		resources = append(resources, gauges[i].resource.String())
	}
	return resources
}
