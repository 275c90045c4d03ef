package render

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Related writes Kubernetes Events, the one seen last first: one row for each, however often it was counted up. Among them
// are the gaps, which are in the order of their starts.
func (p *Printer) Related(events []v1.Event, gaps []v1.Gap) error {
	titles := []string{"LAST SEEN", "TYPE", "REASON", "OBJECT"}
	if p.opts.Namespaces {
		titles = append([]string{"NAMESPACE"}, titles...)
	}
	if p.opts.Wide {
		titles = append(titles, "SOURCE", "NAME")
	}
	occurrences := occurrencesOf(events)
	rows := make([][]field, len(occurrences))
	for i, o := range occurrences {
		rows[i] = p.relatedRow(o)
	}
	at := func(i int) time.Time { return occurrences[i].last() }
	return p.table(append(titles, "MESSAGE"), p.among(rows, at, history.NewestFirst, gaps))
}

func (p *Printer) relatedRow(o *occurrence) []field {
	var row []field
	if p.opts.Namespaces {
		row = plain(cell(o.event.Namespace))
	}
	row = append(row,
		field{text: p.lastSeen(o)},
		field{text: cell(o.Type), style: p.styles.of(o.Type)},
		field{text: cell(o.Reason)},
		field{text: cell(o.regarding())})
	if p.opts.Wide {
		row = append(row, plain(cell(o.reporter()), cell(o.event.ResourceName))...)
	}
	return append(row, field{text: cell(o.Message + o.Note)})
}

// lastSeen is "2m (x5 over 3m)" for an Event that was counted up.
func (p *Printer) lastSeen(o *occurrence) string {
	text := p.when(o.last())
	if n := o.times(); n > 1 && !o.first().IsZero() {
		text += fmt.Sprintf(" (x%d over %s)", n, duration.HumanDuration(max(p.opts.Now.Sub(o.first()), 0)))
	}
	return text
}

// occurrence is a Kubernetes Event, as the newest record of it tells. The field names are those of core/v1 and, where they
// differ, after them those of events.k8s.io/v1.
type occurrence struct {
	event *v1.Event

	Type, Reason              string
	Message, Note             string
	InvolvedObject, Regarding struct{ Kind, Name string }
	FirstTimestamp, EventTime time.Time
	LastTimestamp             time.Time
	Count                     int
	Series                    struct {
		Count            int
		LastObservedTime time.Time
	}
	ReportingComponent, ReportingController           string
	Source, DeprecatedSource                          struct{ Component string }
	DeprecatedFirstTimestamp, DeprecatedLastTimestamp time.Time
	DeprecatedCount                                   int
}

// occurrencesOf keeps the newest record of each Event, and sorts them by when they were last seen. A body that can't be
// read still makes a row, from what the record itself tells.
func occurrencesOf(events []v1.Event) []*occurrence {
	newest := map[string]*v1.Event{}
	for i := range events {
		e := &events[i]
		if known := newest[e.UID]; known == nil || e.Timestamp.After(known.Timestamp) {
			newest[e.UID] = e
		}
	}
	var all []*occurrence
	for i := range events {
		if e := &events[i]; newest[e.UID] == e {
			o := &occurrence{event: e}
			if json.Unmarshal(e.ObjectChanges, o) != nil {
				o = &occurrence{event: e, Message: e.Summary}
			}
			all = append(all, o)
		}
	}
	slices.SortStableFunc(all, func(a, b *occurrence) int { return b.last().Compare(a.last()) })
	return all
}

// Happened returns when a Kubernetes Event happened last, as a record of it
// says: the time that its emitter gave it or, if there is none, the record's.
func Happened(e *v1.Event) time.Time {
	o := &occurrence{event: e}
	if json.Unmarshal(e.ObjectChanges, o) != nil {
		return e.Timestamp
	}
	return o.last()
}

func (o *occurrence) last() time.Time {
	for _, t := range []time.Time{o.Series.LastObservedTime, o.LastTimestamp, o.DeprecatedLastTimestamp, o.EventTime, o.first()} {
		if !t.IsZero() {
			return t
		}
	}
	return o.event.Timestamp
}

func (o *occurrence) first() time.Time {
	return cmp.Or(o.FirstTimestamp, o.DeprecatedFirstTimestamp, o.EventTime)
}

func (o *occurrence) times() int {
	return max(o.Count, o.DeprecatedCount, o.Series.Count)
}

func (o *occurrence) regarding() string {
	object := cmp.Or(o.InvolvedObject, o.Regarding)
	if object.Kind == "" {
		return ""
	}
	return strings.ToLower(object.Kind) + "/" + object.Name
}

func (o *occurrence) reporter() string {
	return cmp.Or(o.ReportingComponent, o.ReportingController, o.Source.Component, o.DeprecatedSource.Component)
}
