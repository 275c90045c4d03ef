package coalesce

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// raisedLowWater is the low-water mark during a window, in bytes. The kernel
// grows the receive buffer accordingly, within net.ipv4.tcp_rmem.
const raisedLowWater = 512 << 10

// socket controls when the kernel wakes the reader of a TCP connection. Go's
// runtime registers connections with edge-triggered epoll, so that every
// arriving segment wakes the process, even if no goroutine is reading. Under
// load this took a third of all CPU. SO_RCVLOWAT (see socket(7)) suppresses the
// wake-ups during a window.
//
// Only one goroutine at a time may use it.
type socket struct {
	raw          syscall.RawConn
	lowWaterMark int  // the low-water mark that the kernel granted, in bytes
	suppressed   bool // the low-water mark is raised
}

// socketOf returns the socket of a TCP connection. It returns nil for any other
// connection, and if the kernel grants too low a mark.
func socketOf(c net.Conn) *socket {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.suppressWakeups()
	if s.lowWaterMark = s.lowWater(); s.lowWaterMark < chunkSize {
		s.allowWakeups()
		return nil
	}
	return s
}

// suppressWakeups raises the low-water mark.
func (s *socket) suppressWakeups() {
	if !s.suppressed {
		s.suppressed = s.setLowWater(raisedLowWater)
	}
}

// allowWakeups lowers the low-water mark to one byte. If data is available, the
// kernel wakes the reader at once.
func (s *socket) allowWakeups() {
	if s.suppressed {
		s.suppressed = !s.setLowWater(1)
	}
}

// read reads without blocking. It returns 0 and no error if no data is
// available.
func (s *socket) read(p []byte) (n int, err error) {
	failed := s.raw.Read(func(fd uintptr) (done bool) {
		for {
			n, err = unix.Read(int(fd), p)
			if err != unix.EINTR {
				return true
			}
		}
	})
	switch {
	case failed != nil:
		return 0, failed //nolint:wrapcheck // the error is the connection's
	case err == unix.EAGAIN:
		return 0, nil
	case err != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
	case n == 0:
		return 0, io.EOF
	default:
		return n, nil
	}
}

// setLowWater sets the low-water mark, and reports whether it could.
func (s *socket) setLowWater(bytes int) (done bool) {
	err := s.raw.Control(func(fd uintptr) {
		done = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes) == nil
	})
	return done && err == nil
}

// lowWater returns the low-water mark, or 0 if it can't be read.
func (s *socket) lowWater() (bytes int) {
	err := s.raw.Control(func(fd uintptr) {
		bytes, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT)
	})
	if err != nil {
		return 0
	}
	return bytes
}
