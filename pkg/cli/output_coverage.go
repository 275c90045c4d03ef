package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/watchhistory/watchhistory/pkg/client"
)

// maxNotRecorded is how many types a note names that are not recorded.
const maxNotRecorded = 8

// coverage collects what answers say about what was never recorded.
type coverage struct {
	since   time.Time // zero: unknown
	trimmed bool      // since is where what retention has left begins
	missing []string  // "leases.coordination.k8s.io excluded"
}

// add takes what one answer says.
func (c *coverage) add(p *client.Page) {
	if !p.Since.IsZero() && (c.since.IsZero() || p.Since.Before(c.since)) {
		c.since, c.trimmed = p.Since, p.Trimmed
	}
	for entry := range strings.SplitSeq(p.NotRecorded, ", ") {
		if entry != "" && !slices.Contains(c.missing, entry) {
			c.missing = append(c.missing, entry)
		}
	}
}

// note writes since when anything is recorded, if the window begins before that
// or nothing was found, and of an empty answer what is not recorded.
func (c *coverage) note(o *question, empty bool) {
	o.env.note(c.sinceNote(o, empty))
	if empty {
		o.env.note(c.missingNote())
	}
}

func (c *coverage) sinceNote(o *question, empty bool) string {
	asked := !o.start.IsZero()
	if c.since.IsZero() || asked && !o.start.Before(c.since) || !asked && !empty {
		return ""
	}
	now := o.env.recorderNow()
	text := "Recording began at "
	if c.trimmed {
		text = "History is kept since "
	}
	text += clock(c.since.In(o.location), now.In(o.location)) + ", " + duration.HumanDuration(max(now.Sub(c.since), 0)) + " ago"
	if !o.end.IsZero() && !o.end.After(c.since) {
		text += ": after the time that was asked for"
	}
	return text + "."
}

// clock writes a time of day, with the day if that is not today.
func clock(t, now time.Time) string {
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// missingNote is "" if all that was asked for is recorded.
func (c *coverage) missingNote() string {
	var entries []string
	for _, entry := range c.missing[:min(len(c.missing), maxNotRecorded)] {
		name, why, _ := strings.Cut(entry, " ")
		if before, later := strings.CutPrefix(why, "before="); later {
			why = "before " + before
		}
		if strings.HasPrefix(name, "+") { // "+12 more"
			entries = append(entries, entry)
			continue
		}
		entries = append(entries, name+" ("+strings.ReplaceAll(why, "_", " ")+")")
	}
	if len(c.missing) > maxNotRecorded {
		entries = append(entries, "and others")
	}
	if len(entries) == 0 {
		return ""
	}
	return "Not recorded: " + strings.Join(entries, ", ") + "."
}

// unrecorded returns why the recorder does not record a type that its catalogue
// has; "" if it does, or if nobody knows.
func (s *session) unrecorded(ctx context.Context, t target) string {
	list, err := s.Resources(ctx)
	if err != nil {
		return "" // the answer itself is there
	}
	for _, r := range list.Resources {
		if r.Group == t.Group && r.Plural == t.Plural && slices.Contains([]string{"excluded", "not_configured", "not_watchable", "waiting"}, r.State) {
			return r.Reason
		}
	}
	return ""
}
