package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// send sends a request once, and decodes the JSON answer. It returns the
// headers of the answer, also of an error.
//
// Recorders that do not support [v1.EmptyOK] answer 404 if nothing matches.
// send then decodes nothing and returns no error.
func (c *Client) send(ctx context.Context, at *url.URL, read decoder) (http.Header, error) {
	a, err := c.ask(ctx, at, v1.ContentType)
	if err != nil {
		return nil, err
	}
	return a.header, c.decode(a, read)
}

// answer is an answer with its whole body.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// ask sends a request once, for an answer of a media type.
func (c *Client) ask(ctx context.Context, at *url.URL, accept string) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.options.Name, err)
	}
	req.Header.Set("Accept", accept)
	if c.options.UserAgent != "" {
		req.Header.Set("User-Agent", c.options.UserAgent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	c.clock.observe(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.options.MaxResponse+1))
	switch {
	case err != nil:
		return nil, c.unreachable(ctx, err)
	case int64(len(body)) > c.options.MaxResponse:
		return nil, c.tooLarge()
	default:
		return &answer{resp.StatusCode, resp.Header, body}, nil
	}
}

// decode decodes the body of an answer, or returns the error that the answer
// means.
func (c *Client) decode(a *answer, read decoder) error {
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	switch {
	case a.status != http.StatusOK:
		return c.failure(a.status, kind, a.body)
	case kind != v1.ContentType:
		return c.notARecorder(errors.New("it answered with " + kind))
	}
	if err := document(bytes.NewReader(a.body), read); err != nil {
		return c.notARecorder(err)
	}
	return nil
}

// failure returns the error of an answer whose status is not 200, or nil if the
// status only means that nothing is recorded.
func (c *Client) failure(status int, kind string, body []byte) error {
	message := strings.TrimSpace(string(body))
	if status == http.StatusNotFound && (message == v1.NoMatchText || message == v1.NoObjectText) {
		return nil
	}
	if kind == v1.ContentType {
		return c.structured(status, body)
	}
	// A recorder answers in plain text or JSON, and has no plain 404 but the
	// two above.
	refused := []history.Code{history.Unavailable, history.Unauthorized, history.Forbidden}
	switch code := CodeOfStatus(status); {
	case kind != "text/plain" && slices.Contains(refused, code):
		return c.gateway(code, status)
	case status == http.StatusNotFound || status < http.StatusBadRequest || kind != "text/plain":
		return c.notARecorder(errors.New("it answered " + statusText(status)))
	default:
		return c.answered(code, status, message)
	}
}

// structured returns the error of a JSON answer. That is a [v1.ErrorBody], or
// the Status of an API server whose address was given as the recorder's.
func (c *Client) structured(status int, body []byte) error {
	var own v1.ErrorBody
	if json.Unmarshal(body, &own) == nil && own.Error.Message != "" {
		code := history.Code(own.Error.Code)
		if !slices.Contains(codes(), code) {
			code = CodeOfStatus(status)
		}
		return c.reported(code, status, own.Error)
	}
	var server struct{ Kind string }
	if json.Unmarshal(body, &server) == nil && server.Kind == "Status" {
		return c.notARecorder(errors.New("it is a Kubernetes API server"))
	}
	return c.notARecorder(errors.New("it answered " + statusText(status)))
}

// codes returns the codes that this version of the client supports.
func codes() []history.Code {
	return []history.Code{
		history.Invalid, history.NotFound, history.Unauthorized, history.Forbidden,
		history.Gone, history.Unavailable, history.Internal,
	}
}
