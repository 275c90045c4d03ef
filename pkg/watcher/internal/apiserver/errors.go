package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	maxErrorBody    = 64 << 10 // of an answer that is not a success, in bytes
	maxErrorMessage = 512      // of the message of such an answer, in bytes
)

// errHTML is the error of a success with HTML, which a proxy sends.
var errHTML = errors.New("the answer is an HTML page, not the API server's")

// errNoStatus is the error of a watch whose error event has no Status. The
// object may be secret, so it is not quoted.
var errNoStatus = errors.New("the API server reports an error without a Status")

// connError marks an error of the network: there was no answer, or it was
// interrupted.
type connError struct{ err error }

// Error returns the message of the network's error.
func (e *connError) Error() string { return e.err.Error() }

// Unwrap returns the network's error.
func (e *connError) Unwrap() error { return e.err }

// IsNetworkError reports whether the server gave no answer, or an interrupted
// one.
func IsNetworkError(err error) bool {
	_, ok := errors.AsType[*connError](err)
	return ok || errors.Is(err, io.ErrUnexpectedEOF)
}

// networkError marks an error as one of the network. It removes the URL and the
// local port, so that the texts of repeated errors are equal.
func networkError(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		err = of.Err
	}
	if op, ok := err.(*net.OpError); ok && op.Source != nil { //nolint:errorlint // a copy of this very error
		plain := *op
		plain.Source = nil
		err = &plain
	}
	return &connError{err}
}

// StatusError returns the error that the JSON of a Status describes.
func StatusError(object []byte) error {
	var status metav1.Status
	if err := json.Unmarshal(object, &status); err != nil || status.Kind != "" && status.Kind != "Status" {
		return errNoStatus
	}
	return statusError(status)
}

// statusError returns the error of a Status. It shortens the message, and adds
// one if there is none.
func statusError(status metav1.Status) error {
	status.Message = shorten(status.Message)
	if status.Message == "" {
		status.Message = strings.TrimSpace(fmt.Sprintf("the API server reports %d %s", status.Code, status.Reason))
	}
	return &apierrors.StatusError{ErrStatus: status}
}

// responseError returns the error of an answer that is not a success.
func responseError(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return networkError(fmt.Errorf("%s: %w", resp.Status, err))
	}
	delay := retryAfter(resp.Header.Get("Retry-After"))
	var status metav1.Status
	if err := json.Unmarshal(body, &status); err != nil || status.Kind != "Status" {
		return genericError(resp, body, delay)
	}
	if delay > 0 {
		if status.Details == nil {
			status.Details = &metav1.StatusDetails{}
		}
		status.Details.RetryAfterSeconds = delay
	}
	return statusError(status)
}

// genericError returns the error of an answer without a Status. Proxies send
// such answers, and aggregated API servers that are down. It quotes text. It
// does not quote JSON, because that may be a secret object.
func genericError(resp *http.Response, body []byte, delay int32) error {
	err := apierrors.NewGenericServerResponse(
		resp.StatusCode, http.MethodGet, schema.GroupResource{}, "", "", int(delay), true)
	err.ErrStatus.Message = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch text := shorten(string(body)); {
	case isHTML(resp):
		err.ErrStatus.Message += ", with an HTML page"
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		err.ErrStatus.Message += ", with JSON that is not a Status"
	case text != "":
		err.ErrStatus.Message += ": " + text
	}
	return err
}

// isHTML reports whether an answer is an HTML page, which no API server sends.
func isHTML(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
}

// retryAfter returns the seconds of a Retry-After header, which has a number of
// seconds or a date. It returns at most an hour.
func retryAfter(header string) int32 {
	seconds, err := strconv.Atoi(header)
	if err != nil {
		at, err := http.ParseTime(header)
		if err != nil {
			return 0
		}
		seconds = int(time.Until(at).Round(time.Second).Seconds())
	}
	return int32(min(max(seconds, 0), 3600))
}

// shorten returns a text on one line, of at most maxErrorMessage bytes. It
// removes the quotation of some JSON decoders, which may be a part of a Secret.
func shorten(text string) string {
	text, _, _ = strings.Cut(text, ", error found in #")
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) })
	text = strings.Join(words, " ")
	if len(text) > maxErrorMessage {
		text = strings.ToValidUTF8(text[:maxErrorMessage], "") + "…"
	}
	return text
}
