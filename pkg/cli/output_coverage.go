package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/watchhistory/watchhistory/pkg/client"
)

// maxNotRecorded is the number of types that a note names as not recorded.
const maxNotRecorded = 8

// coverage collects what responses report about the limits of the history.
type coverage struct {
	since       time.Time // the start of the history; zero if unknown
	trimmed     bool      // the start is where the retention begins
	notRecorded []string  // such as "leases.coordination.k8s.io excluded", each once
	restricted  bool      // the user may read less than one of the queries was about
}

// add adds the coverage of one response. The earliest start counts: no query
// has records from before it.
func (c *coverage) add(p *client.Page) {
	if !p.Since.IsZero() && (c.since.IsZero() || p.Since.Before(c.since)) {
		c.since, c.trimmed = p.Since, p.SinceTrimmed
	}
	c.restricted = c.restricted || p.Restricted
	for entry := range strings.SplitSeq(p.NotRecorded, ", ") {
		if entry != "" && !slices.Contains(c.notRecorded, entry) {
			c.notRecorded = append(c.notRecorded, entry)
		}
	}
}

// restrictedNote explains an empty output to a user who may not read
// everything.
const restrictedNote = "Only what you may read in the cluster is shown; " +
	"kubectl auth can-i list pods shows whether that includes pods."

// notePage writes what a page of relations, causes or differences does not
// contain.
func (c *connection) notePage(p *client.Page) {
	var found coverage
	var ignored ignoreRules
	found.add(p)
	ignored.add(p.Ignored)
	c.env.note(ignored.note())
	c.env.note(found.notRecordedNote())
	if found.restricted {
		c.env.note(restrictedNote)
	}
	c.env.note(gapsNote(p.Gaps, true, ""))
}

// note writes the start of the history, if the window begins earlier or the
// output is empty. If it is empty, note also writes which types are not
// recorded, and that the user's permissions matter.
func (c *coverage) note(o *queryOptions, empty bool) {
	o.env.note(c.sinceNote(o, empty))
	if !empty {
		return
	}
	o.env.note(c.notRecordedNote())
	if c.restricted {
		o.env.note(restrictedNote)
	}
}

// sinceNote returns a note with the start of the history. It returns "" if the
// start is unknown, or if the window does not reach back to it. Without a
// window, it returns a note only if the output is empty.
func (c *coverage) sinceNote(o *queryOptions, empty bool) string {
	hasStart := !o.start.IsZero()
	if c.since.IsZero() || hasStart && !o.start.Before(c.since) || !hasStart && !empty {
		return ""
	}
	now := o.env.recorderNow()
	text := "Recording began at "
	if c.trimmed {
		text = "History is kept since "
	}
	age := duration.HumanDuration(max(now.Sub(c.since), 0))
	text += clock(c.since.In(o.location), now.In(o.location)) + ", " + age + " ago"
	if !o.end.IsZero() && !o.end.After(c.since) {
		text += ": after the requested time"
	}
	return text + "."
}

// clock returns the time of day of t, with its date if that is not today.
func clock(t, now time.Time) string {
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// notRecordedNote returns a note with the types that are not recorded, or "" if
// all requested types are.
//
// It reads the entries of [v1.NotRecordedHeader]: "TYPE REASON", "TYPE
// before=TIME" and, if the header was cut, "+12 more".
func (c *coverage) notRecordedNote() string {
	var entries []string
	for _, entry := range c.notRecorded[:min(len(c.notRecorded), maxNotRecorded)] {
		name, reason, _ := strings.Cut(entry, " ")
		if start, isTime := strings.CutPrefix(reason, "before="); isTime {
			reason = "before " + start
		}
		if strings.HasPrefix(name, "+") { // "+12 more"
			entries = append(entries, entry)
			continue
		}
		entries = append(entries, name+" ("+strings.ReplaceAll(reason, "_", " ")+")")
	}
	if len(c.notRecorded) > maxNotRecorded {
		entries = append(entries, "and others")
	}
	if len(entries) == 0 {
		return ""
	}
	return "Not recorded: " + strings.Join(entries, ", ") + "."
}

// notRecordedReason returns why the recorder does not record a type of its
// catalogue. It returns "" if the type is recorded, or if the reason is
// unknown.
func (s *session) notRecordedReason(ctx context.Context, sub subject) string {
	list, err := s.Resources(ctx)
	if err != nil {
		return "" // the reason only adds to the output
	}
	states := []string{"excluded", "not_configured", "not_watchable", "waiting"}
	for _, r := range list.Resources {
		if r.Group == sub.Group && r.Plural == sub.Plural && slices.Contains(states, r.State) {
			return r.Reason
		}
	}
	return ""
}
