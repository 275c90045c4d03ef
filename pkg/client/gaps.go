package client

import (
	"context"
	"net/url"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// GapsQuery asks when changes may have been missed. The zero value asks for every gap that the recorder knows of.
type GapsQuery struct {
	Start time.Time // zero: from the beginning
	End   time.Time // zero: until now

	Resources []string // as in [EventsQuery]
	Group     string   // as in [EventsQuery]
}

func (q *GapsQuery) values() url.Values {
	v := url.Values{}
	moment(v, "start", q.Start)
	moment(v, "end", q.End)
	text(v, "resourceType", strings.Join(q.Resources, ","))
	text(v, "group", q.Group)
	return v
}

// Gaps returns the gaps that touch the query's time and resources, in the order of their starts. Ask only where
// [Page.Gaps] says that there are some: a recorder that does not count them does not list them either.
func (c *Client) Gaps(ctx context.Context, q GapsQuery) ([]v1.Gap, error) {
	at := c.base.JoinPath(v1.GapsPath)
	at.RawQuery = q.values().Encode()
	var gaps []v1.Gap
	if _, err := c.get(ctx, at, object(map[string]decoder{"gaps": list(&gaps)})); err != nil {
		return nil, err
	}
	return gaps, nil
}
