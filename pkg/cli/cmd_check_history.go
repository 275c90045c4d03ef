package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

const (
	// recentGaps is how long a gap that has ended is worth a finding.
	recentGaps = 24 * time.Hour
	// maxNamed is the number of types that a finding names.
	maxNamed = 5
	// minFree is the free space of the volume below which recording may stop.
	minFree = 256e6
	// fullShare is the part of the limit above which the oldest day is dropped.
	fullShare = 0.9
)

// rights checks what the caller may read, and since when there is history. One
// query has the answers to both. about may be nil.
func (e *examination) rights(ctx context.Context, s *session, about *v1.Recorder) {
	const name = "rights"
	page, err := s.Events(ctx, client.EventsQuery{Namespace: history.AllNamespaces, Limit: 1, Summary: true})
	if err != nil {
		e.fail(name, err)
		return
	}
	if !page.Restricted {
		e.ok(name, "you may read everything that is recorded")
	} else {
		e.restricted(ctx, s, name)
	}
	e.since(&page.Page, about)
}

// restricted adds the finding about a caller who may not read everything. The
// namespace is that of --namespace or of the context.
func (e *examination) restricted(ctx context.Context, s *session, name string) {
	namespace, _ := s.namespace.Namespace()
	page, err := s.Events(ctx, client.EventsQuery{Namespace: s.namespace, Limit: 1, Summary: true})
	switch {
	case err != nil:
		e.fail(name, err)
	case namespace == "":
		e.add(name, render.FindingWarning, "you may read a part of what is recorded", hintRights)
	case page.Restricted:
		e.add(name, render.FindingWarning, "you may read a part of namespace "+namespace+", or nothing of it",
			"An administrator can permit more with:\n"+bindCommand(e.user, namespace))
	default:
		e.add(name, render.FindingWarning, "you may read namespace "+namespace+", and not all of the others",
			"An administrator can permit another one with:\n"+bindCommand(e.user, "NAMESPACE"))
	}
}

// since adds the finding about the beginning of the history.
func (e *examination) since(page *client.Page, about *v1.Recorder) {
	const name = "history"
	var parts []string
	if about != nil && about.RetentionDays > 0 {
		parts = append(parts, "kept for "+plural(about.RetentionDays, "day"))
	}
	now := e.env.recorderNow()
	switch text := "begins at "; {
	case page.Since.IsZero() && page.Total > 0:
		e.ok(name, strings.Join(append(parts, "its beginning is not known"), ", "))
		return
	case page.Since.IsZero():
		e.add(name, render.FindingWarning, strings.Join(append(parts, "nothing is recorded yet"), ", "),
			"The first list of a large cluster takes a minute. Then see what is recorded below.")
		return
	case page.SinceTrimmed:
		text = "earlier history was dropped: begins at "
		fallthrough
	default:
		age := duration.HumanDuration(max(now.Sub(page.Since), 0))
		parts = append(parts, text+clock(page.Since.Local(), now.Local())+", "+age+" ago")
	}
	e.ok(name, strings.Join(parts, ", "))
}

// gaps checks whether changes are missing now, and were within the last day.
func (e *examination) gaps(ctx context.Context, s *session) {
	const name = "gaps"
	gaps, err := s.Gaps(ctx, client.GapsQuery{Start: e.env.recorderNow().Add(-recentGaps)})
	if err != nil {
		e.fail(name, err)
		return
	}
	var open, ended []v1.Gap
	for _, g := range gaps {
		switch {
		case !g.End.IsZero():
			ended = append(ended, g)
		case g.Reason != string(history.GapNotConfigured): // a decision
			open = append(open, g)
		}
	}
	for _, cause := range causesOf(open) {
		e.add(name, render.FindingError, "changes of "+cause.names()+" are not observed since "+
			e.ago(cause.start)+": "+cause.text(), gapHint(cause.reason))
	}
	switch {
	case len(ended) > 0:
		reasons := []string{}
		for _, cause := range causesOf(ended) {
			reasons = append(reasons, cause.names()+" ("+cause.reason+")")
		}
		e.add(name, render.FindingWarning, "changes may be missing within the last day: "+strings.Join(reasons, ", "),
			"A table shows them: kubectl watchhistory get -A --flat --since 24h")
	case len(open) == 0:
		e.ok(name, "none now and within the last day")
	}
}

// ago returns a time of the recorder as an age.
func (e *examination) ago(t time.Time) string {
	return duration.HumanDuration(max(e.env.recorderNow().Sub(t), 0)) + " ago"
}

// gapCause has the types with gaps of one cause.
type gapCause struct {
	reason, detail string
	start          time.Time // the earliest
	types          []string
}

// names returns the names of some types, and the number of the others.
func (c *gapCause) names() string { return someOf(c.types) }

// text returns the reason, and the words of the API server if there are any.
func (c *gapCause) text() string {
	if c.detail == "" {
		return c.reason
	}
	return c.reason + ": " + c.detail
}

