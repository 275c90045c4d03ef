package cli

import (
	"context"

	"github.com/spf13/cobra"
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
