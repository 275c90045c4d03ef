package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// steps are what a command does with its options, in this order; the first error ends it.
type steps interface {
	complete() error // fills in what the flags leave open
	validate() error // refuses what makes no sense, before anything is connected to
	run(ctx context.Context, args []string) error
}

func inSteps(o steps) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := o.complete(); err != nil {
			return err
		}
		if err := o.validate(); err != nil {
			return err
		}
		return o.run(cmd.Context(), args)
	}
}

// question is what all commands share that ask a recorder.
type question struct {
	*connection
	window
	output
}

func (o *question) complete() error {
	if err := o.window.complete(o.env.Now()); err != nil {
		return err
	}
	return o.output.complete()
}

func (o *question) validate() error {
	if err := o.window.validate(); err != nil {
		return err
	}
	return o.output.validate()
}

// with is that of [connection], with the window's relative times counted from
// now on the recorder's clock.
func (o *question) with(ctx context.Context, ask func(*session) error) error {
	return o.connection.with(ctx, func(s *session) error {
		if err := o.settle(ctx, s); err != nil {
			return err
		}
		return ask(s)
	})
}

func (o *question) settle(ctx context.Context, s *session) error {
	if !o.isRelative() {
		return nil
	}
	if _, known := s.ClockAhead(); !known {
		err := s.Health(ctx)
		if history.CodeOf(err) == history.Unavailable || ctx.Err() != nil {
			return err
		}
	}
	if err := o.window.complete(o.env.recorderNow()); err != nil {
		return err
	}
	return o.window.validate()
}
