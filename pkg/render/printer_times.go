package render

import (
	"time"

	"k8s.io/apimachinery/pkg/util/duration"
)

// timestampLayout is RFC 3339 to the millisecond, always as wide.
const timestampLayout = "2006-01-02T15:04:05.000Z07:00"

// when writes a time as kubectl does: "3m"; or the time itself, where timestamps are asked for.
func (p *Printer) when(t time.Time) string {
	switch {
	case t.IsZero():
		return "<unknown>"
	case p.opts.Timestamps:
		return t.In(p.opts.Location).Format(timestampLayout)
	default:
		return duration.HumanDuration(max(p.opts.Now.Sub(t), 0))
	}
}

// ago is [Printer.when] where a sentence ends in it: "3m ago".
func (p *Printer) ago(t time.Time) string {
	if p.opts.Timestamps || t.IsZero() {
		return p.when(t)
	}
	return p.when(t) + " ago"
}
