// Package command is devcluster's command line.
//
// Data goes to standard output, everything else to standard error. A command
// returns its error. Only main prints it and chooses the exit code.
package command

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

// ExitError is an error that was already printed. The process exits with this
// code and prints nothing more.
type ExitError int

func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Streams are the standard streams of the commands.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// New returns the root command. executable is the path of this program, which
// starts the components. kubectl runs the linked kubectl with the given
// arguments and returns its exit code.
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

// directory returns the absolute path of the directory that the flags select.
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
			"or list the clusters with devcluster status (%w)", dir, err)
	}
	return state, err
}

// running is state, but fails if the cluster is not running.
func (t *target) running() (cluster.State, error) {
	state, err := t.state()
	if err != nil {
		return cluster.State{}, err
	}
	if !state.Running() || !state.Ready {
		return cluster.State{}, fmt.Errorf(
			"cluster %s is not running: remove it with devcluster down and start it with devcluster up", state.Name)
	}
	return state, nil
}
