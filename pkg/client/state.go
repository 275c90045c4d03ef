package client

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
)

// StatePage is one page of a state.
type StatePage struct {
	Page

	At    time.Time         // the time of the state, in UTC
	Items []json.RawMessage // complete objects; not nil
}

// ComparePage is one page of a comparison.
type ComparePage struct {
	Page
	v1.Comparison
}

// State returns one page of the objects as they were at a time. If nothing was
// recorded at that time, the error has the code [history.NotFound]: a state is
// empty only if the recorder observed that.
func (c *Client) State(ctx context.Context, q StateQuery) (*StatePage, error) {
	at := c.base.JoinPath(v1.StatePath)
	at.RawQuery = q.values().Encode()
	page := &StatePage{Items: []json.RawMessage{}}
	header, err := c.get(ctx, at, object(map[string]decoder{"items": list(&page.Items)}))
	if err != nil {
		return nil, err
	}
	if page.At, err = c.stateTime(header); err != nil {
		return nil, err
	}
	page.Page, err = c.page(header, len(page.Items), q.Cursor)
	return page, err
}

// stateTime returns the time in an [v1.AtHeader].
func (c *Client) stateTime(header http.Header) (time.Time, error) {
	text := header.Get(v1.AtHeader)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return at, c.notARecorder(errors.New(v1.AtHeader + " is " + quote.Line(text)))
	}
	return at, nil
}

// Objects iterates over the objects as they were at a time, and requests pages
// as they are needed. All pages show the same moment. An error is the last
// element.
func (c *Client) Objects(ctx context.Context, q StateQuery) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for {
			page, err := c.State(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, item := range page.Items {
				if !yield(item, nil) {
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

// Compare returns one page of the objects that differ between two times. A page
// may be empty although others follow. If nothing was recorded at the earlier
// time, the error has the code [history.NotFound].
func (c *Client) Compare(ctx context.Context, q CompareQuery) (*ComparePage, error) {
	at := c.base.JoinPath(v1.ComparePath)
	at.RawQuery = q.values().Encode()
	page := &ComparePage{Comparison: v1.Comparison{Differences: []v1.Difference{}}}
	header, err := c.get(ctx, at, object(map[string]decoder{
		"from":        value(&page.From),
		"to":          value(&page.To),
		"differences": list(&page.Differences),
		"existed":     value(&page.Existed),
	}))
	if err != nil {
		return nil, err
	}
	page.Page, err = c.page(header, len(page.Differences), q.Cursor)
	return page, err
}

// Differences iterates over the objects that differ between two times, and
// requests pages as they are needed. An error is the last element.
func (c *Client) Differences(ctx context.Context, q CompareQuery) iter.Seq2[v1.Difference, error] {
	return func(yield func(v1.Difference, error) bool) {
		for {
			page, err := c.Compare(ctx, q)
			if err != nil {
				yield(v1.Difference{}, err)
				return
			}
			for i := range page.Differences {
				if !yield(page.Differences[i], nil) {
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
