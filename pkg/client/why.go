package client

import (
	"context"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// WhyQuery selects an object whose problem is explained.
// Namespace, Resource and Name are required.
type WhyQuery struct {
	At time.Time // inclusive; zero: now

	Namespace history.NamespaceScope // one namespace, or [history.ClusterScoped]
	Resource  string                 // in every form that kubectl accepts
	Group     string                 // the API group, if Resource does not name it
	Name      string

	Limit int // causes; 0: the recorder's default
}

// object returns the object of the query.
func (q *WhyQuery) object() ObjectQuery {
	return ObjectQuery{Namespace: q.Namespace, Resource: q.Resource, Name: q.Name}
}

// values returns the query as parameters of the API.
func (q *WhyQuery) values() url.Values {
	v := url.Values{}
	setTime(v, v1.ParamAt, q.At)
	setText(v, v1.ParamGroup, q.Group)
	if q.Limit > 0 {
		v.Set(v1.ParamLimit, strconv.Itoa(q.Limit))
	}
	return v
}

// WhyPage is the answer to a [WhyQuery]. There are no further pages.
type WhyPage struct {
	Page
	v1.Why
}

// Why returns what is wrong with an object, and the changes that may have
// caused it, the likeliest first. If the object did not exist and nothing leads
// to it, the error has the code [history.NotFound].
func (c *Client) Why(ctx context.Context, q WhyQuery) (*WhyPage, error) {
	at, err := c.objectURL(v1.WhyRoot, q.object(), q.values())
	if err != nil {
		return nil, err
	}
	page := &WhyPage{}
	header, err := c.get(ctx, at, value(&page.Why))
	if err != nil {
		return nil, err
	}
	page.Page, err = c.page(header, len(page.Causes), "")
	return page, err
}
