package client

import (
	"net/http"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/internal/exchange"
)

// Bounds of what an API server may answer.
const (
	// DefaultAPITimeout bounds each exchange with an API server if nothing else is asked for.
	DefaultAPITimeout = 30 * time.Second
	// maxAPIAnswer bounds the answers that are decoded here: a few Services or pods. An object can take hundreds of times
	// the memory of its encoding, so that this is far below what memory has room for.
	maxAPIAnswer = 2 << 20
	// MaxDiscovery bounds an answer of discovery: a thousand types take about 1 MiB.
	MaxDiscovery = 16 << 20
)

// Display is what a terminal shows while an answer is awaited. Each Suspend is followed by a Resume.
//
// A credential plugin may prompt on the same terminal, so the display is suspended while one may run.
type Display interface {
	Suspend()
	Resume()
}

// Limit bounds each exchange of a cluster's configuration: the time from when the credentials are there to the end of the
// answer, and the size of the answer in bytes. The display, which may be nil, is resumed for that time; the caller has
// suspended it before the request.
//
// It takes the place of cfg.Timeout, which would cover the time that a person needs to log in.
func Limit(cfg *rest.Config, timeout time.Duration, size int64, display Display) {
	cfg.Timeout = 0
	limits := exchange.Limits{Time: timeout, Size: size}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		next = exchange.New(next, limits)
		if display == nil {
			return next
		}
		return shown(next, display)
	})
}

// logsIn reports whether a request with the configuration may prompt for credentials.
func logsIn(cfg *rest.Config) bool { return cfg.ExecProvider != nil || cfg.AuthProvider != nil }

// around calls before and after for each exchange of a round tripper.
type around struct {
	next          http.RoundTripper
	before, after func()
}

// shown resumes the display during an exchange. It belongs below the layers that
// obtain credentials, where nothing prompts.
func shown(next http.RoundTripper, display Display) http.RoundTripper {
	return &around{next, display.Resume, display.Suspend}
}

// hidden suspends the display during an exchange. It belongs above the layers
// that obtain credentials, which may prompt.
func hidden(next http.RoundTripper, display Display) http.RoundTripper {
	return &around{next, display.Suspend, display.Resume}
}

func (a *around) RoundTrip(req *http.Request) (*http.Response, error) {
	a.before()
	defer a.after()
	return a.next.RoundTrip(req)
}

func (a *around) WrappedRoundTripper() http.RoundTripper { return a.next }
