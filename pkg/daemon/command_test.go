package daemon_test

import (
	"io"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/daemon"
)

// TestCommand_RejectsUnknownCommands checks that the error is about the
// command, although its flags are unknown too.
func TestCommand_RejectsUnknownCommands(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{
			[]string{"bakcup", "--to", "x"},
			"unknown command \"bakcup\" for \"watchhistory-recorder\"\n\nDid you mean this?\n\tbackup\n",
		},
		{[]string{"--config", "x", "frob", "--quick"}, "unknown command \"frob\" for \"watchhistory-recorder\""},
		{[]string{"--bogus"}, "unknown flag: --bogus"},
	} {
		cmd := daemon.NewCommand("test", func(string) string { return "" }, nil)
		cmd.SetArgs(tt.args)
		cmd.SetOut(io.Discard)
		cmd.SetErr(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err == nil || err.Error() != tt.want {
			t.Errorf("%v: got error %v, want %s", tt.args, err, tt.want)
		}
	}
}
