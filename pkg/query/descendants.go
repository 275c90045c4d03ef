package query

import (
	"context"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// descendants returns all descendants of the objects with these UIDs, existing
// or deleted. It reports false if it stopped at a bound. Each object is visited
// once, so circular ownership ends.
func (s *Service) descendants(
	ctx context.Context, uids map[types.UID]bool, view history.View,
) (family, bool, error) {
	d := descent{
		view: view, seen: maps.Clone(uids), effort: s.options.Effort,
		room: s.options.Descendants, targets: map[history.Target]bool{},
	}
	level := slices.Sorted(maps.Keys(uids))
	for depth := 0; len(level) > 0 && depth < ownershipDepth && !d.exhausted(); depth++ {
		var next []types.UID
		for _, owner := range level {
			owned, err := d.children(ctx, s.reader, owner)
			if err != nil {
				return family{}, false, err
			}
			next = append(next, owned...)
		}
		level = next
	}
	of := family{targets: slices.Collect(maps.Keys(d.targets)), uids: d.seen, closed: true}
	return of, len(level) == 0 && !d.exhausted(), nil
}

// descent follows owner references level by level.
type descent struct {
	view    history.View // what the caller may read
	seen    map[types.UID]bool
	targets map[history.Target]bool // without UIDs: the incarnations under one name are read together
	effort  int                     // records that may still be read
	room    int                     // objects that may still be found
}

// exhausted reports whether a bound is reached, so that descendants may be
// missing.
func (d *descent) exhausted() bool { return d.effort <= 0 || d.room <= 0 }

// children returns the UIDs of the owner's objects that were not seen before,
// newest first. An owner without a UID has none: references are by UID.
func (d *descent) children(ctx context.Context, reader Reader, owner types.UID) ([]types.UID, error) {
	if owner == "" {
		return nil, nil
	}
	var found []types.UID
	owned := history.Scan{Filter: history.Filter{Owner: owner, View: d.view}, Order: history.NewestFirst}
	for r, err := range reader.Scan(ctx, owned) {
		if err != nil {
			return nil, err
		}
		if d.exhausted() {
			break
		}
		d.effort--
		if d.seen[r.Ref.UID] {
			continue
		}
		d.room--
		d.seen[r.Ref.UID] = true
		d.targets[history.Target{Group: r.Ref.Group, Kind: r.Kind, Namespace: r.Ref.Namespace, Name: r.Ref.Name}] = true
		found = append(found, r.Ref.UID)
	}
	return found, nil
}
