package query

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/relation"
)

// The times within which a problem may follow from a change of an object that
// the one with the problem uses.
const (
	// nodeEffect is that of a node. Pods tolerate a node that is not ready for
	// 300 seconds (the admission plugin DefaultTolerationSeconds). Then they
	// are evicted, and their replacements are a problem after a minute.
	nodeEffect = 6 * time.Minute
	// useEffect is that of configuration. A kubelet updates mounted ConfigMaps
	// and Secrets after its sync period and the delay of its cache, of a minute
	// each. A pod that is not ready is a problem after a minute.
	useEffect = 3 * time.Minute
	// ownEffect is that of a change of the object or of an owner, if another
	// one came after it: pods that crash or are not ready are a problem within
	// a minute.
	ownEffect = time.Minute
)

// maxUsing is the number of problems of one page for which the used objects are
// read. The others have rows of their own.
const maxUsing = 1_000

// effect is how long a change of a resource of the core group has consequences
// for the objects that use it.
type effect struct {
	plural, kind string
	within       time.Duration
}

// effects are the resources whose changes have consequences beyond ownership.
var effects = []effect{ //nolint:gochecknoglobals // a constant table
	{"nodes", "Node", nodeEffect},
	{"configmaps", "ConfigMap", useEffect},
	{"secrets", "Secret", useEffect},
	{"serviceaccounts", "ServiceAccount", useEffect},
	{"persistentvolumeclaims", "PersistentVolumeClaim", useEffect},
}

// beyond finds the rows to which the problems belong whose owners did not
// change shortly before.
//
// Such a problem belongs to the newest change, shortly before it, of an object
// that the one with the problem uses, or to which an earlier problem of the
// same outermost owner belongs: pods that replace those of a lost node don't
// use that node.
type beyond struct {
	folding *folding
	rules   relation.Rules // that lead to effects
	// changes are those of used objects, ascending.
	changes map[usedObject][]usedChange
	// times are those of the changes by namespace, ascending.
	times map[string][]time.Time
	// before is the newest change with a problem of each outermost owner.
	before map[types.UID]usedChange
}

// usedObject identifies an object that others use. It is without a UID, because
// references have none.
type usedObject struct{ resource, namespace, name string }

// usedChange is a change of a used object. Its row is a position, from 1. It is
// 0 if there is none.
type usedChange struct {
	at     time.Time
	within time.Duration
	row    int
}

// reaches reports whether a problem at a time may follow from the change.
func (c usedChange) reaches(t time.Time) bool {
	return c.row > 0 && c.at.Before(t) && !t.After(c.at.Add(c.within))
}

// problemKey identifies a version with a problem.
type problemKey struct {
	uid  types.UID
	time time.Time
}

// newBeyond prepares the search for changes in rows.
func (f *folding) newBeyond(rows []FoldedRow) *beyond {
	b := &beyond{
		folding: f, changes: map[usedObject][]usedChange{}, times: map[string][]time.Time{},
		before: map[types.UID]usedChange{},
	}
	b.rules = slices.DeleteFunc(relation.All(), func(r relation.Rule) bool {
		return r.Selects || r.Name == relation.Owner || !slices.ContainsFunc(effects, func(e effect) bool {
			return slices.Contains(r.To, schema.GroupResource{Resource: e.plural})
		})
	})
	for i := range rows {
		for _, c := range rows[i].Changes {
			if isOfMetadata(c.Record) {
				continue // a label of a node stops no pod
			}
			for _, e := range effects {
				if c.Ref.GroupResource() != (schema.GroupResource{Resource: e.plural}) {
					continue
				}
				of := usedObject{e.plural, c.Ref.Namespace, c.Ref.Name}
				b.changes[of] = append(b.changes[of], usedChange{c.Time, e.within, i + 1})
				b.times[of.namespace] = append(b.times[of.namespace], c.Time)
			}
		}
	}
	for _, changes := range b.changes {
		slices.SortFunc(changes, func(a, b usedChange) int { return a.at.Compare(b.at) })
	}
	for _, times := range b.times {
		slices.SortFunc(times, time.Time.Compare)
	}
	return b
}

