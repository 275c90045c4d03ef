// Package process identifies, starts and ends processes. No process survives
// its owner, and no foreign process is ever signalled.
//
// A process is identified by its pid and its start time, because pids are
// reused: after a reboot, a pid from a file may be that of any process. No
// function signals a process whose start time differs from the recorded one.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrGone means that the process has ended.
var ErrGone = errors.New("process has ended")

// ID identifies one process until the machine reboots.
type ID struct {
	PID int `json:"pid"`
	// Start is the start time in the operating system's notation. It is only
	// compared for equality.
	Start string `json:"start"`
}

// Identify returns the identity of the process that has pid now. The error is
// ErrGone if there is no such process, or if it is a zombie.
func Identify(pid int) (ID, error) {
	start, err := startTime(pid)
	if err != nil {
		return ID{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return ID{PID: pid, Start: start}, nil
}

// Alive reports whether exactly this process is still running.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	start, err := startTime(id.PID)
	return err == nil && start == id.Start
}

// Signal sends sig to exactly this process. It returns ErrGone if the process
// has ended.
func (id ID) Signal(sig syscall.Signal) error {
	if !id.Alive() {
		return ErrGone
	}
	found, err := os.FindProcess(id.PID)
	if err != nil {
		return fmt.Errorf("find process %d: %w", id.PID, err)
	}
	if err := found.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", id.PID, err)
	}
	return nil
}

// Wait blocks until the process has ended. If ctx is done before, it returns
// ctx's error. The process need not be a child.
func (id ID) Wait(ctx context.Context) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for id.Alive() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Memory returns the resident bytes of the process, or 0 if it has ended.
func (id ID) Memory() int64 {
	if !id.Alive() {
		return 0
	}
	return residentBytes(id.PID)
}
