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

// Related writes Kubernetes Events as a table, the last seen first. Records are
// the versions of Events, in any order; each Event has one row, even if it was
// updated several times. Gaps are in the order of their starts.
func (p *Printer) Related(records []v1.Event, gaps []v1.Gap) error {
	titles := []string{"LAST SEEN", "TYPE", "REASON", "OBJECT"}
	if p.opts.Namespaces {
		titles = append([]string{"NAMESPACE"}, titles...)
	}
	if p.opts.Wide {
		titles = append(titles, "SOURCE", "NAME")
	}
	all := kubernetesEvents(records)
	rows := make([][]field, len(all))
	for i, e := range all {
		rows[i] = p.relatedRow(e)
	}
	at := func(i int) time.Time { return all[i].lastSeen() }
	return p.table(append(titles, "MESSAGE"), p.insertGaps(rows, at, history.NewestFirst, gaps))
}

// relatedRow returns the row of an Event, in the order of the titles.
func (p *Printer) relatedRow(e *kubernetesEvent) []field {
	var row []field
	if p.opts.Namespaces {
		row = plain(cell(e.record.Namespace))
	}
	row = append(row,
		field{text: p.lastSeen(e)},
		field{text: cell(e.Type), style: p.styles.of(e.Type)},
		field{text: cell(e.Reason)},
		field{text: cell(e.regarding())})
	if p.opts.Wide {
		row = append(row, plain(cell(e.source()), cell(e.record.ResourceName))...)
	}
	return append(row, field{text: cell(e.Message + e.Note)})
}

// lastSeen returns the LAST SEEN of an Event: "2m (x5 over 3m)" if it occurred
// several times.
func (p *Printer) lastSeen(e *kubernetesEvent) string {
	text := p.when(e.lastSeen())
	if n := e.occurrences(); n > 1 && !e.firstSeen().IsZero() {
		text += fmt.Sprintf(" (x%d over %s)", n, duration.HumanDuration(max(p.opts.Now.Sub(e.firstSeen()), 0)))
	}
	return text
}

// kubernetesEvent is a Kubernetes Event, decoded from its newest record. It has
// the fields of core/v1, followed by those of events.k8s.io/v1 with other
// names.
type kubernetesEvent struct {
	record *v1.Event

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

// kubernetesEvents decodes the newest record of each Event and sorts the
// Events, the last seen first. If a body can't be decoded, the row has only the
// record's own fields, with the summary as the message.
func kubernetesEvents(records []v1.Event) []*kubernetesEvent {
	newest := map[string]*v1.Event{}
	for i := range records {
		r := &records[i]
		if other := newest[r.UID]; other == nil || r.Timestamp.After(other.Timestamp) {
			newest[r.UID] = r
		}
	}
	var all []*kubernetesEvent
	for i := range records {
		if r := &records[i]; newest[r.UID] == r {
			e := &kubernetesEvent{record: r}
			if json.Unmarshal(r.ObjectChanges, e) != nil {
				e = &kubernetesEvent{record: r, Message: r.Summary}
			}
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *kubernetesEvent) int { return b.lastSeen().Compare(a.lastSeen()) })
	return all
}

// LastSeen returns the time at which a Kubernetes Event occurred last,
// according to one record of it. Without a time in the Event, it is the
// record's time.
func LastSeen(record *v1.Event) time.Time {
	e := &kubernetesEvent{record: record}
	if json.Unmarshal(record.ObjectChanges, e) != nil {
		return record.Timestamp
	}
	return e.lastSeen()
}

// lastSeen returns when the Event occurred last, from the first field that has
// a time. Without any, it returns the time of the record.
func (e *kubernetesEvent) lastSeen() time.Time {
	for _, t := range []time.Time{
		e.Series.LastObservedTime, e.LastTimestamp, e.DeprecatedLastTimestamp, e.EventTime, e.firstSeen(),
	} {
		if !t.IsZero() {
			return t
		}
	}
	return e.record.Timestamp
}

// firstSeen returns when the Event occurred first, or the zero time.
func (e *kubernetesEvent) firstSeen() time.Time {
	return cmp.Or(e.FirstTimestamp, e.DeprecatedFirstTimestamp, e.EventTime)
}

// occurrences returns how often the Event occurred. It returns 0 if the Event
// does not count.
func (e *kubernetesEvent) occurrences() int {
	return max(e.Count, e.DeprecatedCount, e.Series.Count)
}

// regarding returns the target as "pod/web-1", or "" if the Event has none.
func (e *kubernetesEvent) regarding() string {
	object := cmp.Or(e.InvolvedObject, e.Regarding)
	if object.Kind == "" {
		return ""
	}
	return strings.ToLower(object.Kind) + "/" + object.Name
}

// source returns the component that emitted the Event, or "".
func (e *kubernetesEvent) source() string {
	return cmp.Or(e.ReportingComponent, e.ReportingController, e.Source.Component, e.DeprecatedSource.Component)
}
