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

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// staleDiscovery is how long discovery may still return the resource of a
// deleted CRD.
const staleDiscovery = 30 * time.Second

// crdResource returns the resource of the CRDs themselves.
func crdResource() history.Resource {
	return history.Resource{
		Group: "apiextensions.k8s.io", Version: "v1",
		Plural: "customresourcedefinitions", Kind: "CustomResourceDefinition",
	}
}

// definedPlans are the plans of the resources that CRDs define.
type definedPlans struct {
	current plans // nil: the CRDs are not known
	// deleted is when the CRD of a resource was seen to be deleted, or zero
	// while it exists. It has every resource whose CRD was seen since the watch
	// of the CRDs began.
	deleted map[schema.GroupResource]time.Time
}

func newDefinedPlans() definedPlans {
	return definedPlans{deleted: map[schema.GroupResource]time.Time{}}
}

// update replaces the plans. Nil means that the CRDs are not watched any more.
func (d *definedPlans) update(current plans, now time.Time) {
	d.current = current
	if current == nil {
		clear(d.deleted)
	}
	for id, deleted := range d.deleted {
		if _, exists := current[id]; !exists && deleted.IsZero() {
			d.deleted[id] = now
		}
	}
	for id := range current {
		d.deleted[id] = time.Time{}
	}
}

// decide reports whether the CRDs alone decide whether a resource exists.
// Otherwise the discovery that began at the given time decides. A discovery
// soon after the deletion of a CRD may still return its resource.
func (d *definedPlans) decide(id schema.GroupResource, began time.Time) bool {
	deleted, seen := d.deleted[id]
	return seen && (deleted.IsZero() || began.Before(deleted.Add(staleDiscovery)))
}

// crdSink is the sink of the watch of the CRDs. It keeps the plans of the
// resources that they define, and publishes all of them after each change. A
// list that is aborted publishes nothing.
type crdSink struct {
	publish func(context.Context, plans)

	known     map[string]plan // by the name of the CRD
	listed    map[string]bool // the names in the current list; nil if there is none
	published map[string]plan
}

// Checkpoint returns "", because the CRDs are kept only in memory.
func (d *crdSink) Checkpoint() string { return "" }

// ListRequested implements [Sink].
func (d *crdSink) ListRequested() {}

// Alive implements [Sink].
func (d *crdSink) Alive(context.Context, time.Time) error { return nil }

// BeginList implements [Sink].
func (d *crdSink) BeginList(context.Context, gap.Cause) error {
	d.listed = map[string]bool{}
	return nil
}

// AbortList implements [Sink].
func (d *crdSink) AbortList() { d.listed = nil }

// EndList implements [Sink].
func (d *crdSink) EndList(ctx context.Context, _ string) error {
	listed := d.listed
	d.listed = nil
	maps.DeleteFunc(d.known, func(name string, _ plan) bool { return !listed[name] })
	d.publishChanges(ctx)
	return nil
}

// Bookmark implements [Sink].
func (d *crdSink) Bookmark(context.Context, string) error { return nil }

// CaughtUp implements [Sink].
func (d *crdSink) CaughtUp(context.Context) error { return nil }

// Pause implements [Sink].
func (d *crdSink) Pause() {}

// Resume implements [Sink].
func (d *crdSink) Resume() {}

// Observe implements [Sink]. A CRD without a served version defines nothing.
func (d *crdSink) Observe(ctx context.Context, e history.WatchEvent) error {
	var c crd
	if err := json.Unmarshal(e.Object, &c); err != nil {
		return fmt.Errorf("decode CRD: %w", err)
	}
	p, ok := c.plan()
	if ok = ok && e.Type != history.Deleted; ok {
		d.known[c.Metadata.Name] = p
	} else {
		delete(d.known, c.Metadata.Name)
	}
	if d.listed != nil {
		d.listed[c.Metadata.Name] = ok
		return nil
	}
	d.publishChanges(ctx)
	return nil
}

// publishChanges publishes the plans unless they were published before.
func (d *crdSink) publishChanges(ctx context.Context) {
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

// crd has the fields of a CRD that a plan needs.
type crd struct {
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

// condition is a condition of a CRD, without its reason and times.
type condition struct {
	Type   string `json:"type"`
	Status string `json:"status"`
}

// plan returns the plan of the resource that the CRD defines. ok is false if
// the CRD is not established, or has no served version.
func (c *crd) plan() (p plan, ok bool) {
	v := c.version()
	if v == "" || !slices.Contains(c.Status.Conditions, condition{"Established", "True"}) {
		return plan{}, false
	}
	names := c.Status.AcceptedNames
	return plan{crdUID: c.Metadata.UID, resource: history.Resource{
		Group:      c.Spec.Group,
		Version:    v,
		Plural:     names.Plural,
		Kind:       names.Kind,
		Singular:   names.Singular,
		ShortNames: names.ShortNames,
		Namespaced: c.Spec.Scope == "Namespaced",
	}}, true
}

// version returns the version to watch: the stored version if it is served,
// otherwise the served version with the highest priority. It returns "" if no
// version is served.
func (c *crd) version() (best string) {
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
