package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// writeCounts writes the headers of an answer with records: the number of
// matches, and the cursor of the next page, "" if there is none. The link is
// relative and has no path, so a proxy may serve the API at another path.
func writeCounts(w http.ResponseWriter, r *http.Request, total int, exact bool, next string) {
	header := w.Header()
	header.Set(headerType, v1.ContentType)
	header.Set(headerSniffing, sniffingDisabled)
	header.Set(v1.TotalCountHeader, strconv.Itoa(total))
	header.Set(v1.HasMoreHeader, strconv.FormatBool(next != ""))
	if !exact {
		header.Set(v1.TotalCountRelationHeader, v1.AtLeast)
	}
	if next == "" {
		return
	}
	header.Set(v1.NextCursorHeader, next)
	values := r.URL.Query()
	values.Set(v1.ParamCursor, next)
	header.Set("Link", "<"+(&url.URL{RawQuery: values.Encode()}).String()+`>; rel="next"`)
}

// step is a part of the time that an answer took.
type step struct {
	name string
	time time.Duration
}

// writeTiming adds steps to the Server-Timing header.
func writeTiming(w http.ResponseWriter, steps ...step) {
	entries := w.Header().Values(headerTiming)
	for _, s := range steps {
		entries = append(entries, fmt.Sprintf("%s;dur=%.1f", s.name, float64(s.time.Microseconds())/1000))
	}
	w.Header().Set(headerTiming, strings.Join(entries, ", "))
}

// The headers below are also written to an answer without records. Without
// them, a reader would conclude that nothing happened.

// writeGaps writes how many gaps touch an answer, and the newest of them.
func writeGaps(w http.ResponseWriter, gaps []history.Gap) {
	w.Header().Set(v1.GapsHeader, strconv.Itoa(len(gaps)))
	if len(gaps) == 0 {
		return
	}
	var listed []string
	for _, g := range slices.Backward(gaps) {
		if len(listed) == v1.MaxGapsListed {
			break
		}
		listed = append(listed, gapText(g))
	}
	w.Header().Set(v1.GapListHeader, strings.Join(listed, ", "))
}

// gapText returns a gap as "pods.group START/END REASON".
func gapText(g history.Gap) string {
	end := v1.OpenEnd
	if !g.Open() {
		end = g.End.UTC().Format(time.RFC3339Nano)
	}
	return g.GroupResource().String() + " " + g.Start.UTC().Format(time.RFC3339Nano) +
		"/" + end + " " + string(g.Reason)
}

// writeIgnored writes the rules that ignore a part of an answer's resources and
// namespaces.
func writeIgnored(w http.ResponseWriter, rules []history.IgnoreRule) {
	if len(rules) == 0 {
		return
	}
	entries := make([]string, len(rules))
	for i, rule := range rules {
		entries[i] = ruleText(rule)
	}
	text := strings.Map(visible, strings.Join(entries, "; "))
	if len(text) > v1.MaxIgnoredLength {
		text = text[:v1.MaxIgnoredLength-len(v1.CutMark)] + v1.CutMark
	}
	w.Header().Set(v1.IgnoredHeader, text)
}

// ruleText returns a rule as "pods namespaces=a,b", "nodes changes=PATH,PATH",
// or the resource alone if the rule ignores all of it.
func ruleText(rule history.IgnoreRule) string {
	words := []string{rule.Resource.String()}
	if rule.Resource == (schema.GroupResource{}) {
		words[0] = v1.AllResources
	}
	if len(rule.Namespaces) > 0 {
		words = append(words, v1.IgnoredNamespaces+"="+strings.Join(rule.Namespaces, ","))
	}
	if len(rule.Changes) > 0 {
		words = append(words, v1.IgnoredChanges+"="+strings.Join(rule.Changes, ","))
	}
	return strings.Join(words, " ")
}

// writeCoverage writes since when an answer's resources are recorded, and which
// of them are not.
func writeCoverage(w http.ResponseWriter, c query.Coverage) {
	if !c.Since.IsZero() {
		w.Header().Set(v1.SinceHeader, roundUp(c.Since))
		if c.Trimmed {
			w.Header().Set(v1.SinceTrimmedHeader, "true")
		}
	}
	var entries []string
	for _, a := range c.Unrecorded {
		entries = append(entries, a.Resource.GroupResource().String()+" "+a.Reason)
	}
	for _, r := range c.Late {
		entries = append(entries, r.GroupResource().String()+" before="+roundUp(r.Since))
	}
	if len(entries) > 0 {
		w.Header().Set(v1.NotRecordedHeader, strings.Map(visible, joinWithin(v1.MaxNotRecordedLength, entries)))
	}
}

// writeRestricted writes whether the caller may read less than the answer is
// about.
func writeRestricted(w http.ResponseWriter, restricted bool) {
	if restricted {
		w.Header().Set(v1.RestrictedHeader, "true")
	}
}

// roundUp formats a time, rounded up to a second. Rounding down would promise
// changes from before the time.
func roundUp(t time.Time) string {
	return t.UTC().Add(time.Second - 1).Truncate(time.Second).Format(time.RFC3339)
}

// lengthOfMore is the largest length of the last entry, ", +N more".
const lengthOfMore = len(", +1000000 more")

// joinWithin joins as many entries as fit into the length, in bytes, and
// appends the number of the others.
func joinWithin(length int, entries []string) string {
	text := ""
	for i, e := range entries {
		if i > 0 {
			e = ", " + e
		}
		if len(text)+len(e) > length-lengthOfMore {
			return fmt.Sprintf("%s, +%d more", text, len(entries)-i)
		}
		text += e
	}
	return text
}

// visible replaces characters that a header can't contain. A path may have any
// character in a quoted key.
func visible(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}
