package paced

import (
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// hushed is how many bytes the kernel is asked to collect before it wakes the
// reader. It makes room for them, as far as its own limits allow.
const hushed = 512 << 10

// socket is a TCP connection of which the kernel says nothing while its reader
// waits for a beat. Go's runtime asks to be woken for every piece that arrives
// (epoll, edge-triggered), whether anybody reads or not, which under load costs
// a third of all CPU. SO_RCVLOWAT, from socket(7), holds the kernel back.
//
// One goroutine at a time may use it.
type socket struct {
	raw    syscall.RawConn
	holds  int  // bytes that the kernel collects while hushed
	hushed bool // as far as is known
}

// socketOf returns the socket of a connection; nil if it has none, or one that
// can't be hushed.
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
	s.hush()
	if s.holds = s.lowWater(); s.holds < chunk {
		s.wake()
		return nil
	}
	return s
}

// hush lets the kernel wake nobody until much has arrived.
func (s *socket) hush() {
	if !s.hushed {
		s.hushed = s.setLowWater(hushed)
	}
}

// wake lets the kernel wake the reader at the next byte, and at once if one is
// there.
func (s *socket) wake() {
	if s.hushed {
		s.hushed = !s.setLowWater(1)
	}
}

// read reads what has arrived, and does not wait. It returns 0 if nothing has.
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

func (s *socket) setLowWater(bytes int) (done bool) {
	err := s.raw.Control(func(fd uintptr) {
		done = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, bytes) == nil
	})
	return done && err == nil
}

func (s *socket) lowWater() (bytes int) {
	err := s.raw.Control(func(fd uintptr) {
		bytes, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT)
	})
	if err != nil {
		return 0
	}
	return bytes
}
