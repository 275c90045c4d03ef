package daemon

import (
	"fmt"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/watcher"
)

const (
	maxMissing     = 20 // lines about what is not in sync
	maxMissingName = 3  // resources that such a line names
)

// absent is what some resources have in common that are not in sync.
type absent struct {
	why   string
	names []string
}

// missing returns what is not in sync, one line for each cause, in the API
// server's own words.
func (d *Daemon) missing() []string {
	var all []*absent
	byCause := map[string]*absent{}
	for _, s := range append(d.watchers.Troubles(), d.watchers.States()...) {
		cause, why := notInSync(s)
		if cause == "" {
			continue
		}
		a := byCause[cause]
		if a == nil {
			a = &absent{why: why}
			byCause[cause] = a
			all = append(all, a)
		}
		a.names = append(a.names, s.Resource.GroupResource().String())
	}
	lines := make([]string, 0, min(len(all), maxMissing+1))
	for i, a := range all {
		if i == maxMissing {
			lines = append(lines, fmt.Sprintf("and %d other causes", len(all)-maxMissing))
			break
		}
		names := strings.Join(a.names[:min(len(a.names), maxMissingName)], ", ")
		if more := len(a.names) - maxMissingName; more > 0 {
			names = fmt.Sprintf("%s and %d more", names, more)
		}
		lines = append(lines, names+": "+a.why)
	}
	return lines
}

// notInSync returns what a resource that is not in sync has in common with
// others, and how to say it; "" if it is in sync, or nobody asked for it and the
// API server refuses it. Refusals differ in nothing but the resource's name.
func notInSync(s watcher.Status) (cause, why string) {
	switch {
	case s.State == watcher.Syncing:
		return "syncing", "what exists is being listed"
	case s.State != watcher.Waiting, s.Refused && !s.Configured:
		return "", ""
	case s.Cause == "":
		return "waiting", "not looked at yet"
	case s.Refused:
		return string(s.Cause), fmt.Sprintf("%s: %s", s.Cause, s.Reason)
	default:
		return string(s.Cause) + s.Reason, fmt.Sprintf("%s: %s", s.Cause, s.Reason)
	}
}
