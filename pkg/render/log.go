package render

import (
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// VersionKey identifies a version.
type VersionKey struct {
	UID      string
	Revision uint64
}

// KeyOf returns the key of a version.
func KeyOf(e *v1.Event) VersionKey { return VersionKey{e.UID, e.Revision} }

// Log writes the versions of one object as git log shows commits, without a
// header, and below each how it ended. Events are newest first, gaps in the
// order of their starts. A line separates earlier objects with the same name.
func (p *Printer) Log(events []v1.Event, gaps []v1.Gap) error {
	columns, texts := make([][]field, len(events)), make([][]field, len(events))
	for i := range events {
		e := &events[i]
		columns[i] = append(plain(reference(e, "")), field{text: p.clock(e.Timestamp)}, p.shortWho(e))
		summary := p.summary(e)
		if e.Delivery != nil {
			summary.text += " (" + cell(e.Delivery.Text) + ")"
		}
		texts[i] = []field{summary}
		if e.Outcome != nil {
			below := p.ended(e)
			if e.Consequences > 0 {
				below.text += " (" + counted(e.Consequences, "version") + " folded)"
			}
			texts[i] = append(texts[i], below)
		}
	}
	return p.besides(columns, texts, func(lines [][]field, of []int) [][]field {
		var all [][]field
		var times []time.Time
		for i, line := range lines {
			at := events[of[i]].Timestamp
			isFirst := i > 0 && of[i] != of[i-1]
			if isFirst && events[of[i]].UID != events[of[i-1]].UID {
				all = append(all, p.earlier(events[of[i]:]))
				times = append(times, at)
			}
			all, times = append(all, line), append(times, at)
		}
		return p.insertGaps(all, func(i int) time.Time { return times[i] }, history.NewestFirst, gaps)
	})
}

// ended returns how a root change ended, which must be known.
func (p *Printer) ended(e *v1.Event) field {
	f := p.outcome(&v1.Row{Outcome: e.Outcome})[0]
	f.text = strings.TrimPrefix(f.text, "  ")
	return f
}

// earlier returns the line above the versions of an earlier object with the
// same name. Its versions are the first events.
func (p *Printer) earlier(events []v1.Event) []field {
	newest := &events[0]
	oldest := newest
	for i := range events {
		if events[i].UID != newest.UID {
			break
		}
		oldest = &events[i]
	}
	uid := newest.UID
	if len(uid) > shortUID*2 {
		uid = uid[:shortUID] + "…"
	}
	text := "── an earlier " + cell(shortName(newest)) + ", uid " + cell(uid)
	if newest.Verb == history.Delete.String() {
		if oldest.Verb == history.Create.String() && !oldest.Initial {
			text += ", lived " + duration.HumanDuration(newest.Timestamp.Sub(oldest.Timestamp))
		}
		text += ", deleted " + p.clock(newest.Timestamp)
	}
	return []field{{text: text + " ──", style: p.styles.faint}}
}

// shortUID is the number of characters of a UID in texts.
const shortUID = 4
