package client

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// parseGaps parses a [v1.GapListHeader]. Entries that can't be parsed are left
// out: [Client.Gaps] has all of them.
func parseGaps(text string) (gaps []v1.Gap) {
	for entry := range strings.SplitSeq(text, ", ") {
		fields := strings.Fields(entry)
		if len(fields) != 3 {
			continue
		}
		from, to, _ := strings.Cut(fields[1], "/")
		start, err := time.Parse(time.RFC3339Nano, from)
		if err != nil {
			continue
		}
		end, err := time.Parse(time.RFC3339Nano, to)
		if err != nil && to != v1.OpenEnd {
			continue
		}
		resource := schema.ParseGroupResource(fields[0])
		gaps = append(gaps, v1.Gap{
			Group: resource.Group, Resource: resource.Resource, Start: start, End: end, Reason: fields[2],
		})
	}
	return gaps
}

// parseIgnoreRules parses a [v1.IgnoredHeader].
//
// A header that was too long is cut anywhere. Its last entry may then be half a
// name, and is left out. So is a rule without any remaining or known entry: it
// would look like a rule that ignores a whole resource.
func parseIgnoreRules(text string) (rules []history.IgnoreRule) {
	text, cut := strings.CutSuffix(text, v1.CutMark)
	if text == "" {
		return nil
	}
	entries := splitUnquoted(text, "; ")
	for i, entry := range entries {
		last := cut && i == len(entries)-1
		words := splitUnquoted(entry, " ")
		rule := history.IgnoreRule{Resource: schema.ParseGroupResource(words[0])}
		if words[0] == v1.AllResources {
			rule.Resource = schema.GroupResource{}
		}
		for j, word := range words[1:] {
			key, list, _ := strings.Cut(word, "=")
			values := splitUnquoted(list, ",")
			if last && j == len(words)-2 {
				values = values[:len(values)-1]
			}
			switch key {
			case v1.IgnoredNamespaces:
				rule.Namespaces = values
			case v1.IgnoredChanges:
				rule.Changes = values
			}
		}
		if rule.Whole() && (last || len(words) > 1) {
			continue
		}
		rules = append(rules, rule)
	}
	return rules
}

// splitUnquoted splits text at each separator that is not between double
// quotes: a path may contain a quoted key, such as labels["a, b"].
func splitUnquoted(text, separator string) (parts []string) {
	start, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case !quoted && strings.HasPrefix(text[i:], separator):
			parts = append(parts, text[start:i])
			start = i + len(separator)
			i = start - 1
		}
	}
	return append(parts, text[start:])
}
