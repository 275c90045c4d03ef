//go:build !linux && !windows

package process

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// startTime runs ps, which every Unix has. That takes a few milliseconds.
func startTime(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	state, start, found := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || !found || strings.HasPrefix(state, "Z") {
		return "", ErrGone
	}
	return strings.TrimSpace(start), nil
}

func residentBytes(pid int) int64 {
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return 0
	}
	kibibytes, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		return 0
	}
	return kibibytes << 10
}

// Tie prevents signals of a terminal from reaching cmd's process. These systems
// have no parent death signal, so a component ends at the end of its standard
// input.
func Tie(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// Detach lets cmd's process outlive the terminal that it was started from.
func Detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
