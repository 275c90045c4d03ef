package query

import (
	"context"
	"hash/maphash"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Rights keeps what the caller of a stream may read, from one batch to the
// next. Its memory is a byte for each resource and namespace. The zero value
// keeps nothing. One goroutine uses it, for one question.
//
// A batch asks only for the rights on resources and in namespaces that are new.
// Every Life, it also asks again for the rights that were granted, and for
// those that were denied: for all of the latter if there are few of them, and
// otherwise for a third.
type Rights struct {
	// Life is how long the decisions are used. They may be older than that by
	// as much as those of the [Authorizer].
	Life time.Duration

	caller  Authorizer
	renewed time.Time
	round   int            // renewals until now
	seed    maphash.Seed   // of the hashes by which denied places are renewed in parts
	known   history.Cursor // each namespace with records up to it is decided on
	scopes  []decisions    // of the question's scopes
	view    history.View   // of all scopes
}

const (
	// renewedAtOnce is up to how many denied places are asked for in each
	// renewal of a view.
	renewedAtOnce = 1000
	// renewalParts is in how many renewals all denied places are asked for, if
	// there are more.
	renewalParts = 3
	// youngNamespace is the age up to which the rights in a namespace are asked
	// for with each batch in which it has records. Rights in a namespace are
	// often granted shortly after its first object was created.
	youngNamespace = time.Minute
)

// decisions are those about what a caller may read in a scope.
type decisions struct {
	// rows has a byte for each of the columns, which is 1 if the caller may
	// read the resource there. A nil row means all of the resource.
	rows map[schema.GroupResource][]byte
	// columns are the indexes of the namespaces that existed, and of "" for
	// cluster-scoped objects.
	columns map[string]int
	young   map[string]bool // namespaces that were young
	view    history.View
}

// earlier are decisions that may be used again. The zero value has none.
type earlier struct {
	decisions

	renew bool // ask again for a part
	round int
	seed  maphash.Seed
	had   history.Activity // since then
	// stream reports whether had has all records of namespaces that are new.
	stream bool
}

// everywhere returns the decision about all objects of a resource, and reports
// whether it can be used.
func (e *earlier) everywhere(r schema.GroupResource) (may, usable bool) {
	row, known := e.rows[r]
	return row == nil, known && !e.renew
}

// place returns the decision about a place, and reports whether it can be used.
func (e *earlier) place(r schema.GroupResource, namespace string) (may, usable bool) {
	row := e.rows[r]
	i, known := e.columns[namespace]
	if row == nil || !known || e.outdated(namespace) {
		return false, false
	}
	may = row[i] == 1
	if !e.renew {
		return may, true
	}
	if may || len(e.rows)*len(e.columns) <= renewedAtOnce {
		return may, false
	}
	part := maphash.Comparable(e.seed, history.ObjectRef{Group: r.Group, Resource: r.Resource, Namespace: namespace})
	return false, (part+uint64(e.round))%renewalParts != 0
}

// outdated reports whether rights in a namespace may have been granted since
// they were decided on: it was young, and had records since.
func (e *earlier) outdated(namespace string) bool {
	_, active := e.had.Newest[namespace]
	return active && e.young[namespace]
}

// isEmpty reports whether a namespace is too young to have had a record. Rights
// in it are decided on with the first one. Earlier, they may not be granted
// yet, and a decision is cached.
func (e *earlier) isEmpty(namespace string, created, now time.Time) bool {
	_, known := e.columns[namespace]
	_, active := e.had.Newest[namespace]
	return e.stream && !known && !active && isYoung(created, now) && !e.had.Unknown.After(created)
}

// isYoung reports whether a namespace is young.
func isYoung(created, now time.Time) bool { return now.Sub(created) <= youngNamespace }

// covers reports whether the decisions include all resources, and all
// namespaces of the scope that had records.
func (e *earlier) covers(resources []history.Resource, scope history.NamespaceScope) bool {
	for _, r := range resources {
		if _, known := e.rows[r.GroupResource()]; !known {
			return false
		}
	}
	for namespace := range e.had.Newest {
		_, known := e.columns[namespace]
		if scope.Contains(namespace) && (!known || e.outdated(namespace)) {
			return false
		}
	}
	return e.had.Unknown.IsZero()
}

// seeAgain is see for a batch of a stream.
func (s *Service) seeAgain(
	ctx context.Context, all sight, name string, scopes []scope, rights *Rights, upTo history.Cursor,
) (sight, error) {
	if s.caller == nil {
		return all, nil
	}
	now := s.options.Now()
	if rights.caller != s.caller {
		*rights = Rights{
			Life: rights.Life, renewed: now, seed: maphash.MakeSeed(),
			scopes: make([]decisions, len(scopes)), view: history.View{},
		}
	}
	rights.caller = nil // until all is decided
	had := s.options.Feed.Active(rights.known)
	e := earlier{stream: true, had: had, renew: now.Sub(rights.renewed) >= rights.Life}
	if e.renew {
		rights.round, rights.renewed = rights.round+1, now
	}
	e.round, e.seed = rights.round, rights.seed
	changed := false
	for i, of := range scopes {
		resources := all.resources(of)
		e.decisions = rights.scopes[i]
		if !e.renew && e.covers(resources, of.namespace) {
			continue
		}
		d, err := s.decide(ctx, resources, of.namespace, name, e)
		if err != nil {
			return sight{}, rightsError(err)
		}
		rights.scopes[i], changed = d, true
	}
	if changed {
		rights.view = history.View{}
		for i := range rights.scopes {
			for r, grant := range rights.scopes[i].view {
				rights.view[r] = joined(rights.view[r], grant)
			}
		}
	}
	rights.caller, rights.known, all.view = s.caller, upTo, rights.view
	return all.visible(), nil
}

// decide returns the caller's rights on the resources in a scope. It makes one
// decision per resource and, if the caller has no cluster-wide rights, one per
// resource and namespace, except for those that are known from earlier.
func (s *Service) decide(
	ctx context.Context, resources []history.Resource, scope history.NamespaceScope, name string, known earlier,
) (decisions, error) {
	d := decisions{
		rows: map[schema.GroupResource][]byte{}, columns: map[string]int{}, young: map[string]bool{},
		view: history.View{},
	}
	all := make([]bool, len(resources))
	err := eachConcurrently(ctx, len(resources), func(ctx context.Context, i int) (err error) {
		usable := false
		if all[i], usable = known.everywhere(resources[i].GroupResource()); !usable {
			all[i], err = s.caller.List(ctx, resources[i].GroupResource(), history.AllNamespaces)
		}
		return err
	})
	if err != nil {
		return decisions{}, err
	}
	var rest []history.Resource
	for i, r := range resources {
		if all[i] {
			d.rows[r.GroupResource()], d.view[r.GroupResource()] = nil, history.Grant{All: true}
		} else {
			rest = append(rest, r)
		}
	}
	if len(rest) == 0 {
		return d, nil
	}
	namespaces, err := s.namespaces(ctx, scope, known)
	if err != nil {
		return decisions{}, err
	}
	granted := make([]byte, len(rest)*len(namespaces))
	err = eachConcurrently(ctx, len(granted), func(ctx context.Context, i int) (err error) {
		r, namespace := rest[i/len(namespaces)], namespaces[i%len(namespaces)]
		if !r.Scoped(namespace != "") {
			return nil
		}
		may, usable := known.place(r.GroupResource(), namespace)
		if !usable {
			may, err = s.mayRead(ctx, r.GroupResource(), namespace, name)
		}
		if may {
			granted[i] = 1
		}
		return err
	})
	if err != nil {
		return decisions{}, err
	}
	// The namespaces are read after the rights: see [Authorizer].
	since, err := s.created(ctx, namespaces, known.had)
	if err != nil {
		return decisions{}, err
	}
	var exist []int // indexes of namespaces
	now := s.options.Now()
	for i, namespace := range namespaces {
		at, exists := since[namespace]
		if !exists {
			continue
		}
		if isYoung(at, now) {
			d.young[namespace] = true
		}
		d.columns[namespace] = len(exist)
		exist = append(exist, i)
	}
	equal := map[string]map[string]time.Time{} // the grants of equal rows
	for i, r := range rest {
		row := make([]byte, len(exist))
		for j, k := range exist {
			row[j] = granted[i*len(namespaces)+k]
		}
		places, shared := equal[string(row)]
		if !shared {
			places = map[string]time.Time{}
			for j, k := range exist {
				if row[j] == 1 {
					places[namespaces[k]] = since[namespaces[k]]
				}
			}
			equal[string(row)] = places
		}
		d.rows[r.GroupResource()] = row
		if len(places) > 0 {
			d.view[r.GroupResource()] = history.Grant{Namespaces: places}
		}
	}
	return d, nil
}

// namespaces returns the namespaces of a scope that the caller may have rights
// in, "" for cluster-scoped objects.
func (s *Service) namespaces(
	ctx context.Context, scope history.NamespaceScope, known earlier,
) (names []string, err error) {
	if namespace, one := scope.Namespace(); one {
		return []string{namespace}, nil
	}
	exist, err := s.caller.Namespaces(ctx, known.had)
	now := s.options.Now()
	for _, name := range slices.Sorted(maps.Keys(exist)) {
		if !known.isEmpty(name, exist[name], now) {
			names = append(names, name)
		}
	}
	return append(names, ""), err
}
