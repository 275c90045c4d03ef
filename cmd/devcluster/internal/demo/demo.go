// Package demo shows watchhistory on a cluster of its own. It boots the
// cluster, installs the recorder's manifests, and runs the recorder with
// exactly the permissions of the manifests. Then it plays a broken rollout and
// shows its history through the plugin and a port-forward of the API server.
//
// All files are in one temporary directory. When the demo ends for any reason,
// it removes the directory and ends all processes, unless Options.Keep is set.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The namespaces of the recorder and of the scenario.
const (
	recorderNamespace = "watchhistory"
	recorderName      = "watchhistory-recorder"
	recorderPort      = 8443
	shop              = "shop"
)

// cleanUp is the time limit for ending all processes.
const cleanUp = 30 * time.Second

// Options are the programs to show, and the outputs.
type Options struct {
	Executable string // this program
	Recorder   string // watchhistory-recorder
	Plugin     string // kubectl-watchhistory, the name that kubectl searches for
	Manifests  string // the argument of "kubectl apply -k"
	Keep       bool   // leave everything running
	// Out receives the output for the user, Err the progress.
	Out, Err io.Writer
}

// demo is one run.
type demo struct {
	Options

	dir        string // contains all files
	kubeconfig string
	port       int // the recorder's port
	recorder   *recorder
}

// Run runs the demo. When ctx ends, it cleans up and returns ctx's error.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "watchhistory-demo-")
	if err != nil {
		return fmt.Errorf("make the demo's directory: %w", err)
	}
	d := &demo{Options: o, dir: dir}
	defer func() {
		if err == nil && d.Keep {
			d.explainHowToGoOn()
			return
		}
		err = errors.Join(err, d.clear(ctx))
	}()
	for _, step := range []struct {
		title string
		do    func(context.Context) error
	}{
		{"booting a control plane", d.boot},
		{"installing the recorder's manifests", d.install},
		{"starting the recorder with the rights of its role", d.record},
		{"playing a broken rollout", d.play},
		{"letting jane and sam read one namespace each", d.permit},
	} {
		d.say("demo: " + step.title)
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	return d.ask(ctx)
}

// boot starts a cluster. Its port-forwards to the recorder's pod reach the
// local process.
func (d *demo) boot(ctx context.Context) error {
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	d.port = port
	d.kubeconfig, err = d.output(ctx, nil, "up", "--dir", d.clusterDir(), "--name", "demo",
		"--forward", fmt.Sprintf("%d=127.0.0.1:%d", recorderPort, port))
	return err
}

// install applies the manifests as a user would. Simulated nodes have no
// storage, so it first creates the volume that the recorder claims.
func (d *demo) install(ctx context.Context) error {
	if err := d.kubectl(ctx, volume, "apply", "-f", "-"); err != nil {
		return err
	}
	if err := d.kubectl(ctx, "", "apply", "-k", d.Manifests); err != nil {
		return err
	}
	return d.kubectl(ctx, "", "rollout", "status", "statefulset/"+recorderName, "-n", recorderNamespace, "--timeout=2m")
}

func (d *demo) record(ctx context.Context) error {
	token, err := d.output(ctx, nil, "kubectl", "--kubeconfig", d.kubeconfig,
		"create", "token", recorderName, "-n", recorderNamespace, "--duration=24h")
	if err != nil {
		return err
	}
	kubeconfig, err := d.withToken(token)
	if err != nil {
		return err
	}
	d.recorder, err = startRecorder(d.Recorder, d.dir, kubeconfig, d.port, d.Keep)
	if err != nil {
		return err
	}
	return d.recorder.awaitReady(ctx)
}

// play plays the scenario with pauses of a second, because times in
// managedFields are in seconds.
func (d *demo) play(ctx context.Context) error {
	return d.run(ctx, "", "play", "broken-rollout", "--kubeconfig", d.kubeconfig, "-n", shop, "--pause", "1s")
}

// permit gives two users the rights of the role view in one namespace each.
func (d *demo) permit(ctx context.Context) error {
	for user, namespace := range map[string]string{"jane": shop, "sam": recorderNamespace} {
		err := d.kubectl(ctx, "", "create", "rolebinding", user, "--clusterrole=view", "--user="+user, "-n", namespace)
		if err != nil {
			return err
		}
	}
	return nil
}

// ask prints each command as a user types it, and its output.
func (d *demo) ask(ctx context.Context) error {
	breaking, err := d.revisionBy(ctx, "kubectl-set")
	if err != nil {
		return err
	}
	for _, question := range []string{
		"-n shop --since 10m",
		"why deployment/web -n shop",
		"history deployment/web -n shop",
		"history deployment/web -n shop --diff --revision " + strconv.FormatUint(breaking, 10),
		"related deployment/web -n shop --since 10m",
		// Everyone sees what the cluster lets them see live.
		"-A --since 10m --as jane",
		"get configmaps -A --since 10m --as sam",
	} {
		if err := d.show(ctx, append([]string{"watchhistory"}, strings.Fields(question)...)); err != nil {
			return err
		}
	}
	return nil
}

// revisionBy returns the newest version of the Deployment that the manager
// wrote. It uses the plugin's JSON, as a script would.
func (d *demo) revisionBy(ctx context.Context, manager string) (uint64, error) {
	out, err := d.output(ctx, nil, "kubectl", "watchhistory", "history", "deployment/web", "-n", shop, "-o", "json")
	if err != nil {
		return 0, err
	}
	var history struct {
		Items []struct {
			Revision uint64
			Managers []struct{ Manager string }
		}
	}
	if err := json.Unmarshal([]byte(out), &history); err != nil {
		return 0, fmt.Errorf("read the history of deployment/web: %w", err)
	}
	for _, version := range history.Items {
		for _, m := range version.Managers {
			if m.Manager == manager {
				return version.Revision, nil
			}
		}
	}
	return 0, fmt.Errorf("no version of deployment/web by %s recorded", manager)
}

func (d *demo) clusterDir() string { return filepath.Join(d.dir, "cluster") }

// clear ends all processes, also if ctx has ended.
func (d *demo) clear(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUp)
	defer cancel()
	var errs []error
	if d.recorder != nil {
		errs = append(errs, d.recorder.stop(ctx))
	}
	if d.kubeconfig != "" {
		errs = append(errs, d.run(ctx, "", "down", "--dir", d.clusterDir()))
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

func (d *demo) explainHowToGoOn() {
	_, _ = fmt.Fprintf(d.Out, `
The cluster is still running. To see more:

  export KUBECONFIG=%s PATH=%s:$PATH
  alias kubectl='%s kubectl'
  kubectl watchhistory get -A
  %s play crash-loop

To end it:

  kill %d && %s down --dir %s && rm -r %s
`, d.kubeconfig, absoluteDir(d.Plugin), d.Executable, d.Executable, d.recorder.pid(), d.Executable, d.clusterDir(),
		d.dir)
}

func (d *demo) say(line string) { _, _ = fmt.Fprintln(d.Err, line) }
