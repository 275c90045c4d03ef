package recordertest

import (
	"os/exec"
	"syscall"
)

// endWithParent makes the kernel kill the process when the test process ends,
// for whatever reason.
func endWithParent(process *exec.Cmd) {
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