// causesOf groups gaps by their reasons. Details differ in the names of types.
func causesOf(gaps []v1.Gap) (causes []*gapCause) {
	for _, g := range gaps {
		i := slices.IndexFunc(causes, func(c *gapCause) bool { return c.reason == g.Reason })
		if i < 0 {
			i = len(causes)
			causes = append(causes, &gapCause{reason: g.Reason, detail: g.Detail, start: g.Start})
		}
		c := causes[i]
		name := schema.GroupResource{Group: g.Group, Resource: g.Resource}.String()
		if !slices.Contains(c.types, name) {
			c.types = append(c.types, name)
		}
		if g.Start.Before(c.start) {
			c.start = g.Start
		}
	}
	return causes
}

// someOf returns the first names of a list, and the number of the others.
func someOf(names []string) string {
	text := strings.Join(names[:min(len(names), maxNamed)], ", ")
	if more := len(names) - maxNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// gapHint returns what to do about an open gap.
func gapHint(reason string) string {
	switch history.GapReason(reason) {
	case history.GapForbidden:
		return "Permit list and watch to the recorder's service account, as the manifests do: " + hintRepairCommand
	case history.GapNotServed:
		return "Install the definition of the type, or remove it from the recorder's configuration."
	default:
		return "If it lasts, see the recorder's log. Recording continues automatically."
	}
}

// kinds checks which types are recorded.
func (e *examination) kinds(ctx context.Context, s *session) {
	const name = "kinds"
	list, err := s.Resources(ctx)
	if err != nil {
		e.fail(name, err)
		return
	}
	byState := map[string][]string{}
	reason := ""
	for i := range list.Resources {
		r := &list.Resources[i]
		byState[r.State] = append(byState[r.State], schema.GroupResource{Group: r.Group, Resource: r.Plural}.String())
		if r.State == "waiting" && reason == "" {
			reason = r.Reason
		}
	}
	parts := []string{plural(len(byState["watching"])+len(byState["syncing"]), "kind") + " recorded"}
	for _, part := range []struct{ state, text string }{
		{"syncing", "listed for the first time"},
		{"ignored", "ignored by rules"},
		{"excluded", "excluded by default"},
		{"not_configured", "not configured"},
		{"not_watchable", "can't be watched"},
		{"stopped", "not recorded any more"},
	} {
		if names := byState[part.state]; len(names) > 0 {
			parts = append(parts, part.text+": "+someOf(names))
		}
	}
	message := strings.Join(parts, "; ")
	if waiting := byState["waiting"]; len(waiting) > 0 {
		e.add(name, render.FindingWarning, message+"; refused: "+someOf(waiting)+": "+reason,
			"Permit list and watch to the recorder's service account, or leave them out of its configuration.")
		return
	}
	e.ok(name, message)
}

// disk checks the space of the database, which only the metrics have.
func (e *examination) disk(ctx context.Context, s *session) {
	const name = "disk"
	metrics, err := s.Metrics(ctx)
	if err != nil {
		hint := "The recorder's metrics have it: see GET /metrics."
		if history.CodeOf(err) == history.Forbidden {
			hint = "An administrator can permit it with:\nkubectl create clusterrole watchhistory-metrics --verb=get " +
				"--non-resource-url=/metrics\nkubectl create clusterrolebinding watchhistory-metrics " +
				"--clusterrole=watchhistory-metrics --user=YOU"
			if e.user != "" {
				hint = strings.ReplaceAll(hint, "--user=YOU", "--user='"+strings.ReplaceAll(e.user, "'", `'\''`)+"'")
			}
		}
		e.unknown(name, err, hint)
		return
	}
	used, known := metrics["watchhistory_storage_bytes"]
	if !known {
		e.unknown(name, invalidf("the metrics do not have it"), hintUpgrade)
		return
	}
	limit, free, freeKnown := metrics["watchhistory_storage_limit_bytes"], 0.0, false
	message := bytesText(used) + " used"
	if limit > 0 {
		message += fmt.Sprintf(" of %s (%.0f %%)", bytesText(limit), 100*used/limit)
	}
	if free, freeKnown = metrics["watchhistory_storage_free_bytes"]; freeKnown {
		message += ", " + bytesText(free) + " free on the volume"
	}
	switch {
	case metrics["watchhistory_commits_refused"] > 0:
		e.add(name, render.FindingError, message+": the database accepts no changes",
			"Nothing is recorded now. See the recorder's log.")
	case freeKnown && free < minFree:
		e.add(name, render.FindingError, message+": recording may stop",
			"Use a larger volume, or a smaller maxStorage. docs/retention.md has the details.")
	case limit > 0 && used > fullShare*limit:
		e.add(name, render.FindingWarning, message+": the oldest day is dropped before the retention ends",
			"Use a larger volume and maxStorage, or a shorter retention.")
	default:
		e.ok(name, message)
	}
}

// bytesText returns a size in a unit of 1,024.
func bytesText(n float64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for ; n >= 1024 && i < len(units)-1; i++ {
		n /= 1024
	}
	if i == 0 || n >= 10 {
		return fmt.Sprintf("%.0f %s", n, units[i])
	}
	return fmt.Sprintf("%.1f %s", n, units[i])
}
