package query

import (
	"context"
	"slices"
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
)

// maxUsing is the number of problems of one page for which the used objects are
// read. The others have rows of their own.
const maxUsing = 1_000

// effects are the resources whose changes have consequences beyond ownership.
var effects = []struct { //nolint:gochecknoglobals // a constant table
	plural, kind string // of the core group
	within       time.Duration
}{
	{"nodes", "Node", nodeEffect},
	{"configmaps", "ConfigMap", useEffect},
	{"secrets", "Secret", useEffect},
	{"serviceaccounts", "ServiceAccount", useEffect},
	{"persistentvolumeclaims", "PersistentVolumeClaim", useEffect},
}

// beyond finds the rows to which the problems belong whose owners did not
// change on the page.
//
// Such a problem belongs to the newest change, shortly before it, of an object
// that the one with the problem uses, or to which an earlier problem of the
// same outermost owner belongs: pods that replace those of a lost node don't
// use that node.
type beyond struct {
	folding *folding
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
	for i := range rows {
		for _, c := range rows[i].Changes {
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

// row returns the position of the row that a problem belongs to, or -1. chain
// is the object with the problem and its owners, and none of them changed on
// the page. Call it for the problems in the order of time.
func (b *beyond) row(ctx context.Context, problem *history.Record, chain []*history.Record) (int, error) {
	top := chain[len(chain)-1].Ref.UID
	var newest usedChange
	if before := b.before[top]; before.reaches(problem.Time) {
		newest = before
	}
	if b.mayFollow(chain[0].Ref.Namespace, problem.Time) {
		used, err := b.folding.usedBy(ctx, problem, chain[0].Ref)
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
func (f *folding) usedBy(
	ctx context.Context, problem *history.Record, of history.ObjectRef,
) (used []usedObject, err error) {
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
		found := relation.All().Of(relation.Object{
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
		if ref.Group != "" || ref.Rule == relation.Owner ||
			ref.Resource != e.plural && (ref.Resource != "" || ref.Kind != e.kind) {
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
