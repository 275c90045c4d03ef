//go:build unix

package store_test

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// aloneIn names the environment variable that tells a test that it has a process of its own, and a directory in which it ends.
const aloneIn = "WATCHHISTORY_ALONE_IN"

// alone runs the test that calls it again, in a process of its own, and calls f there with an empty directory. A limit that f sets
// on its process is not met by whatever else writes in this one: other tests, or the log that go test itself keeps of them.
func alone(t *testing.T, f func(t *testing.T, dir string)) {
	t.Helper()
	if dir := os.Getenv(aloneIn); dir != "" {
		f(t, dir)
		return
	}
	out, err := again(t, aloneIn+"="+t.TempDir(), nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Log(out)
}

// again runs this very test in a process of its own, with a variable that tells it so.
func again(t *testing.T, variable string, attr *syscall.SysProcAttr) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), variable)
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	return string(out), err
}
