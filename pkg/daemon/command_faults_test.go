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
	if err := os.WriteFile(bad, []byte(strings.ReplaceAll(string(kubeconfig), server, "https://[nowhere")), 0o600); err != nil {
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
		{"port in use", nil, map[string]string{"SERVER_PORT": port}, []string{port + ": the address is in use by another program"}, "SERVER_PORT"},
		{"locked directory", nil, map[string]string{"BADGER_PATH": locked}, []string{locked, "in use by another process"}, "BADGER_PATH"},
		{"storage path is a file", nil, map[string]string{"BADGER_PATH": file}, []string{file}, "BADGER_PATH"},
		{"bad configuration", []string{"--config", file}, nil, []string{file + ": line 1: serverPort: want a whole number"}, ""},
		{"absent configuration", []string{"--config", file + ".absent"}, nil, []string{"CONFIG_PATH", "no such file"}, ""},
		{"no kubeconfig", nil, map[string]string{"KUBECONFIG": empty}, []string{"no cluster to record: there is no kubeconfig"}, "--kubeconfig"},
		{"no token", nil, map[string]string{"KUBECONFIG": empty, "KUBERNETES_SERVICE_HOST": "10.0.0.1"}, []string{"no service account token"}, "automountServiceAccountToken"},
		{"invalid kubeconfig", []string{"--kubeconfig", bad}, nil, []string{"kubeconfig is invalid", "nowhere"}, ""},
		{"absent kubeconfig", []string{"--kubeconfig", bad + ".absent"}, nil, []string{"read the kubeconfig", "no such file"}, ""},
		{"unknown context", []string{"--context", "moon"}, nil, []string{`"moon"`}, ""},
		{"unknown flag", []string{"--frobnicate"}, nil, []string{"unknown flag: --frobnicate"}, ""},
		{"unexpected argument", []string{"now"}, nil, []string{`"now"`}, ""},
		{"log format", []string{"--log-format", "xml"}, nil, []string{"--log-format", "text or json"}, ""},
		{"log level", []string{"--log-level", "loud"}, nil, []string{"--log-level", "loud"}, ""},
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
