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
	maxErrorBody = 64 << 10 // of an answer that is not a success, in bytes
	maxWords     = 512      // of such an answer's message, in bytes
)

// errHTML is what a proxy gives away that answers in the server's stead.
var errHTML = errors.New("the answer is a page of HTML and not the API server's")

// errNoStatus is the error of a watch that reports something else than a Status
// as its error. What that is may be secret, so it is not quoted.
var errNoStatus = errors.New("the API server reports an error without a Status")

// failure marks an error of the network: there was no answer, or it broke off.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// IsNetworkError reports whether the server gave no answer, or one that broke
// off.
func IsNetworkError(err error) bool {
	_, ok := errors.AsType[*failure](err)
	return ok || errors.Is(err, io.ErrUnexpectedEOF)
}

// networkError marks an error, without what differs from one request to the
// next: the URL and the local port.
func networkError(err error) error {
	if of, ok := errors.AsType[*url.Error](err); ok {
		err = of.Err
	}
	if op, ok := err.(*net.OpError); ok && op.Source != nil { //nolint:errorlint // a copy of this very error
		plain := *op
		plain.Source = nil
		err = &plain
	}
	return &failure{err}
}

// StatusError returns the error that the JSON of a Status describes.
func StatusError(object []byte) error {
	var status metav1.Status
	if err := json.Unmarshal(object, &status); err != nil || status.Kind != "" && status.Kind != "Status" {
		return errNoStatus
	}
	return describe(status)
}

// describe bounds the status' message, and makes one up if there is none.
func describe(status metav1.Status) error {
	status.Message = brief(status.Message)
	if status.Message == "" {
		status.Message = strings.TrimSpace(fmt.Sprintf("the API server reports %d %s", status.Code, status.Reason))
	}
	return &apierrors.StatusError{ErrStatus: status}
}

func responseError(resp *http.Response) error {
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return networkError(fmt.Errorf("%s: %w", resp.Status, err))
	}
	delay := retryAfter(resp.Header.Get("Retry-After"))
	var status metav1.Status
	if err := json.Unmarshal(body, &status); err != nil || status.Kind != "Status" {
		return generic(resp, body, delay)
	}
	if delay > 0 {
		if status.Details == nil {
			status.Details = &metav1.StatusDetails{}
		}
		status.Details.RetryAfterSeconds = delay
	}
	return describe(status)
}

// generic returns the error of an answer without a Status, as proxies and
// aggregated API servers that are down give it, with its own words. Other JSON
// is not quoted: it may be an object, and secret.
func generic(resp *http.Response, body []byte, delay int32) error {
	err := apierrors.NewGenericServerResponse(resp.StatusCode, http.MethodGet, schema.GroupResource{}, "", "", int(delay), true)
	err.ErrStatus.Message = fmt.Sprintf("%d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	switch words := brief(string(body)); {
	case isHTML(resp):
		err.ErrStatus.Message += ", with a page of HTML"
	case strings.HasPrefix(words, "{"), strings.HasPrefix(words, "["):
		err.ErrStatus.Message += ", with JSON that is no Status"
	case words != "":
		err.ErrStatus.Message += ": " + words
	}
	return err
}

func isHTML(resp *http.Response) bool {
	return strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html")
}

// retryAfter returns how many seconds a Retry-After header asks for: it is a
// number of seconds or a date.
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

// brief returns a text on one line, of at most maxWords bytes. Some decoders
// quote what they could not decode, which may be a Secret.
func brief(text string) string {
	text, _, _ = strings.Cut(text, ", error found in #")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords], "") + "…"
	}
	return text
}
