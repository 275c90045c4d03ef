package api

import (
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// cutMark ends a header that was too long.
const cutMark = "..."

// writeIgnored says what rules leave out of an answer. One without records says it as well: they may be the reason.
func writeIgnored(w http.ResponseWriter, omitted []history.IgnoreRule) {
	if len(omitted) == 0 {
		return
	}
	rules := make([]string, len(omitted))
	for i, o := range omitted {
		rules[i] = ruleInHeader(o)
	}
	text := strings.Map(visible, strings.Join(rules, "; "))
	if len(text) > v1.MaxIgnoredLength {
		text = text[:v1.MaxIgnoredLength-len(cutMark)] + cutMark
	}
	w.Header().Set(v1.IgnoredHeader, text)
}

// ruleInHeader writes "pods namespaces=a,b", "nodes changes=PATH,PATH", or the resource alone where all of it is left out. A
// star stands for all resources.
func ruleInHeader(o history.IgnoreRule) string {
	words := []string{o.Resource.String()}
	if o.Resource == (schema.GroupResource{}) {
		words[0] = "*"
	}
	if len(o.Namespaces) > 0 {
		words = append(words, "namespaces="+strings.Join(o.Namespaces, ","))
	}
	if len(o.Changes) > 0 {
		words = append(words, "changes="+strings.Join(o.Changes, ","))
	}
	return strings.Join(words, " ")
}

// visible replaces what a header can't carry: a path may have any character in a quoted key.
func visible(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
