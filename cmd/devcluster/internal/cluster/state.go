package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/process"
)

// stateFile marks the directory of a cluster. A directory without it is never
// removed.
const stateFile = "cluster.json"

// ErrNotFound means that a directory contains no cluster.
var ErrNotFound = errors.New("not found")

// State is the state file of a cluster. Only the supervisor writes it.
type State struct {
	Name       string           `json:"name"`
	Dir        string           `json:"dir"`
	Kubeconfig string           `json:"kubeconfig"`
	Server     string           `json:"server"`
	Ready      bool             `json:"ready"`
	Created    time.Time        `json:"created"`
	Supervisor process.ID       `json:"supervisor"`
	Components []ComponentState `json:"components"`
	Forwards   []Forward        `json:"forwards,omitempty"`
}

// ComponentState is the state of one program of a cluster.
type ComponentState struct {
	Name    string     `json:"name"`
	Process process.ID `json:"process"`
	Port    int        `json:"port"`
	Log     string     `json:"log"`
	// Starts is how often the program was started.
	Starts int `json:"starts"`
}

// Running reports whether the cluster's supervisor is running.
func (s State) Running() bool { return s.Supervisor.Alive() }

// processes returns all processes, the supervisor first, so that it restarts
// nothing while the others are ended.
func (s State) processes() []process.ID {
	ids := []process.ID{s.Supervisor}
	for _, c := range s.Components {
		ids = append(ids, c.Process)
	}
	return ids
}

// Component returns the state of the program with a full name.
func (s State) Component(name string) (ComponentState, bool) {
	i := slices.IndexFunc(s.Components, func(c ComponentState) bool { return c.Name == name })
	if i < 0 {
		return ComponentState{}, false
	}
	return s.Components[i], true
}

// Read returns the state of the cluster in dir. The error is ErrNotFound if
// there is none.
func Read(dir string) (State, error) {
	data, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, fmt.Errorf("%s: %w", dir, ErrNotFound)
	}
	if err != nil {
		return State{}, fmt.Errorf("read cluster state: %w", err)
	}
	var s State
	if err := json.Unmarshal(data, &s); err != nil {
		return State{}, fmt.Errorf("read cluster state in %s: %w", dir, err)
	}
	return s, nil
}

// save replaces the state file atomically, so that readers never see a part of
// it.
func (s State) save() error {
	temp, err := s.writeTemp()
	if err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(s.Dir, stateFile)); err != nil {
		return fmt.Errorf("write cluster state: %w", err)
	}
	return nil
}

// claim creates the state file in s.Dir. Of concurrent claims, one succeeds,
// because a link does not replace an existing file. A rename would.
func (s State) claim(ctx context.Context) error {
	if err := s.makeRoom(ctx); err != nil {
		return err
	}
	temp, err := s.writeTemp()
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp) }()
	if err := os.Link(temp, filepath.Join(s.Dir, stateFile)); err != nil {
		return fmt.Errorf("claim %s: %w", s.Dir, err)
	}
	return nil
}

// makeRoom removes the files of a dead cluster from the directory. It fails if
// the directory contains anything else.
func (s State) makeRoom(ctx context.Context) error {
	old, err := Read(s.Dir)
	switch {
	case err == nil && old.Running():
		return fmt.Errorf("cluster %s is already running; use it with KUBECONFIG=%s, "+
			"or end it with: devcluster down --dir %s", old.Name, old.Kubeconfig, old.Dir)
	case err == nil:
		if err := remove(ctx, old); err != nil {
			return err
		}
	case !errors.Is(err, ErrNotFound):
		return err
	}
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return fmt.Errorf("make cluster directory: %w", err)
	}
	entries, err := os.ReadDir(s.Dir)
	if err != nil {
		return fmt.Errorf("read cluster directory: %w", err)
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s is not empty: choose an empty directory", s.Dir)
	}
	return nil
}

func (s State) writeTemp() (string, error) {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return "", fmt.Errorf("encode cluster state: %w", err)
	}
	temp := filepath.Join(s.Dir, fmt.Sprintf(".%s.%d", stateFile, os.Getpid()))
	if err := os.WriteFile(temp, data, 0o600); err != nil {
		return "", fmt.Errorf("write cluster state: %w", err)
	}
	return temp, nil
}
