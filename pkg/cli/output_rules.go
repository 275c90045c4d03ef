package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
	"github.com/watchhistory/watchhistory/pkg/render"
	"github.com/watchhistory/watchhistory/pkg/report"
)

// failOn are the rules of --fail-on.
type failOn struct{ expressions []string }

// addFlag adds --fail-on.
func (f *failOn) addFlag(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.expressions, "fail-on", nil,
		"Exit with 3, and show the changes, if this CEL expression is true for a change, as in "+
			`--query: 'problem.contains("CrashLoopBackOff")'. May be repeated.`)
	_ = cmd.RegisterFlagCompletionFunc("fail-on", cobra.NoFileCompletions)
}

// check rejects an invalid expression.
func (f *failOn) check(engine Engine) error {
	for _, text := range f.expressions {
		if err := engine.CheckExpression(text); err != nil {
			return withPrefix("--fail-on", err)
		}
	}
	return nil
}

// match reads which changes of a query match the rules.
func (f *failOn) match(ctx context.Context, source *client.Client, q client.EventsQuery) ([]report.Rule, error) {
	rules, err := report.MatchRules(ctx, source, q, f.expressions)
	if wrong, ok := errors.AsType[*client.ParameterError](err); ok && wrong.Parameter == v1.ParamQuery {
		return nil, history.Errorf(history.CodeOf(err), "--fail-on: %s", wrong.Problem)
	}
	return rules, err
}

// writeRules writes the rules that match, with the changes, as messages. It
// returns an [exitError] if there are any.
func writeRules(env *Environment, rules []report.Rule, namespaces bool, location *time.Location) error {
	if !report.Matched(rules) {
		return nil
	}
	env.endProgress()
	for i := range rules {
		r := &rules[i]
		if len(r.Changes) == 0 {
			continue
		}
		var text bytes.Buffer
		p := render.New(&text, render.Options{
			Now: env.recorderNow(), Location: location, Namespaces: namespaces,
		})
		if err := p.Timeline(r.Changes, nil); err != nil {
			return err
		}
		if r.More {
			text.WriteString("Older changes match, too.\n")
		}
		_, _ = fmt.Fprintf(env.ErrOut, "\n✗ --fail-on %s\n%s", printable.Line(r.Expression), text.Bytes())
	}
	return &exitError{code: exitFound}
}
