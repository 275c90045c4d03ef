package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// RelationsQuery selects the relations of one object at a time. Namespace,
// Resource and Name are required.
type RelationsQuery struct {
	At time.Time // inclusive; zero: now

	Namespace history.NamespaceScope // one namespace, or [history.ClusterScoped]
	Resource  string                 // in every form that kubectl accepts
	Group     string                 // the API group, if Resource does not name it
	Name      string

	// Depth is the number of relations between the object and the farthest
	// others, at most [v1.MaxDepth]. 0 means 1.
	Depth int
}

// object returns the query for the object itself.
func (q *RelationsQuery) object() ObjectQuery {
	return ObjectQuery{Namespace: q.Namespace, Resource: q.Resource, Name: q.Name}
}

// values returns the query, except for its path, as parameters of the API.
func (q *RelationsQuery) values() url.Values {
	v := url.Values{}
	setTime(v, v1.ParamAt, q.At)
	setText(v, v1.ParamGroup, q.Group)
	if q.Depth != 0 {
		v.Set(v1.ParamDepth, strconv.Itoa(q.Depth))
	}
	return v
}

// RelationsPage is the answer about an object's relations. It is complete
// unless TotalExact is false. There are no further pages.
type RelationsPage struct {
	Page
	v1.RelationGraph
}

// Relations returns what an object uses, owns and selects at a time, and what
// uses, owns and selects it. If the object did not exist and nothing leads to
// it, the error has the code [history.NotFound].
//
// The positions in the relations are valid, and there is at least one object.
func (c *Client) Relations(ctx context.Context, q RelationsQuery) (*RelationsPage, error) {
	at, err := c.objectURL(v1.RelationsRoot, q.object(), q.values())
	if err != nil {
		return nil, err
	}
	page := &RelationsPage{RelationGraph: v1.RelationGraph{
		Objects: []v1.RelatedObject{}, Relations: []v1.Relation{},
	}}
	header, err := c.get(ctx, at, object(map[string]decoder{
		"at":        value(&page.At),
		"objects":   list(&page.Objects),
		"relations": list(&page.Relations),
	}))
	if err != nil {
		return nil, err
	}
	if len(page.Objects) == 0 {
		return nil, c.notARecorder(errors.New("its answer has no object"))
	}
	for _, r := range page.Relations {
		if min(r.From, r.To) < 0 || max(r.From, r.To) >= len(page.Objects) {
			return nil, c.notARecorder(fmt.Errorf("a relation leads from %d to %d of %d objects",
				r.From, r.To, len(page.Objects)))
		}
	}
	page.Page, err = c.page(header, len(page.Relations), "")
	return page, err
}
