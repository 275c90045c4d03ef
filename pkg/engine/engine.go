// Package engine gives the plugin's commands the history in files, and in this
// process. It translates between the interfaces of cli and what local has.
//
// The commands don't import the database: the program's main function passes
// them an engine. It is internal to watchhistory: its API changes without
// notice.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/cli"
	"github.com/watchhistory/watchhistory/pkg/local"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// engine implements [cli.Engine].
type engine struct{}

// New returns the engine. It is safe for concurrent use.
func New() cli.Engine { return engine{} }

// Open implements [cli.Engine].
func (engine) Open(ctx context.Context, file io.Reader, progress func(bytes int64)) (cli.History, error) {
	return local.Open(ctx, file, progress)
}

// CheckExpression implements [cli.Engine].
func (engine) CheckExpression(text string) error {
	_, err := selector.Compile(text)
	return err
}

// Record implements [cli.Engine].
func (engine) Record(ctx context.Context, cluster *rest.Config, o cli.RecordOptions) (cli.Recording, error) {
	r, err := local.Record(ctx, cluster, local.RecordOptions{
		File: o.File, Overwrite: o.Overwrite, Namespace: o.Namespace, MadeBy: o.MadeBy, Progress: o.Progress,
	})
	if err != nil {
		return nil, scopeError(err)
	}
	return recording{r}, nil
}

// scopeError returns an error with the type that the commands expect.
func scopeError(err error) error {
	if _, ok := errors.AsType[*local.ScopeError](err); ok {
		return &cli.ScopeError{Err: err}
	}
	return err
}

// recording implements [cli.Recording].
type recording struct{ *local.Recorder }

// Observed implements [cli.Recording].
func (r recording) Observed(ctx context.Context) error { return scopeError(r.Recorder.Observed(ctx)) }

// Refused implements [cli.Recording].
func (r recording) Refused() (all []string) {
	for _, refused := range r.Recorder.Refused() {
		all = append(all, fmt.Sprintf("%s (%s)", refused.Resource.GroupResource(), refused.Reason))
	}
	return all
}

// Finish implements [cli.Recording].
func (r recording) Finish(ctx context.Context) (cli.RecordSummary, error) {
	s, err := r.Recorder.Finish(ctx)
	return cli.RecordSummary{
		Start: s.Start, End: s.End, Bytes: s.Bytes, Changes: s.Changes(), Resources: s.Resources,
	}, err
}
