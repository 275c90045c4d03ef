package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Page describes a page of records, and what may be missing from the query's
// records.
type Page struct {
	Total      int  // matches of the whole query
	TotalExact bool // false: the recorder stopped counting; there are at least Total matches
	HasMore    bool
	Next       string // the cursor of the next page; empty on the last one

	// Gaps counts the gaps that touch the query's time and resources.
	Gaps int
	// NewestGaps are the newest of them, newest first, at most
	// [v1.MaxGapsListed]. They have no Detail. [Client.Gaps] lists all gaps.
	NewestGaps []v1.Gap

	// Ignored is the text of [v1.IgnoredHeader]: the rules of the recorder's
	// configuration that ignore a part of the query's resources and namespaces.
	Ignored string
	// IgnoreRules is Ignored in parsed form. If the text was cut, its last
	// entry is left out.
	IgnoreRules []history.IgnoreRule

	// Since is when the history of the query's resources begins: with their
	// recording or, if SinceTrimmed, with what retention has kept. Zero means
	// unknown.
	Since        time.Time
	SinceTrimmed bool
	// NotRecorded is the text of [v1.NotRecordedHeader]: the query's resources
	// that are not recorded.
	NotRecorded string

	// Restricted means that the caller may read less in the cluster than the
	// query is about. It does not mean that anything is missing.
	Restricted bool
}

// EventsPage is one page of records.
type EventsPage struct {
	Page

	Events []v1.Event // not nil
}

// ObjectPage is one page of an object's history. Neither of its lists is nil.
type ObjectPage struct {
	Page
	v1.ObjectHistory
}

// Events returns one page. If nothing matches, the page is empty.
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

// ErrNoFolding means that the recorder is older than this client, and does not
// fold records.
var ErrNoFolding = errors.New("the recorder does not fold records")

// FoldedPage is one page of folded rows. Its Total counts the root changes and
// onsets of the query, and not the rows.
type FoldedPage struct {
	Page

	Rows []v1.Row // not nil
}

// Folded returns one page of rows: root changes with what follows from them.
// q.Limit is the number of rows, and q.Classes and q.Summary must not be set.
// If nothing matches, the page is empty. An older recorder's error is
// [ErrNoFolding].
func (c *Client) Folded(ctx context.Context, q EventsQuery) (*FoldedPage, error) {
	values := q.values()
	values.Set(v1.ParamFold, "true")
	at := c.base.JoinPath(v1.EventsPath)
	at.RawQuery = values.Encode()
	var raw json.RawMessage
	header, err := c.get(ctx, at, value(&raw))
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(raw, []byte("[")) { // a list of events: the parameter was ignored
		return nil, ErrNoFolding
	}
	var answer v1.FoldedPage
	if err := json.Unmarshal(raw, &answer); err != nil {
		return nil, c.notARecorder(err)
	}
	page := &FoldedPage{Rows: append([]v1.Row{}, answer.Rows...)}
	page.Page, err = c.page(header, len(page.Rows), q.Cursor)
	return page, err
}

// All iterates over all records of the query, and requests pages as they are
// needed. q.Limit is the size of a page. An error is the last element.
func (c *Client) All(ctx context.Context, q EventsQuery) iter.Seq2[v1.Event, error] {
	return func(yield func(v1.Event, error) bool) {
		for {
			page, err := c.Events(ctx, q)
			if err != nil {
				yield(v1.Event{}, err)
				return
			}
			if !yieldAll(page.Events, yield) || !page.HasMore {
				return
			}
			q.Cursor = page.Next
		}
	}
}

