package api_test

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/api"
)

// By default, Linux grows the buffer so much that a slow client seems to read
// nothing for minutes.
func TestServer_BoundsSendBuffer(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	buffer, served := make(chan int, 2), make(chan error, 1)
	server := api.NewServer(answer(1), api.ServerOptions{}, slog.New(slog.DiscardHandler))
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if state == http.StateActive {
			buffer <- sendBuffer(c.(*net.TCPConn))
		}
	}
	go func() { served <- server.Serve(listener) }()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(c, get)
	if size := <-buffer; size != 256<<10 { // Linux doubles the value that is set
		t.Errorf("send buffer: got %d bytes, want %d", size, 256<<10)
	}
	if err := errors.Join(err, c.Close(), server.Close(), <-served); !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// sendBuffer returns the size of a connection's send buffer, or 0 if it is
// unknown.
func sendBuffer(c *net.TCPConn) (size int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		size, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF)
	})
	return size
}