// allFields is how many fields of a manager a record can have. If it has as
// many, there may be others.
const allFields = 4

// isOfMetadata reports whether a version is known to be an update of metadata
// only: labels, for example.
func isOfMetadata(r *history.Record) bool {
	known := false
	for i := range r.Managers {
		fields := r.Managers[i].Fields
		known = known || len(fields) > 0
		if len(fields) >= allFields || slices.ContainsFunc(fields, func(path string) bool {
			return !strings.HasPrefix(path, "metadata.")
		}) {
			return false
		}
	}
	return known && r.Verb == history.Update
}

// row returns the position of the row that a problem belongs to, or -1. Only
// changes after a time count. chain is the object with the problem and its
// owners. Call it for the problems in the order of time.
func (b *beyond) row(
	ctx context.Context, problem *history.Record, chain []*history.Record, after time.Time,
) (int, error) {
	top := chain[len(chain)-1].Ref.UID
	newest := usedChange{at: after}
	if before := b.before[top]; before.reaches(problem.Time) && before.at.After(after) {
		newest = before
	}
	if b.mayFollow(chain[0].Ref.Namespace, problem.Time) {
		used, err := b.usedBy(ctx, problem, chain[0].Ref)
		if err != nil {
			return -1, err
		}
		for _, o := range used {
			changes := b.changes[o]
			n, _ := slices.BinarySearchFunc(changes, problem.Time, func(c usedChange, t time.Time) int {
				return c.at.Compare(t)
			})
			if n > 0 && changes[n-1].reaches(problem.Time) && changes[n-1].at.After(newest.at) {
				newest = changes[n-1]
			}
		}
	}
	if newest.row > 0 {
		b.before[top] = newest
	}
	return newest.row - 1, nil
}

// mayFollow reports whether anything changed before a time that an object in a
// namespace may use. Then it is worth to read the object.
func (b *beyond) mayFollow(namespace string, t time.Time) bool {
	for _, in := range []string{namespace, ""} {
		times := b.times[in]
		n, _ := slices.BinarySearchFunc(times, t, time.Time.Compare)
		if n > 0 && t.Sub(times[n-1]) <= max(nodeEffect, useEffect) {
			return true
		}
	}
	return false
}

// usedBy returns the objects of [effects] that an object used at the time of a
// problem, as far as the caller may read the object.
func (b *beyond) usedBy(
	ctx context.Context, problem *history.Record, of history.ObjectRef,
) (used []usedObject, err error) {
	f := b.folding
	key := problemKey{problem.Ref.UID, problem.Time}
	used, known := f.used[key]
	if known || len(f.used) == maxUsing {
		return used, nil
	}
	r, err := f.newest(ctx, of, problem.Time.Add(1))
	if err != nil {
		return nil, err
	}
	if r != nil && r.Object != nil {
		found := b.rules.Of(relation.Object{
			Group: of.Group, Resource: of.Resource, Namespace: of.Namespace, Name: of.Name, JSON: r.Object,
		}, maxReferences)
		for i := range found.References {
			if o, ok := usedIn(&found.References[i]); ok && !slices.Contains(used, o) {
				used = append(used, o)
			}
		}
	}
	f.used[key] = used
	return used, nil
}

// usedIn returns the object of [effects] that a reference names.
func usedIn(ref *relation.Reference) (usedObject, bool) {
	for _, e := range effects {
		if ref.Group != "" || ref.Resource != e.plural && (ref.Resource != "" || ref.Kind != e.kind) {
			continue
		}
		o := usedObject{e.plural, ref.Namespace, ref.Name}
		if e.plural == "nodes" {
			o.namespace = ""
		}
		return o, true
	}
	return usedObject{}, false
}

// leaves notes that a problem at a time belongs to another row.
func (r *FoldedRow) leaves(at time.Time) {
	if r.left++; r.leftAt.IsZero() || at.Before(r.leftAt) {
		r.leftAt = at
	}
}
