package client

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// unreachable explains why a request brought no answer. What ended the caller's own context is passed on as it is.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("ask %s: %w", c.route.target, context.Cause(ctx))
	}
	if explained, ok := errors.AsType[*Error](err); ok {
		return explained
	}
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // its text repeats the whole URL
	}
	what, hint := c.diagnose(err)
	return &Error{Code: history.Unavailable, Message: c.route.target + " " + what, Hint: hint, Err: err}
}

func (c *Client) diagnose(err error) (what, hint string) {
	if slow, ok := errors.AsType[*exchange.SlowError](err); ok {
		return fmt.Sprintf("did not answer within %s", slow.Limit),
			"Narrow the query, with --since or a type, or allow more time with --request-timeout."
	}
	if what, hint := secure(err); what != "" {
		return what, hint
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "refuses connections", "Nothing listens there: is the recorder running, and is the port right?"
	}
	if unknown, ok := errors.AsType[*net.DNSError](err); ok {
		return "can't be found: " + quotable(unknown.Error()), "Check the host's name in the URL."
	}
	return "can't be reached: " + quotable(err.Error()), c.route.advice
}

// secure explains what went wrong with TLS; it returns nothing where TLS was not at fault.
func secure(err error) (what, hint string) {
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "shows a certificate that this machine does not trust: " + quotable(untrusted.Err.Error()),
			"Use the name that the certificate is for, or let this machine trust its issuer (SSL_CERT_FILE)."
	}
	_, plain := errors.AsType[tls.RecordHeaderError](err)
	if plain || errors.Is(err, http.ErrSchemeMismatch) {
		return "does not speak TLS", "Give its URL as http://."
	}
	return "", ""
}
