package render

import (
	"strconv"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Timeline writes changes of many objects as a table. Events are oldest first,
// gaps in the order of their starts.
func (p *Printer) Timeline(events []v1.Event, gaps []v1.Gap) error {
	titles := []string{"TIME", "CHANGE", "OBJECT", "WHO"}
	if p.opts.Namespaces {
		titles = append([]string{"NAMESPACE"}, titles...)
	}
	if p.opts.Wide {
		titles = append(titles, "REV", "RESOURCEVERSION", "UID")
	}
	rows := make([][]field, len(events))
	for i := range events {
		rows[i] = p.timelineRow(&events[i])
	}
	at := func(i int) time.Time { return events[i].Timestamp }
	return p.table(append(titles, "SUMMARY"), p.insertGaps(rows, at, history.OldestFirst, gaps))
}

// timelineRow returns the row of a version, in the order of the titles.
func (p *Printer) timelineRow(e *v1.Event) []field {
	var row []field
	if p.opts.Namespaces {
		row = plain(cell(e.Namespace))
	}
	row = append(row, field{text: p.when(e.Timestamp)}, p.change(e), field{text: cell(shortName(e))}, p.who(e))
	if p.opts.Wide {
		row = append(row, plain(strconv.FormatUint(e.Revision, 10), cell(e.ResourceVersion), cell(e.UID))...)
	}
	return append(row, p.summary(e))
}

// History writes the versions of one object as a table. Events are newest
// first, gaps in the order of their starts.
func (p *Printer) History(events []v1.Event, gaps []v1.Gap) error {
	titles := []string{"REV", "TIME", "CHANGE", "WHO"}
	if p.opts.Wide {
		titles = append(titles, "RESOURCEVERSION", "UID")
	}
	rows := make([][]field, len(events))
	for i := range events {
		e := &events[i]
		rows[i] = append(plain(strconv.FormatUint(e.Revision, 10), p.when(e.Timestamp)), p.change(e), p.who(e))
		if p.opts.Wide {
			rows[i] = append(rows[i], plain(cell(e.ResourceVersion), cell(e.UID))...)
		}
		rows[i] = append(rows[i], p.summary(e))
	}
	at := func(i int) time.Time { return events[i].Timestamp }
	return p.table(append(titles, "SUMMARY"), p.insertGaps(rows, at, history.NewestFirst, gaps))
}

// change returns the CHANGE of a version: its verb, or "initial" if the object
// existed before recording began.
func (p *Printer) change(e *v1.Event) field {
	word := cell(e.Verb)
	if e.Initial {
		word = "initial"
	}
	return field{text: word, style: p.styles.of(word)}
}

// anonymous is the WHO of a version without a manager.
const anonymous = "?"

// IsAnonymous reports whether the WHO of a version is unknown.
func IsAnonymous(e *v1.Event) bool {
	return len(e.Managers) == 0 && (e.Unmanaged == nil || e.Unmanaged.Writer == "")
}

// who returns the WHO of a version: its newest manager, or with [Options.Wide]
// all of them with their subresources.
func (p *Printer) who(e *v1.Event) field {
	if len(e.Managers) == 0 {
		return field{text: cell(unmanaged(e.Unmanaged, p.opts.Wide))}
	}
	var names []string
	for _, m := range e.Managers {
		name := m.Manager
		if p.opts.Wide && m.Subresource != "" {
			name += "(" + m.Subresource + ")"
		}
		names = append(names, name)
	}
	if len(names) > 1 && !p.opts.Wide {
		names = names[:1]
	}
	return field{text: cell(strings.Join(names, ","))}
}

// unmanaged returns the WHO of a version for which the API server recorded no
// manager.
func unmanaged(u *v1.Unmanaged, wide bool) string {
	switch {
	case u == nil:
		return anonymous
	case u.Writer == "":
		return anonymous + " (" + u.Subresource + ")"
	case wide:
		return u.Writer + "(" + u.Subresource + ")"
	default:
		return u.Writer
	}
}

// summary returns the SUMMARY of a version. An inferred change has its interval
// in it.
func (p *Printer) summary(e *v1.Event) field {
	text := e.Summary
	if text == "" && e.Verb == "update" {
		text = "nothing but noise"
	}
	if e.Inferred != nil {
		text += " (inferred; it happened between " + p.when(e.Inferred.Start) + " and " + p.ago(e.Inferred.End) + ")"
	}
	return field{text: cell(text)}
}

// shortName returns an object's name without its group: "deployment/web".
func shortName(e *v1.Event) string {
	return kind(e) + "/" + e.ResourceName
}

// fullName returns an object's name as kubectl's -o name writes it:
// "deployment.apps/web".
func fullName(e *v1.Event) string {
	if e.Group == "" {
		return shortName(e)
	}
	return kind(e) + "." + e.Group + "/" + e.ResourceName
}

// kind returns the kind in lower case, or the plural if the record has no kind.
func kind(e *v1.Event) string {
	if e.Kind == "" {
		return e.ResourceType
	}
	return strings.ToLower(e.Kind)
}
