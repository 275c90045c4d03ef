package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// The bodies of the 404s that mean an empty answer, from recorders that do not know empty=200.
const (
	noData    = "no audit data available for the specified time range"
	noHistory = "no events found for this object"
)

// get decodes the JSON answer at a URL. A 404 that means "nothing recorded" decodes nothing.
func (c *Client) get(ctx context.Context, at *url.URL, read decoder) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", c.route.target, err)
	}
	req.Header.Set("Accept", "application/json")
	if c.opts.UserAgent != "" {
		req.Header.Set("User-Agent", c.opts.UserAgent)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	c.clock.observe(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, c.opts.MaxResponse+1))
	switch {
	case err != nil:
		return nil, c.unreachable(ctx, err)
	case int64(len(body)) > c.opts.MaxResponse:
		return nil, c.tooLarge()
	default:
		return resp.Header, c.decode(resp, body, read)
	}
}

func (c *Client) decode(resp *http.Response, body []byte, read decoder) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode != http.StatusOK:
		return c.refusal(resp.StatusCode, kind, body)
	case kind != "application/json":
		return c.stranger("it answers with " + quotable(kind))
	}
	if err := whole(bytes.NewReader(body), read); err != nil {
		return c.stranger(quotable(err.Error()))
	}
	return nil
}

// refusal turns an answer that is no 200 into an error, or into nil where it only means that nothing is recorded.
func (c *Client) refusal(status int, kind string, body []byte) error {
	message := strings.TrimSpace(string(body))
	if status == http.StatusNotFound && (message == noData || message == noHistory) {
		return nil
	}
	if kind == "application/json" {
		return c.structured(status, body)
	}
	switch code := codeOf(status); {
	case kind != "text/plain" && (code == history.Unavailable || code == history.Forbidden):
		return c.gateway(code, status)
	case status == http.StatusNotFound || status < http.StatusBadRequest || kind != "text/plain":
		return c.stranger("it answers " + statusText(status))
	}
	return c.answered(codeOf(status), status, message)
}

// structured reads the errors of the additive endpoints, and those of an API server that stands in between.
func (c *Client) structured(status int, body []byte) error {
	var own v1.ErrorBody
	if json.Unmarshal(body, &own) == nil && own.Error.Message != "" {
		code := history.Code(own.Error.Code)
		if !slices.Contains(codes(), code) {
			code = codeOf(status)
		}
		return c.answered(code, status, own.Error.Message)
	}
	var server metav1.Status
	if json.Unmarshal(body, &server) != nil || server.Kind != "Status" {
		return c.stranger("it answers " + statusText(status))
	}
	if c.route.refused == nil {
		return c.stranger("a Kubernetes API server answers there")
	}
	return c.route.refused(status, quotable(server.Message))
}

func (c *Client) answered(code history.Code, status int, message string) error {
	if message == "" {
		message = statusText(status)
	}
	failure := &Error{Code: code, Message: c.route.target + " answers: " + quotable(message)}
	switch {
	case code == history.Unavailable:
		failure.Hint = c.route.advice
	case strings.Contains(message, context.DeadlineExceeded.Error()): // the recorder's own
		failure.Hint = "Narrow the query, with --since or a type."
	}
	return failure
}

// gateway is the error where a proxy or a load balancer answers in the recorder's stead.
func (c *Client) gateway(code history.Code, status int) error {
	failure := &Error{
		Code:    code,
		Message: c.route.target + " can't be reached: what stands before it answers " + statusText(status),
		Hint:    c.route.advice,
	}
	if code == history.Forbidden {
		failure.Hint = "Give what it wants in the URL, as in https://USER:PASSWORD@HOST, or leave out --recorder-url: the API server leads there, too."
	}
	return failure
}

// stranger says that whatever answers is no recorder.
func (c *Client) stranger(why string) error {
	return &Error{
		Code:    history.Internal,
		Message: fmt.Sprintf("%s is not a watchhistory recorder: %s", c.route.target, why),
		Hint:    "Check the URL or the Service that was given; curl URL" + v1.HealthPath + " should say healthy.",
	}
}

func (c *Client) tooLarge() error {
	return &Error{
		Code:    history.Invalid,
		Message: fmt.Sprintf("the answer of %s is larger than %d MiB", c.route.target, c.opts.MaxResponse>>20),
		Hint:    "Ask for less at once, with a smaller --chunk-size, --since or a type.",
	}
}

func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

func codes() []history.Code {
	return []history.Code{history.Invalid, history.NotFound, history.Forbidden, history.Unavailable, history.Internal}
}

func codeOf(status int) history.Code {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestURITooLong:
		return history.Invalid
	case http.StatusNotFound:
		return history.NotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		return history.Forbidden
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return history.Unavailable
	default:
		return history.Internal
	}
}
