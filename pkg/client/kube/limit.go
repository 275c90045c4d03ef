package kube

import (
	"net/http"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// Bounds of the API server's answers.
const (
	// DefaultAPITimeout bounds each exchange with an API server by default.
	DefaultAPITimeout = 30 * time.Second
	// maxAPIAnswer bounds lists of Services or pods, in bytes. A decoded object
	// can need hundreds of times the memory of its JSON.
	maxAPIAnswer = 2 << 20
	// MaxDiscovery bounds an answer of the discovery API, in bytes. A thousand
	// types need about 1 MiB.
	MaxDiscovery = 16 << 20
)

// Display is a text on a terminal while a program waits for an answer, such as
// a progress line. Each Suspend is followed by a Resume. Both must be safe for
// concurrent use.
//
// A credential plugin may prompt on the same terminal, so the display is
// suspended while one may run.
type Display interface {
	Suspend()
	Resume()
}

// Limit bounds each exchange of a cluster's configuration. timeout bounds the
// time from when the credentials are available until the end of the answer.
// size bounds the answer, in bytes. Zero means no bound.
//
// Limit replaces config.Timeout, which would also limit the time in which a
// person logs in. The caller suspends the display, which may be nil, before a
// request; it is resumed during the exchange.
func Limit(config *rest.Config, timeout time.Duration, size int64, display Display) {
	limit(config, exchange.Limits{Time: timeout, Size: size}, display)
}

// recorderLimits returns the limits of an exchange with a recorder. The client
// bounds the size, and waits if the recorder is busy.
func recorderLimits(timeout time.Duration) exchange.Limits {
	return exchange.Limits{Time: timeout, Patient: true}
}

// limit is [Limit] with any limits.
func limit(config *rest.Config, limits exchange.Limits, display Display) {
	config.Timeout = 0
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		next = exchange.New(next, limits)
		if display == nil {
			return next
		}
		return shown(next, display)
	})
}

// mayPrompt reports whether a request may prompt for credentials.
func mayPrompt(config *rest.Config) bool {
	return config.ExecProvider != nil || config.AuthProvider != nil
}

// around calls a function before and after each exchange.
type around struct {
	next          http.RoundTripper
	before, after func()
}

// shown resumes the display during an exchange. It belongs below the layers
// that obtain credentials, where nothing prompts.
func shown(next http.RoundTripper, display Display) http.RoundTripper {
	return &around{next, display.Resume, display.Suspend}
}

// hidden suspends the display during an exchange. It belongs above the layers
// that obtain credentials, which may prompt.
func hidden(next http.RoundTripper, display Display) http.RoundTripper {
	return &around{next, display.Suspend, display.Resume}
}

// RoundTrip sends the request, and calls both functions.
func (a *around) RoundTrip(req *http.Request) (*http.Response, error) {
	a.before()
	defer a.after()
	return a.next.RoundTrip(req)
}

// WrappedRoundTripper returns the transport below.
func (a *around) WrappedRoundTripper() http.RoundTripper { return a.next }
