// Package command is devcluster's command line.
//
// Data goes to standard output, everything else to standard error. A command
// returns its error; only main turns it into text and an exit code.
package command

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

// ExitError is an error that was already explained on standard error; the
// process should end with this code and say no more.
type ExitError int

func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Streams connect the commands with their surroundings.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// New returns the root command. The executable is this program's own path,
// which starts the components; kubectl runs the kubectl that is linked in
// with the given arguments, and returns its exit code.
func New(streams Streams, executable string, kubectl func(args []string) int) *cobra.Command {
	root := &cobra.Command{
		Use:   "devcluster",
		Short: "Boot throwaway Kubernetes control planes from Go modules",
		Long: `devcluster boots a real Kubernetes control plane (etcd, API server, controller
manager, scheduler) with simulated nodes (kwok) within seconds, plays scenarios
on it and loads it. It needs no container runtime and downloads nothing.`,
		Example: `  export KUBECONFIG=$(devcluster up)
  devcluster kubectl get nodes
  devcluster play broken-rollout
  devcluster down`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.Err)
	root.AddCommand(
		newUp(streams, executable), newDown(streams), newStatus(streams),
		newStop(), newStart(), newRestart(), newCompact(streams), newLoad(streams), newPlay(streams),
		newDemo(streams, executable), newKubectl(kubectl),
	)
	return root
}

// target chooses one cluster by its name or its directory.
type target struct {
	name, dir string
}

func (t *target) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.name, "name", "default", "the cluster's name")
	cmd.Flags().StringVar(&t.dir, "dir", "", "the cluster's directory, for one that was started with --dir")
}

// directory returns the absolute directory that the flags mean.
func (t *target) directory() (string, error) {
	if t.dir != "" {
		return filepath.Abs(t.dir)
	}
	if err := cluster.ValidateName(t.name); err != nil {
		return "", err
	}
	root, err := cluster.Root()
	if err != nil {
		return "", err
	}
	return filepath.Join(root, t.name), nil
}

// state reads the chosen cluster.
func (t *target) state() (cluster.State, error) {
	dir, err := t.directory()
	if err != nil {
		return cluster.State{}, err
	}
	state, err := cluster.Read(dir)
	if errors.Is(err, cluster.ErrNotFound) {
		return cluster.State{}, fmt.Errorf("no cluster in %s: start one with devcluster up, "+
			"or see which there are with devcluster status (%w)", dir, err)
	}
	return state, err
}

// running is state for commands that need a cluster that is up.
func (t *target) running() (cluster.State, error) {
	state, err := t.state()
	if err != nil {
		return cluster.State{}, err
	}
	if !state.Running() || !state.Ready {
		return cluster.State{}, fmt.Errorf(
			"cluster %s is not running: clear it up with devcluster down and start it with devcluster up", state.Name)
	}
	return state, nil
}
