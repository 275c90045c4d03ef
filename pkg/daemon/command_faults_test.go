package daemon_test

import (
	"bytes"
	"cmp"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestCommand_ReportsStartFaultsInOneLine runs the command line with one
// mistake at a time.
func TestCommand_ReportsStartFaultsInOneLine(t *testing.T) {
	occupied, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	_, port, _ := net.SplitHostPort(occupied.Addr().String())
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("serverPort: many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(dir, "bad.kubeconfig")
	kubeconfig, err := os.ReadFile(cluster.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	server := strings.TrimSpace(strings.SplitN(strings.SplitN(string(kubeconfig), "server:", 2)[1], "\n", 2)[0])
	unparsable := strings.ReplaceAll(string(kubeconfig), server, "https://[nowhere")
	if err := os.WriteFile(bad, []byte(unparsable), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty.kubeconfig")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	locked := filepath.Join(dir, "locked")
	start(t, locked, cluster.Config(), nil)

	tests := []struct {
		name string
		args []string
		env  map[string]string
		want []string // substrings of the error
		hint string   // a substring of the hint; "" means that there is none
	}{
		{
			name: "port in use",
			env:  map[string]string{"SERVER_PORT": port},
			want: []string{port + ": the address is in use by another program"},
			hint: "SERVER_PORT",
		},
		{
			name: "locked directory",
			env:  map[string]string{"BADGER_PATH": locked},
			want: []string{locked, "in use by another process"},
			hint: "BADGER_PATH",
		},
		{
			name: "storage path is a file",
			env:  map[string]string{"BADGER_PATH": file},
			want: []string{file},
			hint: "BADGER_PATH",
		},
		{
			name: "bad configuration",
			args: []string{"--config", file},
			want: []string{file + ": line 1: serverPort: want a whole number"},
		},
		{
			name: "absent configuration",
			args: []string{"--config", file + ".absent"},
			want: []string{"CONFIG_PATH", "no such file"},
		},
		{
			name: "no kubeconfig",
			env:  map[string]string{"KUBECONFIG": empty},
			want: []string{"no cluster to record: there is no kubeconfig"},
			hint: "--kubeconfig",
		},
		{
			name: "no token",
			env:  map[string]string{"KUBECONFIG": empty, "KUBERNETES_SERVICE_HOST": "10.0.0.1"},
			want: []string{"no service account token"},
			hint: "automountServiceAccountToken",
		},
		{
			name: "invalid kubeconfig",
			args: []string{"--kubeconfig", bad},
			want: []string{"kubeconfig is invalid", "nowhere"},
		},
		{
			name: "absent kubeconfig",
			args: []string{"--kubeconfig", bad + ".absent"},
			want: []string{"read the kubeconfig", "no such file"},
		},
		{name: "unknown context", args: []string{"--context", "moon"}, want: []string{`"moon"`}},
		{name: "unknown flag", args: []string{"--frobnicate"}, want: []string{"unknown flag: --frobnicate"}},
		{name: "unexpected argument", args: []string{"now"}, want: []string{`"now"`}},
		{name: "log format", args: []string{"--log-format", "xml"}, want: []string{"--log-format", "text or json"}},
		{name: "log level", args: []string{"--log-level", "loud"}, want: []string{"--log-level", "loud"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := map[string]string{"SERVER_PORT": "0", "BADGER_PATH": filepath.Join(t.TempDir(), "data")}
			maps.Copy(env, tt.env)
			t.Setenv("KUBECONFIG", cmp.Or(env["KUBECONFIG"], cluster.Kubeconfig)) // client-go reads it
			t.Setenv("KUBERNETES_SERVICE_HOST", env["KUBERNETES_SERVICE_HOST"])
			cmd := daemon.NewCommand("test", func(name string) string { return env[name] }, nil)
			var stdout, stderr bytes.Buffer
			cmd.SetOut(&stdout)
			cmd.SetErr(&stderr)
			cmd.SetArgs(tt.args)
			ended := make(chan error, 1)
			go func() { ended <- cmd.ExecuteContext(t.Context()) }()
			select {
			case err := <-ended:
				if err == nil {
					t.Fatal("got no error, want one")
				}
				for _, want := range tt.want {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("got error %q, want %q in it", err, want)
					}
				}
				if hint := history.HintOf(err); !strings.Contains(hint, tt.hint) || tt.hint == "" && hint != "" {
					t.Errorf("got hint %q, want %q in it", hint, tt.hint)
				}
				if strings.Contains(err.Error(), "\n") || stdout.Len() > 0 {
					t.Errorf("got error %q and standard output %q, want one line and no output", err, stdout.String())
				}
			case <-time.After(patience):
				t.Fatalf("got no result within %v, want an error", patience)
			}
		})
	}
}
