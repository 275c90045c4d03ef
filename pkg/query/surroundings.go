package query

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/delivery"
	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/relation"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// The bounds of the work on what surrounds the rows of a page.
const (
	// maxUsers is the number of objects of a namespace in which users of
	// ConfigMaps and Secrets are searched.
	maxUsers = 500
	// maxSelectable is the number of pods of a namespace that are compared with
	// the selector of a Service.
	maxSelectable = 2_000
	// maxReturns is the number of earlier root changes with which an object is
	// compared.
	maxReturns = 5
	// maxReferences is the number of relations of one object that are read.
	maxReferences = 200
	// causeTime is how long before a change of a workload a change of its
	// configuration is mentioned.
	causeTime = time.Hour
)

//nolint:gochecknoglobals // constants
var (
	configMaps   = schema.GroupResource{Resource: "configmaps"}
	secrets      = schema.GroupResource{Resource: "secrets"}
	services     = schema.GroupResource{Resource: "services"}
	podsOf       = schema.GroupResource{Resource: "pods"}
	nodesOf      = schema.GroupResource{Resource: "nodes"}
	namespacesOf = schema.GroupResource{Resource: "namespaces"}
	// users are the resources whose objects use ConfigMaps and Secrets. Pods
	// that a workload owns have the same relations as the workload.
	users = []schema.GroupResource{
		{Group: "apps", Resource: "deployments"},
		{Group: "apps", Resource: "statefulsets"},
		{Group: "apps", Resource: "daemonsets"},
		{Group: "batch", Resource: "cronjobs"},
		{Group: "batch", Resource: "jobs"},
		{Group: "networking.k8s.io", Resource: "ingresses"},
	}
)

// surround adds to a row what its newest change alone does not show: the
// release that made it, an earlier version that it returns to, and the objects
// that use it.
func (f *folding) surround(ctx context.Context, row *FoldedRow, until time.Time) error {
	if len(row.Changes) == 0 || row.Kind == fold.Removal {
		return nil
	}
	last := row.Last().Record
	// Whether a Secret has its former contents is for those who may get it.
	// Most changes of a node are of its conditions, which are not compared.
	resource := last.Ref.GroupResource()
	compared := last.Verb == history.Update && row.Objects() == 1 && resource != secrets && resource != nodesOf
	full, again, err := f.compared(ctx, last, compared)
	if err != nil {
		return err
	}
	row.Again = again
	if full.Object != nil {
		if d, ok := delivery.Of(full.Object, last.Managers); ok {
			row.Delivery = d.String()
		}
	}
	switch last.Ref.GroupResource() {
	case configMaps, secrets:
		row.UsedBy, err = f.users(ctx, row)
	case services:
		if row.Outcome == nil && last.Verb != history.Delete {
			ends := f.terminating(last.Ref.Namespace, last.Time)
			if !ends.IsZero() && (until.IsZero() || ends.Before(until)) {
				until = ends
			}
			row.Outcome, err = f.selected(ctx, full, until)
		}
	}
	return err
}

// compared returns a root change with its object, unless it has been dropped
// meanwhile. again is the revision of an earlier version that has the same
// contents, but not as the one before it. It is 0 if there is none, or if the
// change is not to be compared. Only the newest root changes are compared.
func (f *folding) compared(
	ctx context.Context, r *history.Record, compare bool,
) (full *history.Record, again uint64, err error) {
	scan := history.Scan{Filter: exactly(r.Ref), Order: history.NewestFirst, Limit: maxReturns + 2, Bodies: true}
	scan.End, scan.View = r.Time.Add(1), f.view
	scan.Classes = []history.Class{history.Root}
	if !compare || r.Revision < 3 {
		scan.Start = r.Time
	}
	full = r
	var is []byte
	first := true
	for version, err := range f.service.reader.Scan(ctx, scan) {
		switch {
		case err != nil:
			return nil, 0, err
		case version.Time.Equal(r.Time):
			full, is = version, contents(version.Object)
			continue
		case full.Object == nil:
			return full, 0, nil
		}
		same := bytes.Equal(contents(version.Object), is)
		if same && first {
			return full, 0, nil // nothing but metadata changed
		}
		if first = false; same {
			return full, version.Revision, nil
		}
	}
	return full, 0, nil
}

// contents returns an object without its metadata and status, in a form in
// which equal contents have equal bytes. A restart, which is an annotation of
// the pod template, does not make a difference.
func contents(object []byte) []byte {
	var fields map[string]any
	if json.Unmarshal(object, &fields) != nil {
		return nil
	}
	delete(fields, "metadata")
	delete(fields, "status")
	annotations := fields
	for _, name := range []string{"spec", "template", "metadata", "annotations"} {
		next, ok := annotations[name].(map[string]any)
		if !ok {
			annotations = nil
			break
		}
		annotations = next
	}
	delete(annotations, "kubectl.kubernetes.io/restartedAt")
	sorted, err := json.Marshal(fields) // sorts the keys
	if err != nil {
		return nil
	}
	return sorted
}

