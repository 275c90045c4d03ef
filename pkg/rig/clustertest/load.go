package clustertest

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
)

// Write is one write that the API server accepted. Verb is create, update or
// delete. ResourceVersion is that of the watch event for the write. A delete
// has none, because the response does not contain it: identify it by UID and
// verb.
type Write struct {
	Group           string `json:"group"`
	Resource        string `json:"resource"`
	Namespace       string `json:"namespace"`
	Name            string `json:"name"`
	UID             string `json:"uid"`
	ResourceVersion string `json:"resourceVersion"`
	Verb            string `json:"verb"`
}

// Load describes a load: each object is created, updated Updates times and,
// with Delete, deleted, always by the same writer. Deleting a pod takes two
// writes: an update that marks it, and the delete. Nothing else writes to the
// objects.
type Load struct {
	// Namespace is created if it does not exist. "" means "load".
	Namespace string
	// Kinds are resources: pods, configmaps, secrets, or widgets, which is a
	// custom resource. Empty means pods.
	Kinds   []string
	Objects int
	Updates int
	Writers int
	// Rate is the number of writes per second of all writers together. 0 means
	// no limit.
	Rate   float64
	Delete bool
}

// Load runs a load and returns the writes that the API server accepted. Those
// to one object are in order. With an error, it returns the writes until then,
// except those in flight when ctx ended.
func (c *Cluster) Load(ctx context.Context, load Load) (writes []Write, err error) {
	dir, err := os.MkdirTemp("", "clustertest-")
	if err != nil {
		return nil, fmt.Errorf("make directory for truth: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	truth := filepath.Join(dir, "truth.jsonl")
	_, loadErr := c.run(ctx, append(load.arguments(), "--kubeconfig="+c.Kubeconfig, "--truth="+truth)...)
	writes, err = readTruth(truth)
	return writes, errors.Join(loadErr, err)
}

// arguments returns the arguments of devcluster.
func (l Load) arguments() []string {
	args := []string{
		"load", "--objects=" + strconv.Itoa(l.Objects), "--updates=" + strconv.Itoa(l.Updates),
		"--writers=" + strconv.Itoa(l.Writers), "--delete=" + strconv.FormatBool(l.Delete),
		"--rate=" + strconv.FormatFloat(l.Rate, 'f', -1, 64),
	}
	if l.Namespace != "" {
		args = append(args, "--namespace="+l.Namespace)
	}
	if len(l.Kinds) > 0 {
		args = append(args, "--kinds="+strings.Join(l.Kinds, ","))
	}
	return args
}

// readTruth reads the writes that devcluster load recorded.
func readTruth(file string) ([]Write, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open truth: %w", err)
	}
	defer func() { _ = in.Close() }()
	var writes []Write
	decoder := json.NewDecoder(in)
	for {
		var w Write
		if err := decoder.Decode(&w); errors.Is(err, io.EOF) {
			return writes, nil
		} else if err != nil {
			return writes, fmt.Errorf("read truth: %w", err)
		}
		writes = append(writes, w)
	}
}

// Play plays a scenario of devcluster in a namespace, which is created if it
// does not exist. The cluster needs Options.All.
func (c *Cluster) Play(ctx context.Context, scenario, namespace string, flags ...string) error {
	_, err := c.run(ctx, append([]string{
		"play", scenario, "--namespace=" + namespace, "--kubeconfig=" + c.Kubeconfig,
	}, flags...)...)
	return err
}
