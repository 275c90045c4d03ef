package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// volume is the volume for the StatefulSet's claim.
const volume = `apiVersion: v1
kind: PersistentVolume
metadata: {name: watchhistory-demo}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 50Gi}
  persistentVolumeReclaimPolicy: Retain
  hostPath: {path: /nowhere}
`

// command returns a command of this program, with the plugin in PATH.
func (d *demo) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, d.Executable, args...)
	cmd.Env = append(os.Environ(),
		"KUBECONFIG="+d.kubeconfig,
		"PATH="+absoluteDir(d.Plugin)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = cleanUp
	return cmd
}

// run runs the command and writes its output as progress.
func (d *demo) run(ctx context.Context, input string, args ...string) error {
	cmd := d.command(ctx, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), d.Err, d.Err
	return explain(ctx, cmd)
}

func (d *demo) kubectl(ctx context.Context, input string, args ...string) error {
	return d.run(ctx, input, append([]string{"kubectl", "--kubeconfig", d.kubeconfig}, args...)...)
}

// output returns the command's standard output, without the final line break.
func (d *demo) output(ctx context.Context, input io.Reader, args ...string) (string, error) {
	cmd := d.command(ctx, args...)
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, &out, d.Err
	err := explain(ctx, cmd)
	return strings.TrimSpace(out.String()), err
}

// show prints a kubectl command and its output. Empty output is an error.
func (d *demo) show(ctx context.Context, args []string) error {
	_, _ = fmt.Fprintf(d.Out, "\n$ kubectl %s\n", strings.Join(args, " "))
	var out bytes.Buffer
	cmd := d.command(ctx, append([]string{"kubectl"}, args...)...)
	cmd.Stdout, cmd.Stderr = io.MultiWriter(d.Out, &out), d.Out
	if err := explain(ctx, cmd); err != nil {
		return err
	}
	if out.Len() == 0 {
		return fmt.Errorf("kubectl %s: empty output", strings.Join(args, " "))
	}
	return nil
}

// explain runs the command and adds its name to the error.
func explain(ctx context.Context, cmd *exec.Cmd) error {
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err)
	}
	return nil
}

// withToken writes a kubeconfig for the same cluster whose only credential is
// the token, and returns its path.
func (d *demo) withToken(token string) (string, error) {
	config, err := clientcmd.LoadFromFile(d.kubeconfig)
	if err != nil {
		return "", fmt.Errorf("read kubeconfig: %w", err)
	}
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	}
	path := filepath.Join(d.dir, "recorder.kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("write the recorder's kubeconfig: %w", err)
	}
	return path, nil
}

// freePort returns a port that was free a moment ago.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = l.Close() }()
	address, err := netip.ParseAddrPort(l.Addr().String())
	return int(address.Port()), err
}

func absoluteDir(file string) string {
	dir, err := filepath.Abs(filepath.Dir(file))
	if err != nil {
		return filepath.Dir(file)
	}
	return dir
}

// pause waits unless ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
