package client

import (
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Catalogue returns what the API server served at a time, as its documents
// describe it. The zero time is now. If the documents were not recorded at the
// time, the error has the code [history.NotFound].
func (c *Client) Catalogue(ctx context.Context, at time.Time) (*v1.Catalogue, error) {
	u := c.base.JoinPath(v1.CataloguePath)
	values := url.Values{}
	setTime(values, v1.ParamAt, at)
	u.RawQuery = values.Encode()
	found := v1.Catalogue{Documents: []v1.Document{}, Unread: []v1.UnreadDocument{}, Gaps: []v1.CatalogueGap{}}
	_, err := c.get(ctx, u, object(map[string]decoder{
		"at":        value(&found.At),
		"read":      value(&found.Read),
		"version":   value(&found.Version),
		"documents": list(&found.Documents),
		"unread":    list(&found.Unread),
		"gaps":      list(&found.Gaps),
	}))
	if err != nil {
		return nil, err
	}
	return &found, nil
}

// DocumentQuery selects one version of a document. Name is required.
type DocumentQuery struct {
	Name string    // "openapi/v3/apis/apps/v1", as in [v1.Document]
	At   time.Time // inclusive; zero: now
	Hash string    // the version with this content, as in [v1.DocumentVersion]; it replaces At
}

// values returns the query, except for its path, as parameters of the API.
func (q *DocumentQuery) values() url.Values {
	v := url.Values{}
	setTime(v, v1.ParamAt, q.At)
	setText(v, v1.ParamHash, q.Hash)
	return v
}

// Document returns the content of a document, byte for byte as it was recorded.
// If the document was not served at the time, the error has the code
// [history.NotFound].
func (c *Client) Document(ctx context.Context, q DocumentQuery) (json.RawMessage, error) {
	at, err := c.documentURL(q.Name, q.values())
	if err != nil {
		return nil, err
	}
	var content json.RawMessage
	if _, err := c.get(ctx, at, value(&content)); err != nil {
		return nil, err
	}
	return content, nil
}

// DocumentHistoryQuery selects versions of one document. Name is required.
type DocumentHistoryQuery struct {
	Name  string
	Start time.Time // inclusive; zero: from the beginning
	End   time.Time // exclusive; zero: until now
	Limit int       // versions; 0, or more than the recorder's maximum: its maximum
}

// values returns the query, except for its path, as parameters of the API.
func (q *DocumentHistoryQuery) values() url.Values {
	v := url.Values{v1.ParamVersions: {"true"}}
	setTime(v, v1.ParamStart, q.Start)
	setTime(v, v1.ParamEnd, q.End)
	if q.Limit > 0 {
		v.Set(v1.ParamLimit, strconv.Itoa(q.Limit))
	}
	return v
}

// DocumentHistory returns the versions of a document, oldest first, and whether
// there are later ones than the last. A document that was never recorded is an
// error with the code [history.NotFound].
func (c *Client) DocumentHistory(
	ctx context.Context, q DocumentHistoryQuery,
) (found *v1.DocumentHistory, more bool, err error) {
	at, err := c.documentURL(q.Name, q.values())
	if err != nil {
		return nil, false, err
	}
	found = &v1.DocumentHistory{Versions: []v1.DocumentVersion{}, Gaps: []v1.CatalogueGap{}}
	header, err := c.get(ctx, at, object(map[string]decoder{
		"name": value(&found.Name), "versions": list(&found.Versions), "gaps": list(&found.Gaps),
	}))
	if err != nil {
		return nil, false, err
	}
	return found, header.Get(v1.HasMoreHeader) == "true", nil
}

// documentURL returns the URL of a document.
func (c *Client) documentURL(name string, values url.Values) (*url.URL, error) {
	if strings.Trim(name, "/") == "" || strings.Contains(name, "..") {
		return nil, history.Errorf(history.Invalid, "query document: %q is not the name of a document", name)
	}
	u := c.base.JoinPath(v1.CataloguePath, name)
	u.RawQuery = values.Encode()
	return u, nil
}
