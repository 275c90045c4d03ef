package daemon

import (
	"expvar"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// debugAddress is the address of the debug listener. It is not a setting: the
// profiles have no access control, so only this machine may read them.
const debugAddress = "127.0.0.1"

// debugHeaderTimeout bounds how long a client of the debug listener may take
// for the headers of a request.
const debugHeaderTimeout = 10 * time.Second

// newDebugServer returns the server of the debug listener: the profiles of
// net/http/pprof and the variables of expvar. An answer has no deadline,
// because a profile takes as long as the request says.
//
// The two packages also register themselves in [http.DefaultServeMux], which
// nothing serves.
func newDebugServer(logger *slog.Logger) *http.Server {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.Handle("GET /debug/vars", expvar.Handler())
	return &http.Server{
		Handler:           onLoopback(mux),
		ReadHeaderTimeout: debugHeaderTimeout,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
}

// onLoopback refuses requests whose Host is not a loopback address or
// localhost. A web page could otherwise read the profiles through a browser on
// this machine, by a name that it resolves to the address (DNS rebinding).
func onLoopback(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := api.HostOf(r)
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			api.WriteError(w, r, history.Errorf(history.Forbidden, "host %q is not a loopback address", host))
			return
		}
		next.ServeHTTP(w, r)
	})
}
