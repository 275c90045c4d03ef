package daemon_test

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// TestStreamError_NamesSettingForFullDictionary checks that only the hint names
// a field of the configuration.
func TestStreamError_NamesSettingForFullDictionary(t *testing.T) {
	full := fmt.Errorf("register pods: %w",
		&history.Error{Code: history.Invalid, Message: "limit of 7 kinds reached", Err: store.ErrDictionaryFull})
	err := daemon.StreamError(full)
	if got, want := err.Error(), "register pods: limit of 7 kinds reached"; got != want {
		t.Errorf("text: got %q, want %q", got, want)
	}
	if got := history.HintOf(err); !strings.Contains(got, "storagePath (BADGER_PATH)") {
		t.Errorf("hint: got %q, want one with storagePath (BADGER_PATH)", got)
	}
	// The watcher set stops only the one resource after an Invalid error.
	if got := history.CodeOf(err); got != history.Invalid {
		t.Errorf("code: got %q, want %q", got, history.Invalid)
	}
	other := history.Errorf(history.Invalid, "name too long")
	if got := history.HintOf(daemon.StreamError(other)); got != "" {
		t.Errorf("hint of another error: got %q, want none", got)
	}
}

// TestListenError_SeparatesFactAndHint checks that only the hint names a field
// of the configuration.
func TestListenError_SeparatesFactAndHint(t *testing.T) {
	for _, tt := range []struct {
		cause      error
		code       history.Code
		text, hint string
	}{
		{
			syscall.EADDRINUSE, history.Unavailable,
			"listen on h:80: the address is in use by another program", "SERVER_PORT",
		},
		{fs.ErrPermission, history.Invalid, "listen on h:80: permission denied", "SERVER_PORT"},
		{syscall.EADDRNOTAVAIL, history.Invalid, "listen on h:80: not an address of this machine", "BIND_ADDRESS"},
	} {
		err := daemon.ListenError("h:80", "SERVER_PORT", "BIND_ADDRESS",
			&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", tt.cause)})
		if got := err.Error(); got != tt.text {
			t.Errorf("%v: got text %q, want %q", tt.cause, got, tt.text)
		}
		if got := history.HintOf(err); !strings.Contains(got, tt.hint) {
			t.Errorf("%v: got hint %q, want one with %s", tt.cause, got, tt.hint)
		}
		if got := history.CodeOf(err); got != tt.code {
			t.Errorf("%v: got code %q, want %q", tt.cause, got, tt.code)
		}
	}
	err := daemon.ListenError("h:80", "SERVER_PORT", "BIND_ADDRESS", os.ErrDeadlineExceeded)
	if got, want := err.Error(), "listen on h:80: i/o timeout"; got != want {
		t.Errorf("another cause: got text %q, want %q", got, want)
	}
	if got := history.HintOf(err); got != "" {
		t.Errorf("another cause: got hint %q, want none", got)
	}
}
