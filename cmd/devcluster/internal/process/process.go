// Package process names, starts and ends processes so that nothing survives
// its owner and nothing foreign is ever signalled.
//
// A process is named by its pid together with the time it started: pids are
// reused, and a pid read from a file after a reboot may belong to anybody. No
// function here signals a process whose start time differs from the recorded
// one.
package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// ErrGone says that the process has ended.
var ErrGone = errors.New("process has ended")

// ID names one process for as long as the machine runs.
type ID struct {
	PID int `json:"pid"`
	// Start is the start time in the operating system's own notation; it is
	// only ever compared for equality.
	Start string `json:"start"`
}

// Identify returns the identity of the process that has pid now. The error
// is ErrGone if there is no such process, or only its exit status is left.
func Identify(pid int) (ID, error) {
	start, err := startTime(pid)
	if err != nil {
		return ID{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return ID{PID: pid, Start: start}, nil
}

// Alive reports whether this very process still runs.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	start, err := startTime(id.PID)
	return err == nil && start == id.Start
}

// Signal sends sig to this very process, and returns ErrGone when it has
// ended.
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

// Wait blocks until the process has ended or ctx is done, whose error it then
// returns. The process need not be a child.
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

// Memory returns the resident bytes of the process, 0 when it has ended.
func (id ID) Memory() int64 {
	if !id.Alive() {
		return 0
	}
	return residentBytes(id.PID)
}
