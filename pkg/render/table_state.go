package render

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// StateRow is an object as it was at a time.
type StateRow struct {
	Object  v1.Event  // identifies the object
	Created time.Time // zero if it is not known
	Last    *v1.Event // the last change until the time; nil if it is not known
}

// State writes a table of objects as they were at a time. Ages are those at the
// time.
func (p *Printer) State(rows []StateRow, at time.Time) error {
	titles := []string{"NAME", "AGE", "REVISION", "CHANGED", "WHO", "CHANGE"}
	if p.opts.Wide {
		titles = []string{"NAME", "AGE", "REVISION", "CHANGED", "WHO", "UID", "CHANGE"}
	}
	if p.opts.Namespaces {
		titles = append([]string{"NAMESPACE"}, titles...)
	}
	age := func(t time.Time) string {
		if t.IsZero() {
			return "<unknown>"
		}
		return duration.HumanDuration(max(at.Sub(t), 0))
	}
	fields := make([][]field, len(rows))
	for i := range rows {
		r := &rows[i]
		revision, changed, who, summary := field{text: "-"}, "-", field{text: "-"}, field{text: "-"}
		if r.Last != nil {
			revision = field{text: fmt.Sprint(r.Last.Revision)}
			changed, who, summary = age(r.Last.Timestamp), p.shortWho(r.Last), p.summary(r.Last)
		}
		row := []field{{text: cell(shortName(&r.Object))}, {text: age(r.Created)}, revision, {text: changed}, who}
		if p.opts.Wide {
			row = append(row, field{text: cell(r.Object.UID)})
		}
		if row = append(row, summary); p.opts.Namespaces {
			row = append([]field{{text: cell(r.Object.Namespace)}}, row...)
		}
		fields[i] = row
	}
	return p.table(titles, fields)
}
