//go:build !linux

package coalesce

import "net"

// socket is never used: only Linux has a suitable socket option.
type socket struct{ lowWaterMark int }

func socketOf(net.Conn) *socket { return nil }

func (*socket) suppressWakeups() {}

func (*socket) allowWakeups() {}

func (*socket) read([]byte) (int, error) { return 0, nil }
