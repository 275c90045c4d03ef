package watcher

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/version"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// plan is a resource that is to be watched. The resource of a definition that was deleted and created again is another:
// its life is the definition's UID, or "" where that is not known.
type plan struct {
	resource history.Resource
	life     types.UID
	named    bool // the configuration names it
}

// plans holds one plan per GroupResource.
type plans map[schema.GroupResource]plan

// definedPlans are the plans of the resources that CRDs define.
type definedPlans struct {
	now plans // nil: not known
	// ended is when the CRD of a resource was seen to be gone, zero while it is
	// there, for every CRD that was ever seen.
	ended map[schema.GroupResource]time.Time
}

// staleDiscovery is how long discovery may go on to serve the resource of a CRD
// that is gone.
const staleDiscovery = 30 * time.Second

func newDefinedPlans() definedPlans {
	return definedPlans{ended: map[schema.GroupResource]time.Time{}}
}

// update takes the CRDs that there are now; nil if they are not watched any
// more.
func (d *definedPlans) update(defined plans, now time.Time) {
	d.now = defined
	if defined == nil {
		clear(d.ended)
	}
	for id, ended := range d.ended {
		if _, there := defined[id]; !there && ended.IsZero() {
			d.ended[id] = now
		}
	}
	for id := range defined {
		d.ended[id] = time.Time{}
	}
}

// decide reports whether the CRDs alone say whether a resource is there, and not
// a discovery that began at that time.
func (d *definedPlans) decide(id schema.GroupResource, began time.Time) bool {
	ended, defined := d.ended[id]
	return defined && (ended.IsZero() || began.Before(ended.Add(staleDiscovery)))
}

// definitions is the sink of the CRDs' own watch. It keeps the resources that they define, and hands the whole set on
// whenever it changed. Where a sync breaks off, nothing is handed on.
type definitions struct {
	publish func(context.Context, plans)

	known     map[string]plan // by the CRD's name
	seen      map[string]bool // in this sync; nil outside of one
	published map[string]plan
}

func definitionResource() history.Resource {
	return history.Resource{
		Group: "apiextensions.k8s.io", Version: "v1", Plural: "customresourcedefinitions", Kind: "CustomResourceDefinition",
	}
}

// Checkpoint returns none: what the CRDs are is kept in memory only.
func (d *definitions) Checkpoint() string { return "" }

// Ask implements [Sink].
func (d *definitions) ListRequested() {}

// Alive implements [Sink].
func (d *definitions) Alive(context.Context, time.Time) error { return nil }

// BeginList implements [Sink].
func (d *definitions) BeginList(context.Context) error {
	d.seen = map[string]bool{}
	return nil
}

// AbortList implements [Sink].
func (d *definitions) AbortList() { d.seen = nil }

// EndList implements [Sink].
func (d *definitions) EndList(ctx context.Context, _ string) error {
	seen := d.seen
	d.seen = nil
	maps.DeleteFunc(d.known, func(name string, _ plan) bool { return !seen[name] })
	d.announce(ctx)
	return nil
}

// Bookmark implements [Sink].
func (d *definitions) Bookmark(context.Context, string) error { return nil }

// Settle implements [Sink].
func (d *definitions) CaughtUp(context.Context) error { return nil }

// Pause implements [Sink].
func (d *definitions) Pause() {}

// Resume implements [Sink].
func (d *definitions) Resume() {}

// Observe implements [Sink]. A CRD that can't be understood defines nothing.
func (d *definitions) Observe(ctx context.Context, f history.WatchEvent) error {
	var c definition
	if err := json.Unmarshal(f.Object, &c); err != nil {
		return fmt.Errorf("decode a CRD: %w", err)
	}
	p, ok := c.plan()
	if ok = ok && f.Type != history.Deleted; ok {
		d.known[c.Metadata.Name] = p
	} else {
		delete(d.known, c.Metadata.Name)
	}
	if d.seen != nil {
		d.seen[c.Metadata.Name] = ok
		return nil
	}
	d.announce(ctx)
	return nil
}

func (d *definitions) announce(ctx context.Context) {
	if d.published != nil && reflect.DeepEqual(d.known, d.published) {
		return
	}
	all := make(plans, len(d.known))
	for _, p := range d.known {
		all[p.resource.GroupResource()] = p
	}
	d.publish(ctx, all)
	d.published = maps.Clone(d.known)
}

// definition is what is needed of a CRD.
type definition struct {
	Metadata struct {
		Name string    `json:"name"`
		UID  types.UID `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		Group    string `json:"group"`
		Scope    string `json:"scope"`
		Versions []struct {
			Name    string `json:"name"`
			Served  bool   `json:"served"`
			Storage bool   `json:"storage"`
		} `json:"versions"`
	} `json:"spec"`
	Status struct {
		Conditions    []condition `json:"conditions"`
		AcceptedNames struct {
			Plural     string   `json:"plural"`
			Singular   string   `json:"singular"`
			ShortNames []string `json:"shortNames"`
			Kind       string   `json:"kind"`
		} `json:"acceptedNames"`
	} `json:"status"`
}

type condition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
}

// plan returns the resource that the CRD defines, if it is established and served.
func (c *definition) plan() (plan, bool) {
	v := c.version()
	if v == "" || !slices.Contains(c.Status.Conditions, condition{"Established", "True"}) {
		return plan{}, false
	}
	names := c.Status.AcceptedNames
	return plan{life: c.Metadata.UID, resource: history.Resource{
		Group:      c.Spec.Group,
		Version:    v,
		Plural:     names.Plural,
		Kind:       names.Kind,
		Singular:   names.Singular,
		ShortNames: names.ShortNames,
		Namespaced: c.Spec.Scope == "Namespaced",
	}}, true
}

// version returns the one version to watch: the stored one if it is served, or else the served one of highest priority;
// "" where none is served.
func (c *definition) version() (best string) {
	for _, v := range c.Spec.Versions {
		switch {
		case v.Served && v.Storage:
			return v.Name
		case v.Served && (best == "" || version.CompareKubeAwareVersionStrings(v.Name, best) > 0):
			best = v.Name
		}
	}
	return best
}
