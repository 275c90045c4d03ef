package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// Comparison is the merged result of comparing several parts of the cluster at
// two times.
type Comparison struct {
	v1.Comparison

	Pages []client.Page // the last one of each query

	roots map[differing]*rootChanges

	uncounted bool // the objects of some query were not counted
}

// differing identifies what differs: the objects with one name.
type differing struct{ group, plural, namespace, name string }

// rootChanges are the root changes of the objects with one name.
type rootChanges struct {
	count   int
	writers []string // as operators call them, the newest first
}

// Compare compares the queries' objects between two times, including those of
// which only noise differs, and reads their root changes in between.
//
// A custom type may have had another scope, and is searched in both. The
// recorder rejects the one that it never had.
func Compare(ctx context.Context, source *client.Client, queries []client.CompareQuery) (*Comparison, error) {
	c := &Comparison{roots: map[differing]*rootChanges{}}
	c.Differences = []v1.Difference{}
	for _, q := range queries {
		q.Noise, q.Limit = true, pageSize
		for {
			page, err := source.Compare(ctx, q)
			if len(queries) > 1 && IsUnknownType(err) {
				break
			}
			if err != nil {
				return nil, err
			}
			c.From, c.To = page.From, page.To
			c.Differences = append(c.Differences, page.Differences...)
			c.count(page.Existed, q.Cursor == "")
			if !page.HasMore {
				c.Pages = append(c.Pages, page.Page)
				break
			}
			q.Cursor = page.Next
		}
	}
	if c.To.IsZero() {
		return c, nil
	}
	for i := range queries {
		if err := c.readRoots(ctx, source, &queries[i]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// count adds the number of objects that a page has. If the first page of a
// query has none, because the recorder is older, there is no sum.
func (c *Comparison) count(n *v1.ObjectCount, first bool) {
	switch {
	case !first:
	case n == nil:
		c.uncounted = true
	case c.Existed == nil:
		c.Existed = n
	default:
		c.Existed.Objects += n.Objects
		c.Existed.Initial += n.Initial
		c.Existed.Relation = cmp.Or(c.Existed.Relation, n.Relation)
	}
	if c.uncounted {
		c.Existed = nil
	}
}

// IsUnknownType reports whether the recorder never recorded the types of a
// comparison in its namespace. The errors about times name a parameter.
func IsUnknownType(err error) bool {
	_, isParameter := errors.AsType[*client.ParameterError](err)
	return history.CodeOf(err) == history.NotFound && !isParameter
}

// readRoots reads the root changes between the times.
func (c *Comparison) readRoots(ctx context.Context, source *client.Client, compared *client.CompareQuery) error {
	for e, err := range source.All(ctx, client.EventsQuery{
		Start: c.From.Add(1), End: c.To.Add(1), Order: history.NewestFirst, Limit: pageSize, Summary: true,
		Namespace: compared.Namespace, Resources: compared.Resources, Name: compared.Name,
		Classes: []history.Class{history.Root},
	}) {
		if err != nil {
			return err
		}
		key := differing{e.Group, e.ResourceType, e.Namespace, e.ResourceName}
		r := c.roots[key]
		if r == nil {
			r = &rootChanges{}
			c.roots[key] = r
		}
		r.count++
		for i := range e.Managers[:min(len(e.Managers), 1)] {
			if name := render.Writer(e.Managers[i].Manager); !slices.Contains(r.writers, name) {
				r.writers = append(r.writers, name)
			}
		}
	}
	return nil
}

// Stats returns the lines of the objects that differ, and of those that changed
// in between and are as they were. Differences that follow from other changes
// are counted by their types, unless all is set.
func (c *Comparison) Stats(all bool) (stats []render.Stat, hidden map[HiddenType]int) {
	hidden = map[HiddenType]int{}
	for _, d := range c.Differences {
		s := render.Stat{Difference: d}
		if r := c.roots[differing{d.Group, d.ResourceType, d.Namespace, d.ResourceName}]; r != nil {
			s.Changes, s.Writers = r.count, r.writers
		}
		switch {
		case d.Noise && s.Changes == 0:
			continue
		case d.Noise, s.Changes > 0 && d.Change == "changed" && d.Remainder != "":
			s.Mark = render.StatSame
		case !all && (s.Changes == 0 || d.Derived && d.Change != "changed"):
			hidden[HiddenType{d.ResourceType, strings.ToLower(d.Kind)}]++
			continue
		case d.Change == "created":
			s.Mark = render.StatAdded
		case d.Change == "deleted":
			s.Mark = render.StatDeleted
		default:
			s.Mark = render.StatModified
		}
		stats = append(stats, s)
	}
	order := []string{render.StatModified, render.StatDeleted, render.StatAdded, render.StatSame}
	slices.SortStableFunc(stats, func(a, b render.Stat) int {
		return cmp.Compare(slices.Index(order, a.Mark), slices.Index(order, b.Mark))
	})
	return stats, hidden
}

// HiddenType is the type of differences that are counted.
type HiddenType struct{ plural, singular string }

// HiddenTypes lists numbers of types: "8 pods, 1 replicaset".
func HiddenTypes(hidden map[HiddenType]int) (text string, total int) {
	types := slices.SortedFunc(maps.Keys(hidden), func(a, b HiddenType) int {
		return cmp.Or(hidden[b]-hidden[a], strings.Compare(a.plural, b.plural))
	})
	var parts []string
	for _, t := range types {
		name := t.plural
		if hidden[t] == 1 {
			name = t.singular
		}
		total += hidden[t]
		parts = append(parts, fmt.Sprintf("%d %s", hidden[t], name))
	}
	return strings.Join(parts, ", "), total
}
