package daemon

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// states tells the API what is recorded, waited for and left out, and what else
// the API server serves.
func (d *Daemon) states() []v1.Resource {
	versions := map[schema.GroupResource]uint64{}
	for _, s := range d.recorder.Stats().Resources {
		versions[schema.GroupResource{Group: s.Group, Resource: s.Resource}] = s.IgnoredNamespace + s.IgnoredChange
	}
	rules := d.config.Load().Rules.Ignore
	statuses := d.watchers.States()
	resources := make([]v1.Resource, 0, len(statuses))
	for _, s := range statuses {
		r := describe(s.Resource, s.State.String(), s.Reason)
		r.Ignored = ignored(s.Resource, rules, versions[s.Resource.GroupResource()])
		resources = append(resources, r)
	}
	for _, u := range d.watchers.Unwatched() {
		resources = append(resources, describe(u.Resource, u.Why, u.Reason))
	}
	return resources
}

func describe(r history.Resource, state, reason string) v1.Resource {
	return v1.Resource{
		Group: r.Group, Version: r.Version, Plural: r.Plural, Singular: r.Singular, Kind: r.Kind,
		ShortNames: r.ShortNames, Namespaced: r.Namespaced, State: state, Reason: reason,
	}
}

// reasonSyncing is why a resource that is listed for the first time is absent.
const reasonSyncing = "syncing"

// absent returns what is not recorded now, what deserves a look first. Rules are
// not in it: they are told apart.
func (d *Daemon) absent() (all []history.UnrecordedResource) {
	for _, s := range d.watchers.States() {
		reason := cmp.Or(string(s.Cause), reasonSyncing)
		if !s.Synced && s.State != watcher.Ignored {
			all = append(all, history.UnrecordedResource{Resource: s.Resource, Reason: reason})
		}
	}
	for _, u := range d.watchers.Unwatched() {
		all = append(all, history.UnrecordedResource{Resource: u.Resource, Reason: u.Why})
	}
	slices.SortStableFunc(all, func(a, b history.UnrecordedResource) int { return cmp.Compare(weight(a.Reason), weight(b.Reason)) })
	return all
}

// weight orders the reasons: somebody can do something about the first ones.
func weight(reason string) int {
	return slices.Index([]string{watcher.NotConfigured, watcher.Denied, watcher.NotWatchable}, reason)
}

// ignored returns what the rules leave out of a resource, and how many versions that were; nil where there is nothing.
func ignored(r history.Resource, rules []history.IgnoreRule, versions uint64) *v1.Ignored {
	all := v1.Ignored{Versions: versions}
	for _, o := range rules {
		if r.Namespaced && o.Resource == (schema.GroupResource{}) || o.Resource == r.GroupResource() {
			all.Namespaces = slices.Concat(all.Namespaces, o.Namespaces)
			all.Changes = slices.Concat(all.Changes, o.Changes)
		}
	}
	if versions == 0 && len(all.Namespaces)+len(all.Changes) == 0 {
		return nil
	}
	return &all
}