// subjectKey identifies an object within its namespace.
type subjectKey struct {
	resource schema.GroupResource
	name     string
}

// usesIn returns the objects of a namespace that use ConfigMaps and Secrets, at
// the end of the page.
func (f *folding) usesIn(ctx context.Context, namespace string) (map[subjectKey][]use, error) {
	f.mu.Lock()
	known, read := f.uses[namespace]
	f.mu.Unlock()
	if read {
		return known, nil
	}
	uses := map[subjectKey][]use{}
	filter := history.Filter{Namespace: history.ScopeOf(namespace), Resources: users, View: f.view}
	rules := relation.All()
	scan := history.StateScan{Filter: filter, At: f.present().Add(-1), Limit: maxUsers, Bodies: true}
	for r, err := range f.service.reader.State(ctx, scan) {
		if history.CodeOf(err) == history.NotFound {
			break // before the retention
		}
		if err != nil {
			return nil, err
		}
		found := rules.Of(relation.Object{
			Group: r.Ref.Group, Resource: r.Ref.Resource, Namespace: namespace, Name: r.Ref.Name, JSON: r.Object,
		}, maxReferences)
		for i := range found.References {
			ref := &found.References[i]
			key := subjectKey{schema.GroupResource{Group: ref.Group, Resource: ref.Resource}, ref.Name}
			if key.resource == configMaps || key.resource == secrets {
				by := use{Subject{r.Ref, r.Kind}, slices.Contains(environmentRules, ref.Rule)}
				uses[key] = addUse(uses[key], by)
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uses[namespace] = uses
	return uses, nil
}

// selected returns how many pods a Service selects at the end of the time that
// belongs to its change. It returns nil if the Service has no selector, and if
// there may be pods that are not recorded or that the caller may not read.
func (f *folding) selected(ctx context.Context, service *history.Record, until time.Time) (*Outcome, error) {
	if service.Object == nil {
		return nil, nil
	}
	if until.IsZero() {
		until = f.present()
	}
	found := relation.All().Of(relation.Object{
		Resource: services.Resource, Namespace: service.Ref.Namespace, Name: service.Ref.Name, JSON: service.Object,
	}, maxReferences)
	i := slices.IndexFunc(found.Selections, func(s relation.Selection) bool { return s.Rule == "selector" })
	if i < 0 {
		return nil, nil
	}
	filter := history.Filter{Namespace: service.Ref.Scope(), View: f.view}
	filter.Resources = append(filter.Resources, podsOf)
	pods, matches := 0, 0
	scan := history.StateScan{Filter: filter, At: until.Add(-1), Limit: maxSelectable, Bodies: true}
	for r, err := range f.service.reader.State(ctx, scan) {
		if err != nil {
			return nil, ignoreMissing(err)
		}
		if pods++; found.Selections[i].Labels.Matches(relation.Labels(r.Object)) {
			matches++
		}
	}
	if matches > 0 || pods == maxSelectable {
		return nil, nil
	}
	known, err := f.knowsPods(ctx, service.Ref.Namespace, until.Add(-1))
	if !known || err != nil {
		return nil, err
	}
	return &Outcome{State: symptom.Failing, Text: "matches 0 pods"}, nil
}

// knowsPods reports whether all pods of a namespace at a time are recorded, and
// visible to the caller.
func (f *folding) knowsPods(ctx context.Context, namespace string, at time.Time) (bool, error) {
	all, err := f.service.everything(ctx)
	if err != nil {
		return false, err
	}
	w := newRelationWalk(ctx, f.service, all)
	w.at = at
	if err := w.readGaps(ctx); err != nil {
		return false, err
	}
	some := history.ObjectRef{Resource: podsOf.Resource, Namespace: namespace}
	return w.absent(some, f.view) == Missing, nil
}

// ignoreMissing returns nil for a state that is not kept any more.
func ignoreMissing(err error) error {
	if history.CodeOf(err) == history.NotFound {
		return nil
	}
	return err
}

// mention adds to rows of workloads that fail the change of a ConfigMap or a
// Secret that they use, if it is the newest one in the hour before.
func mention(rows []FoldedRow) {
	for i := range rows {
		row := &rows[i]
		if len(row.Changes) == 0 || row.Outcome == nil || row.Outcome.State != symptom.Failing {
			continue
		}
		at := row.Last().Time
		var newest *FoldedRow
		for j := range rows {
			other := &rows[j]
			if len(other.UsedBy) == 0 || len(other.Changes) == 0 || other.Last().Verb == history.Create {
				continue
			}
			before := at.Sub(other.Last().Time)
			uses := slices.ContainsFunc(other.UsedBy, func(u User) bool { return u.Ref.UID == row.Of.Ref.UID })
			if before > 0 && before <= causeTime && uses &&
				(newest == nil || newest.Last().Time.Before(other.Last().Time)) {
				newest = other
			}
		}
		if newest != nil {
			row.AfterChange = newest.Last().Record
		}
	}
}
