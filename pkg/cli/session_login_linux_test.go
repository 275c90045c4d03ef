package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// authServer returns an API server that requires a token, and serves a recorder
// through its service proxy.
func authServer(t *testing.T, r *recording, token string) *httptest.Server {
	t.Helper()
	recorder, err := url.Parse(r.url)
	if err != nil {
		t.Fatal(err)
	}
	const proxied = "/api/v1/namespaces/watchhistory/services/http:recorder:http/proxy"
	service := http.StripPrefix(proxied, httputil.NewSingleHostReverseProxy(recorder))
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case req.Header.Get("Authorization") != "Bearer "+token:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure",`+
				`"code":401,"reason":"Unauthorized","message":"Unauthorized"}`)
		case strings.HasPrefix(req.URL.Path, proxied):
			service.ServeHTTP(w, req)
		case strings.HasSuffix(req.URL.Path, "/services"):
			_, _ = io.WriteString(w, `{"kind":"ServiceList","apiVersion":"v1","items":[`+
				`{"metadata":{"name":"recorder","namespace":"watchhistory"},
				"spec":{"ports":[{"name":"http","port":80}]}}]}`)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// writeKubeconfig writes a kubeconfig with one user, and returns its path.
func writeKubeconfig(t *testing.T, server string, user map[string]any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "c",
		"clusters": []any{
			map[string]any{"name": "c", "cluster": map[string]any{"server": server, "insecure-skip-tls-verify": true}},
		},
		"users":    []any{map[string]any{"name": "u", "user": user}},
		"contexts": []any{map[string]any{"name": "c", "context": map[string]any{"cluster": "c", "user": "u"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const credential = `echo '{"apiVersion":"client.authentication.k8s.io/v1",` +
	`"kind":"ExecCredential","status":{"token":"let-me-in"}}'`

// execUser returns a user whose credential plugin is a shell script.
func execUser(mode clientcmdapi.ExecInteractiveMode, script string) map[string]any {
	return map[string]any{"exec": map[string]any{
		"apiVersion": "client.authentication.k8s.io/v1", "command": "sh",
		"args": []string{"-c", script}, "interactiveMode": string(mode),
	}}
}

// process is a running plugin whose stdin and stderr are a terminal.
type process struct {
	*exec.Cmd
	*screen

	tty     *os.File
	out     bytes.Buffer
	written func() string
}

func start(t *testing.T, r *recording, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.CommandContext(t.Context(), self)}
	p.tty, p.screen, p.written = terminal(t)
	p.Args = append([]string{"watchhistory"}, args...)
	p.Env = append(os.Environ(), "STORY_NOW="+r.now.Format(time.RFC3339), "KUBECACHEDIR="+t.TempDir(), "KUBECONFIG=")
	p.Stdin, p.Stderr, p.Stdout = p.tty, p.tty, &p.out
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end waits for the process, and returns its exit code and what the terminal
// showed.
func (p *process) end(t *testing.T) (code int, shown string) {
	t.Helper()
	if err := p.Wait(); err != nil && p.ProcessState == nil {
		t.Fatal(err)
	}
	return p.ProcessState.ExitCode(), p.written()
}

// TestLogin_HasNoTimeout checks that no timeout includes a prompt, and that
// nothing is written over it.
func TestLogin_HasNoTimeout(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	for name, script := range map[string]string{
		"a prompt": `printf 'Password: ' >&2; sleep 1.5; read -r answer; test "$answer" = secret && ` + credential,
		"a device code": `echo 'Open https://login.example and enter ABCD' >&2; sleep 1.5; read -r answer; ` +
			credential,
		"no prompt": `sleep 1.5; ` + credential,
	} {
		for _, args := range []string{
			"get --connect proxy", "get po --connect proxy", "get po --recorder-url " + r.url,
		} {
			t.Run(name+" "+strings.Fields(args)[1], func(t *testing.T) {
				prompt := strings.Contains(script, "read")
				config := writeKubeconfig(t, authServer(t, r, "let-me-in").URL,
					execUser(clientcmdapi.IfAvailableExecInteractiveMode, script))
				p := start(t, r, append(strings.Fields(args), "-n", "shop", "-o", "name",
					"--request-timeout", "1s", "--kubeconfig", config)...)
				want := ""
				if prompt {
					p.await(" ")
					_, _ = p.keyboard.WriteString("secret\n")
				}
				code, shown := p.end(t)
				switch name {
				case "a prompt":
					want = "Password: secret\r\n"
				case "a device code":
					want = "Open https://login.example and enter ABCD\r\nsecret\r\n"
				}
				// The rest are warnings about discovery, which this server does
				// not have.
				shown = strings.ReplaceAll(shown, "secret\r\n", "") // the echo may come before the prompt
				want = strings.ReplaceAll(want, "secret\r\n", "")
				rest, begins := strings.CutPrefix(shown, want)
				if code != 0 || !begins ||
					rest != "" && !strings.HasPrefix(strings.TrimPrefix(rest, "\r\n"), "Warning: ") {
					t.Errorf("got exit code %d, want 0; terminal %q, want %q; stdout %q",
						code, shown, want, p.out.String())
				}
				if !strings.Contains(p.out.String(), "pod/web-7d9f-x2k1p") {
					t.Errorf("got stdout %q, want the pod", p.out.String())
				}
			})
		}
	}
}

// TestLogin_EndsWithCtrlC checks a credential plugin that ignores the interrupt
// and disabled the echo of the terminal.
func TestLogin_EndsWithCtrlC(t *testing.T) {
	// Under nohup the plugin would survive the terminal and keep it open.
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, unix.SIGHUP)
	defer signal.Stop(hangUps)
	r := newRecording(t)
	r.writeStory()
	config := writeKubeconfig(t, authServer(t, r, "let-me-in").URL,
		execUser(clientcmdapi.AlwaysExecInteractiveMode,
			`trap '' INT; stty -echo; printf 'Password: ' >&2; read -r answer; `+credential))
	p := start(t, r, "get", "-n", "shop", "--kubeconfig", config)
	p.await("Password: ")
	_, _ = p.keyboard.WriteString("\x03")
	if err := p.Wait(); err != nil && p.ProcessState == nil {
		t.Fatal(err)
	}
	if code := p.ProcessState.ExitCode(); code != 130 {
		t.Errorf("got exit code %d, want 130", code)
	}
	state, err := unix.IoctlGetTermios(int(p.tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if state.Lflag&unix.ECHO == 0 {
		t.Error("got a terminal without echo, want it restored")
	}
	if shown := p.written(); shown != "Password: " {
		t.Errorf("terminal: got %q, want only the prompt", shown)
	}
}

// TestLogin_ReportsFailure checks that the error contains the failure of the
// credential plugin.
func TestLogin_ReportsFailure(t *testing.T) {
	r := newRecording(t)
	server := authServer(t, r, "let-me-in").URL
	for name, tt := range map[string]struct {
		user map[string]any
		want string
	}{
		"the plugin fails": {
			execUser(clientcmdapi.NeverExecInteractiveMode, "echo 'session expired' >&2; exit 3"), "exit code 3",
		},
		"no terminal for it": {
			execUser(clientcmdapi.AlwaysExecInteractiveMode, credential), "standard input is not a terminal",
		},
		"no plugin": {map[string]any{"exec": map[string]any{
			"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin",
			"interactiveMode": "Never", "installHint": "Get it from the shop.",
		}}, "no-such-plugin not found"},
		"a token that is refused": {
			execUser(clientcmdapi.NeverExecInteractiveMode, strings.Replace(credential, "let-me-in", "old", 1)),
			"log in again",
		},
		"an unknown provider": {map[string]any{"auth-provider": map[string]any{"name": "azure"}}, "azure"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			code, stderr := run(t.Context(), r, &out, "get", "-n", "shop",
				"--kubeconfig", writeKubeconfig(t, server, tt.user))
			if code != 1 || !strings.HasPrefix(stderr, "error: ") || !strings.Contains(stderr, tt.want) ||
				strings.Contains(stderr, "Does the API server answer?") {
				t.Errorf("got exit code %d, stderr %q, want 1 and %q", code, stderr, tt.want)
			}
		})
	}
}

// TestLogin_PromptsOnce checks that a failed or rejected login is not repeated.
func TestLogin_PromptsOnce(t *testing.T) {
	r := newRecording(t)
	server := authServer(t, r, "let-me-in").URL
	for name, tt := range map[string]struct {
		end  string
		most int
	}{
		"the login fails": {"exit 1", 1},
		// The library refreshes the token after a 401.
		"the token is rejected": {strings.Replace(credential, "let-me-in", "old", 1), 2},
		"the token is accepted": {credential, 1},
	} {
		t.Run(name, func(t *testing.T) {
			log := filepath.Join(t.TempDir(), "prompts")
			config := writeKubeconfig(t, server,
				execUser(clientcmdapi.NeverExecInteractiveMode, "echo >>"+log+"; "+tt.end))
			var out bytes.Buffer
			_, stderr := run(t.Context(), r, &out, "get", "po", "-n", "shop", "--connect", "proxy",
				"--kubeconfig", config, "--cache-dir", t.TempDir())
			prompts, err := os.ReadFile(log)
			if err != nil || len(prompts) > tt.most || len(prompts) == 0 {
				t.Errorf("got %d prompts (error %v), want 1 to %d; stderr %q", len(prompts), err, tt.most, stderr)
			}
		})
	}
}

// TestLogin_WithOpenIDConnect checks a kubeconfig with an authentication
// provider of client-go.
func TestLogin_WithOpenIDConnect(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	claims := fmt.Sprintf(`{"exp":%d}`, time.Now().Add(time.Hour).Unix())
	token := "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	user := map[string]any{"auth-provider": map[string]any{"name": "oidc", "config": map[string]any{
		"client-id": "kubectl", "idp-issuer-url": "http://127.0.0.1:1", "id-token": token,
	}}}
	var out bytes.Buffer
	code, stderr := run(t.Context(), r, &out, "get", "-n", "shop", "-o", "name", "--connect", "proxy",
		"--kubeconfig", writeKubeconfig(t, authServer(t, r, token).URL, user))
	if code != 0 || !strings.Contains(out.String(), "pod/web-7d9f-x2k1p") {
		t.Errorf("got exit code %d, stdout %q, stderr %q, want 0 and the pod", code, out.String(), stderr)
	}
}
