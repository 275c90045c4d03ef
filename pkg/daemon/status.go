package daemon

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

const (
	maxMissing      = 20 // lines about resources that are not in sync
	maxMissingNames = 3  // resources that such a line names
)

// missingGroup has the resources that are not in sync for the same reason.
type missingGroup struct {
	detail string
	names  []string
}

// missing returns the resources that are not in sync, one line for each reason.
func (d *Daemon) missing() []string {
	var all []*missingGroup
	byKey := map[string]*missingGroup{}
	for _, s := range append(d.watchers.Troubles(), d.watchers.States()...) {
		key, detail := notInSync(s)
		if key == "" {
			continue
		}
		g := byKey[key]
		if g == nil {
			g = &missingGroup{detail: detail}
			byKey[key] = g
			all = append(all, g)
		}
		g.names = append(g.names, s.Resource.GroupResource().String())
	}
	lines := make([]string, 0, min(len(all), maxMissing+1))
	for i, g := range all {
		if i == maxMissing {
			lines = append(lines, fmt.Sprintf("and %d other causes", len(all)-maxMissing))
			break
		}
		names := strings.Join(g.names[:min(len(g.names), maxMissingNames)], ", ")
		if more := len(g.names) - maxMissingNames; more > 0 {
			names = fmt.Sprintf("%s and %d more", names, more)
		}
		lines = append(lines, names+": "+g.detail)
	}
	return lines
}

// notInSync returns why a resource is not in sync: a key that is equal for
// resources that share a line, and the text of the line. It returns "" if the
// resource is in sync, and if it is refused and not configured.
//
// The details of refusals differ only in the name of the resource, so their key
// is the reason.
func notInSync(s watcher.Status) (key, detail string) {
	switch {
	case s.State == watcher.Syncing:
		return "syncing", "being listed"
	case s.State != watcher.Waiting, s.Refused && !s.Configured:
		return "", ""
	case s.None():
		return "waiting", "not requested yet"
	case s.Refused:
		return string(s.Reason), fmt.Sprintf("%s: %s", s.Reason, s.Detail)
	default:
		return string(s.Reason) + s.Detail, fmt.Sprintf("%s: %s", s.Reason, s.Detail)
	}
}

// states returns the catalogue of the REST API: the resources that have a
// state, and the others that the API server serves.
func (d *Daemon) states() []v1.Resource {
	ignoredVersions := d.recorder.IgnoredVersions()
	rules := d.config.Load().Rules.Ignore
	statuses := d.watchers.States()
	resources := make([]v1.Resource, 0, len(statuses))
	for _, s := range statuses {
		r := catalogueEntry(s.Resource, s.State.String(), s.Detail)
		r.Ignored = ignoredBy(rules, s.Resource, ignoredVersions[s.Resource.GroupResource()])
		resources = append(resources, r)
	}
	for _, u := range d.watchers.Unwatched() {
		resources = append(resources, catalogueEntry(u.Resource, u.Reason, u.Detail))
	}
	return resources
}

// catalogueEntry returns a resource in the form of the REST API. The API calls
// the text of a state its reason.
func catalogueEntry(r history.Resource, state, detail string) v1.Resource {
	return v1.Resource{
		Group: r.Group, Version: r.Version, Plural: r.Plural, Singular: r.Singular, Kind: r.Kind,
		ShortNames: r.ShortNames, Namespaced: r.Namespaced, State: state, Reason: detail,
	}
}

// ignoredBy returns the namespaces and changes of a resource that the rules
// ignore, and the number of versions that were ignored. It returns nil if there
// are none.
func ignoredBy(rules []history.IgnoreRule, r history.Resource, versions uint64) *v1.Ignored {
	all := v1.Ignored{Versions: versions}
	for _, rule := range rules {
		if r.Namespaced && rule.Resource == (schema.GroupResource{}) || rule.Resource == r.GroupResource() {
			all.Namespaces = slices.Concat(all.Namespaces, rule.Namespaces)
			all.Changes = slices.Concat(all.Changes, rule.Changes)
		}
	}
	if versions == 0 && len(all.Namespaces)+len(all.Changes) == 0 {
		return nil
	}
	return &all
}

// reasonSyncing is the reason of a resource that is listed for the first time.
const reasonSyncing = "syncing"

// unrecorded returns the resources that are served and not recorded now.
// Resources that only rules ignore are recorded.
func (d *Daemon) unrecorded() (all []history.UnrecordedResource) {
	for _, s := range d.watchers.States() {
		reason := cmp.Or(string(s.Reason), reasonSyncing)
		if !s.Synced && s.State != watcher.Ignored {
			all = append(all, history.UnrecordedResource{Resource: s.Resource, Reason: reason})
		}
	}
	for _, u := range d.watchers.Unwatched() {
		all = append(all, history.UnrecordedResource{Resource: u.Resource, Reason: u.Reason})
	}
	slices.SortStableFunc(all, func(a, b history.UnrecordedResource) int {
		return cmp.Compare(rank(a.Reason), rank(b.Reason))
	})
	return all
}

// rank orders reasons. A user can do something about those with a low rank.
func rank(reason string) int {
	return slices.Index([]string{watcher.NotConfigured, watcher.Denied, watcher.NotWatchable}, reason)
}
