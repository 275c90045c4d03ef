package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// options are the options of a command. Its methods are called in this order;
// the first error ends the command.
type options interface {
	complete() error // parses flags and fills in defaults
	validate() error // rejects invalid flags, before anything is connected
	run(ctx context.Context, args []string) error
}

// runE returns the RunE function of a command.
//
// A command is run once: it parses its flags into o, and nothing resets them.
func runE(o options) func(*cobra.Command, []string) error {
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

// queryOptions are the options of all commands that query a recorder.
type queryOptions struct {
	*connection
	window
	output
}

// complete parses the flags of the window and of the output. Relative times are
// resolved by the local clock, so that validate can reject an empty window.
// resolveTimes resolves them again, by the recorder's clock.
func (o *queryOptions) complete() error {
	if err := o.output.complete(); err != nil {
		return err
	}
	return o.window.complete(o.env.Now().In(o.location))
}

// validate rejects invalid flags of the window and of the output.
func (o *queryOptions) validate() error {
	if err := o.window.validate(); err != nil {
		return err
	}
	return o.output.validate()
}

// withSession is [connection.withSession], after the relative times of the
// window were resolved by the recorder's clock.
func (o *queryOptions) withSession(ctx context.Context, query func(*session) error) error {
	return o.connection.withSession(ctx, func(s *session) error {
		if err := o.resolveTimes(ctx, s); err != nil {
			return err
		}
		return query(s)
	})
}

// resolveTimes resolves the times of the window again: see
// [connection.resolveMoments].
func (o *queryOptions) resolveTimes(ctx context.Context, s *session) error {
	if !o.isRelative() {
		return nil
	}
	since, until := o.moments()
	if err := o.resolveMoments(ctx, s, o.location, &since, &until); err != nil {
		return err
	}
	if err := o.set(&since, &until, o.env.recorderNow()); err != nil {
		return err
	}
	return o.window.validate()
}

// readClock reads the recorder's time, unless it is known. Any response has it.
// Only a recorder that can't be reached, or an interrupt, ends the command.
func (c *connection) readClock(ctx context.Context, s *session) error {
	if _, known := s.ClockOffset(); known {
		return nil
	}
	if err := s.Health(ctx); history.CodeOf(err) == history.Unavailable || ctx.Err() != nil {
		return err
	}
	return nil
}

// addNoiseFlag adds --show-noise.
func addNoiseFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "show-noise", false,
		"Also show changes that are only noise, such as heartbeats and server-side counters.")
}

// addDiffFlag adds --diff, with its short form, its default and its completion.
func addDiffFlag(cmd *cobra.Command, to *string, short, byDefault string) {
	fs := cmd.Flags()
	fs.StringVarP(to, "diff", short, byDefault, "Show what changed: structural, or unified for a diff of the YAML.")
	fs.Lookup("diff").NoOptDefVal = diffStructural
	_ = cmd.RegisterFlagCompletionFunc("diff",
		cobra.FixedCompletions([]string{diffStructural, diffUnified}, cobra.ShellCompDirectiveNoFileComp))
}

// validateDiff rejects unknown values of --diff.
func validateDiff(value string) error {
	if value != "" && value != diffStructural && value != diffUnified {
		return invalidf("--diff %q: want structural or unified", value)
	}
	return nil
}

// addExitCodeFlag adds --exit-code.
func addExitCodeFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "exit-code", false,
		"Exit with 0 if nothing changed, 1 if something changed, 2 on errors, as diff does.")
}
