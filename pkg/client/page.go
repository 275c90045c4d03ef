package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Page says where a page stands in its query.
type Page struct {
	Total      int  // matches of the whole query
	TotalExact bool // false: the recorder stopped counting, and there are at least Total
	HasMore    bool
	Next       string // the cursor of the next page; empty where there is none
	Gaps       int    // that touch the whole query's time and resources: [Client.Gaps] lists them
	Ignored    string // what the recorder's configuration leaves out of the query's resources and namespace

	// Since is when recording of the query's resources began or, if it is
	// trimmed, where what retention has left of that begins; zero if unknown.
	Since   time.Time
	Trimmed bool
	// NotRecorded names those of the query's resources that are not recorded, as
	// in [v1.NotRecordedHeader].
	NotRecorded string
}

// EventsPage is one page of records.
type EventsPage struct {
	Page

	Events []v1.Event
}

// ObjectPage is one page of an object's history.
type ObjectPage struct {
	Page
	v1.ObjectHistory
}

// Events returns one page. A query without matches is an empty page and no error.
func (c *Client) Events(ctx context.Context, q EventsQuery) (*EventsPage, error) {
	at := c.base.JoinPath(v1.EventsPath)
	at.RawQuery = q.values().Encode()
	page := &EventsPage{Events: []v1.Event{}}
	header, err := c.get(ctx, at, list(&page.Events))
	if err != nil {
		return nil, err
	}
	page.Page, err = c.page(header, len(page.Events), q.Cursor)
	return page, err
}

// All returns every record of the query, page by page as they are needed; q.Limit is the size of a page. The first error
// ends it. Stop early by breaking out of the loop.
func (c *Client) All(ctx context.Context, q EventsQuery) iter.Seq2[v1.Event, error] {
	return func(yield func(v1.Event, error) bool) {
		for {
			page, err := c.Events(ctx, q)
			if err != nil {
				yield(v1.Event{}, err)
				return
			}
			for i := range page.Events {
				if !yield(page.Events[i], nil) {
					return
				}
			}
			if !page.HasMore {
				return
			}
			q.Cursor = page.Next
		}
	}
}

// Object returns one page of an object's own records, and the Events regarding it. An object without history is two empty
// lists and no error.
func (c *Client) Object(ctx context.Context, q ObjectQuery) (*ObjectPage, error) {
	if err := q.validate(); err != nil {
		return nil, err
	}
	at := c.base.JoinPath(v1.EventsPath)
	for _, segment := range q.path() {
		at = at.JoinPath(url.PathEscape(segment))
	}
	at.RawQuery = q.values().Encode()
	page := &ObjectPage{ObjectHistory: v1.ObjectHistory{
		Namespace: q.Namespace, ResourceType: q.Resource, ResourceName: q.Name,
		WatchEvents: []v1.Event{}, RelatedEvents: []v1.Event{},
	}}
	header, err := c.get(ctx, at, object(map[string]decoder{
		"namespace":     value(&page.Namespace),
		"resourceType":  value(&page.ResourceType),
		"resourceName":  value(&page.ResourceName),
		"watchEvents":   list(&page.WatchEvents),
		"relatedEvents": list(&page.RelatedEvents),
	}))
	if err != nil {
		return nil, err
	}
	page.Page, err = c.page(header, len(page.WatchEvents), q.Cursor)
	return page, err
}

// page reads the header fields of the page behind a cursor. Without them, which is what a 404 for "nothing" looks like, the page
// is all there is. A recorder that is older than gaps says nothing of them.
func (c *Client) page(header http.Header, n int, behind string) (page Page, err error) {
	page = Page{
		TotalExact: header.Get(v1.TotalCountRelationHeader) == "",
		HasMore:    header.Get(v1.HasMoreHeader) == "true",
		Next:       header.Get(v1.NextCursorHeader),
		Ignored:    header.Get(v1.IgnoredHeader),

		Trimmed:     header.Get(v1.SinceTrimmedHeader) == "true",
		NotRecorded: header.Get(v1.NotRecordedHeader),
	}
	page.Since, _ = time.Parse(time.RFC3339, header.Get(v1.SinceHeader)) // what is no time is unknown
	if page.Total, err = c.count(header, v1.TotalCountHeader, n); err != nil {
		return Page{}, err
	}
	if page.Gaps, err = c.count(header, v1.GapsHeader, 0); err != nil {
		return Page{}, err
	}
	if page.HasMore && page.Next == "" {
		return Page{}, &Error{
			Code:    history.Unavailable,
			Message: c.route.target + " has more records and gives no cursor to them",
			Hint:    "It is older than this client: upgrade the recorder, or narrow the query.",
		}
	}
	if page.HasMore && page.Next == behind { // whoever goes on would never end
		return Page{}, c.stranger("its pages do not advance")
	}
	return page, nil
}

// count reads a header field that is a number, and returns absent where there is no such field.
func (c *Client) count(header http.Header, name string, absent int) (int, error) {
	text := header.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, c.stranger(name + " is " + quotable(text))
	}
	return n, nil
}