// Object returns one page of an object's own records, and of the Events
// regarding it. An object without a history has two empty lists.
func (c *Client) Object(ctx context.Context, q ObjectQuery) (*ObjectPage, error) {
	at, err := c.objectURL(v1.EventsPath, q, q.values())
	if err != nil {
		return nil, err
	}
	namespace, _ := q.Namespace.Namespace()
	page := &ObjectPage{ObjectHistory: v1.ObjectHistory{
		Namespace: namespace, ResourceType: q.Resource, ResourceName: q.Name,
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

// Versions iterates over the object's own records, and requests pages as they
// are needed. An error is the last element.
func (c *Client) Versions(ctx context.Context, q ObjectQuery) iter.Seq2[v1.Event, error] {
	return c.object(ctx, q, func(page *ObjectPage) []v1.Event { return page.WatchEvents })
}

// Related iterates over the Events regarding the object, and requests pages as
// they are needed. An error is the last element.
func (c *Client) Related(ctx context.Context, q ObjectQuery) iter.Seq2[v1.Event, error] {
	return c.object(ctx, q, func(page *ObjectPage) []v1.Event { return page.RelatedEvents })
}

// object iterates over one of the two lists of an object's pages. Both lists
// share a cursor, so pages are requested until both are complete.
func (c *Client) object(
	ctx context.Context, q ObjectQuery, choose func(*ObjectPage) []v1.Event,
) iter.Seq2[v1.Event, error] {
	return func(yield func(v1.Event, error) bool) {
		for {
			page, err := c.Object(ctx, q)
			if err != nil {
				yield(v1.Event{}, err)
				return
			}
			if !yieldAll(choose(page), yield) || !page.HasMore {
				return
			}
			q.Cursor = page.Next
		}
	}
}

// yieldAll yields the events, and reports whether the loop continues after
// them.
func yieldAll(events []v1.Event, yield func(v1.Event, error) bool) bool {
	for i := range events {
		if !yield(events[i], nil) {
			return false
		}
	}
	return true
}

// Gaps returns the gaps that touch the query's time and resources, ordered by
// their starts.
//
// Call it only if [Page.Gaps] is not 0. An old recorder that does not count
// gaps does not serve the list either.
func (c *Client) Gaps(ctx context.Context, q GapsQuery) ([]v1.Gap, error) {
	at := c.base.JoinPath(v1.GapsPath)
	at.RawQuery = q.values().Encode()
	var gaps []v1.Gap
	if _, err := c.get(ctx, at, object(map[string]decoder{"gaps": list(&gaps)})); err != nil {
		return nil, err
	}
	return gaps, nil
}

// page reads the headers of an answer with n records. cursor is the cursor of
// the request.
//
// A recorder that does not send a header leaves its field zero. Without a
// total, the page is the whole answer.
func (c *Client) page(header http.Header, n int, cursor string) (page Page, err error) {
	page = Page{
		TotalExact:   header.Get(v1.TotalCountRelationHeader) == "",
		HasMore:      header.Get(v1.HasMoreHeader) == "true",
		Next:         header.Get(v1.NextCursorHeader),
		NewestGaps:   parseGaps(header.Get(v1.GapListHeader)),
		Ignored:      header.Get(v1.IgnoredHeader),
		IgnoreRules:  parseIgnoreRules(header.Get(v1.IgnoredHeader)),
		SinceTrimmed: header.Get(v1.SinceTrimmedHeader) == "true",
		NotRecorded:  header.Get(v1.NotRecordedHeader),
		Restricted:   header.Get(v1.RestrictedHeader) == "true",
	}
	page.Since, _ = time.Parse(time.RFC3339, header.Get(v1.SinceHeader)) // an invalid time means unknown
	if page.Total, err = c.count(header, v1.TotalCountHeader, n); err != nil {
		return Page{}, err
	}
	if page.Gaps, err = c.count(header, v1.GapsHeader, 0); err != nil {
		return Page{}, err
	}
	if page.HasMore && page.Next == "" {
		return Page{}, &history.Error{
			Code:    history.Unavailable,
			Message: c.options.Name + " has more records but returns no cursor: it is older than this client",
			Err:     ErrNoCursor,
		}
	}
	if page.HasMore && page.Next == cursor { // an iterator would never end
		return Page{}, c.notARecorder(errors.New("its pages do not advance"))
	}
	return page, nil
}

// count reads a header that is a number, and returns absent if it is missing.
func (c *Client) count(header http.Header, name string, absent int) (int, error) {
	text := header.Get(name)
	if text == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, c.notARecorder(errors.New(name + " is " + quote.Line(text)))
	}
	return n, nil
}

// objectURL returns the URL of an object below a path of the API, with
// parameters. It returns an error if the query does not name one object.
func (c *Client) objectURL(root string, of ObjectQuery, parameters url.Values) (*url.URL, error) {
	if err := of.validate(); err != nil {
		return nil, err
	}
	at := c.base.JoinPath(root)
	for _, segment := range []string{of.Namespace.String(), of.Resource, of.Name} {
		at = at.JoinPath(url.PathEscape(segment))
	}
	at.RawQuery = parameters.Encode()
	return at, nil
}
