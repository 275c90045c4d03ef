package local

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/watchhistory/watchhistory/pkg/api"
)

// server serves a handler within the process.
type server struct {
	*http.Transport

	http     *http.Server
	listener *listener
	ended    chan error // receives the error of the server
}

// serve starts a server. The caller must close it.
func serve(handler http.Handler) *server {
	s := &server{
		http:     api.NewServer(handler, api.ServerOptions{}, slog.New(slog.DiscardHandler)),
		listener: newListener(), ended: make(chan error, 1),
	}
	// Compression would only cost time.
	s.Transport = &http.Transport{DialContext: s.listener.dial, DisableCompression: true}
	go func() { s.ended <- s.http.Serve(s.listener) }()
	return s
}

// Close ends all requests, and waits for their handlers' connections.
func (s *server) Close() error {
	s.CloseIdleConnections()
	err := s.http.Close()
	if served := <-s.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
