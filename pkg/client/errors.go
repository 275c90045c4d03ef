package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// The causes that errors.Is finds in errors of a [Client]. A request that took
// longer than [Options.Timeout] has the cause [context.DeadlineExceeded].
var (
	// ErrInvalidURL means that a text is not an HTTP URL.
	ErrInvalidURL = errors.New("not an HTTP URL")
	// ErrNotRecorder means that another program answered.
	ErrNotRecorder = errors.New("not a recorder")
	// ErrAnswered means that the recorder itself reported the error. With
	// [history.Unauthorized], it does not accept the caller's credentials. With
	// [history.Forbidden], the caller lacks a permission in the cluster.
	ErrAnswered = errors.New("answered by the recorder")
	// ErrGateway means that a proxy or load balancer answered instead of the
	// recorder.
	ErrGateway = errors.New("answered by a gateway")
	// ErrBusy means that the recorder was still busy after the last attempt.
	ErrBusy = errors.New("recorder is busy")
	// ErrTooLarge means that the answer exceeds [Options.MaxResponse].
	ErrTooLarge = errors.New("answer too large")
	// ErrQueryTimeout means that the query exceeded the recorder's own timeout.
	ErrQueryTimeout = errors.New("query timed out in the recorder")
	// ErrNoCursor means that the recorder is too old to return a cursor.
	ErrNoCursor = errors.New("no cursor")
	// ErrNoStreams means that the recorder is too old to serve streams.
	ErrNoStreams = errors.New("no streams")
	// ErrStopped means that the recorder stopped, and ended a stream before.
	ErrStopped = errors.New("recorder stopped")
	// ErrStalled means that a stream was silent for longer than it may be.
	ErrStalled = errors.New("stream stalled")
	// ErrRefused means that nothing listens on the recorder's address.
	ErrRefused = errors.New("connection refused")
	// ErrUnknownHost means that the recorder's host name does not resolve.
	ErrUnknownHost = errors.New("unknown host")
	// ErrUntrusted means that the recorder's certificate is not trusted.
	ErrUntrusted = errors.New("untrusted certificate")
	// ErrNotTLS means that the recorder does not use TLS, and the URL does.
	ErrNotTLS = errors.New("not TLS")
)

// ParameterError is the cause of an error that the recorder answered because of
// one parameter of the query.
type ParameterError struct {
	Parameter string // its name in the API, such as [v1.ParamQuery]
	Problem   string // what is wrong with its value, in one line
}

// Error returns the name and the problem.
func (e *ParameterError) Error() string { return "parameter " + e.Parameter + ": " + e.Problem }

// unreachable returns the error of a request without an answer.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", c.options.Name, context.Cause(ctx))
	}
	if explained, ok := errors.AsType[*history.Error](err); ok {
		return explained // by the transport
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // its text repeats the URL with the whole query
	}
	message, cause := diagnose(err)
	return &history.Error{
		Code:    history.Unavailable,
		Message: c.options.Name + " " + message,
		Err:     errors.Join(cause, err),
	}
}

// diagnose returns a predicate for the error message, and the cause if it is
// one that this package names.
func diagnose(err error) (message string, cause error) {
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	if slow, ok := errors.AsType[*exchange.SlowError](err); ok {
		return fmt.Sprintf("did not answer within %s", slow.Limit), nil
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "has a certificate that is not trusted: " + quote.Line(untrusted.Err.Error()), ErrUntrusted
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return "can't be found: " + quote.Line(unknown.Error()), ErrUnknownHost
	}
	switch {
	case plain || errors.Is(err, http.ErrSchemeMismatch):
		return "does not use TLS", ErrNotTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refuses connections", ErrRefused
	default:
		return "can't be reached: " + quote.Line(err.Error()), nil
	}
}

// notARecorder returns the error of an answer that no recorder would give.
func (c *Client) notARecorder(why error) error {
	return &history.Error{
		Code:    history.Internal,
		Message: fmt.Sprintf("%s is not a watchhistory recorder: %s", c.options.Name, quote.Line(why.Error())),
		Err:     ErrNotRecorder,
	}
}

// gateway returns the error of an answer that a proxy or load balancer gave
// instead of the recorder.
func (c *Client) gateway(code history.Code, status int) error {
	return &history.Error{
		Code:    code,
		Message: c.options.Name + " can't be reached: a proxy or load balancer answered " + statusText(status),
		Err:     ErrGateway,
	}
}

// reported returns the error of a [v1.ErrorBody].
func (c *Client) reported(code history.Code, status int, body v1.Error) error {
	failure := c.answered(code, status, body.Message)
	if body.Parameter != "" {
		problem := strings.TrimPrefix(body.Message, "parameter "+body.Parameter+": ")
		failure.Err = errors.Join(failure.Err, &ParameterError{quote.Line(body.Parameter), quote.Line(problem)})
	}
	return failure
}

// answered returns the error that the recorder itself reported.
func (c *Client) answered(code history.Code, status int, message string) *history.Error {
	if message == "" {
		message = statusText(status)
	}
	failure := &history.Error{
		Code: code, Message: c.options.Name + " answered: " + quote.Line(message), Err: ErrAnswered,
	}
	if code != history.Unavailable && strings.Contains(message, context.DeadlineExceeded.Error()) {
		failure.Err = errors.Join(ErrAnswered, ErrQueryTimeout)
	}
	return failure
}

// tooLarge returns the error of an answer that exceeds Options.MaxResponse.
func (c *Client) tooLarge() error {
	return &history.Error{
		Code:    history.Invalid,
		Message: fmt.Sprintf("the answer of %s is larger than %d MiB", c.options.Name, c.options.MaxResponse>>20),
		Err:     ErrTooLarge,
	}
}

// statusText returns a status as "404 Not Found", or only its number if it is
// unknown.
func statusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

// CodeOfStatus returns the code of an error that has only an HTTP status.
func CodeOfStatus(status int) history.Code {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusRequestURITooLong:
		return history.Invalid
	case http.StatusNotFound:
		return history.NotFound
	case http.StatusUnauthorized:
		return history.Unauthorized
	case http.StatusForbidden:
		return history.Forbidden
	case http.StatusGone:
		return history.Gone
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return history.Unavailable
	default:
		return history.Internal
	}
}
