package recordertest

import (
	"os/exec"
	"syscall"
)

// endWithParent lets the kernel end a process when the test's ends, however that ends.
func endWithParent(process *exec.Cmd) {
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
