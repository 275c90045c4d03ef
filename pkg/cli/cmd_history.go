package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/render"
)

// The kinds of diffs.
const (
	diffStructural = "structural"
	diffUnified    = "unified"
)

// historyOptions are those of history: one object's versions.
type historyOptions struct {
	question

	diff      string // empty: none
	revision  string
	uid       string
	showNoise bool
	exitCode  bool

	revisions revisions
}

func newHistory(conn *connection) *cobra.Command {
	o := &historyOptions{question: question{connection: conn}}
	cmd := &cobra.Command{
		Use:   "history (TYPE NAME | TYPE/NAME)",
		Short: "Show the versions of one object, what changed and who did it",
		Long: paragraphs(`
			Show the versions of one object, newest first: what changed in each, and who did it. Objects
			that are gone have their history still, as have earlier objects of the same name.

			Revisions are numbered from 1 within the life of one object, which its UID tells from others
			of its name. Where a revision is given, it is one of the newest, or of the one with --uid.

			With --revision, the formats for programs print the object itself as it was, or a v1 List of
			several, the newest first; kubectl can apply it. Without it they print the records of all
			versions, as the REST API returns them.

			A line across the table says when and why the recorder could not see objects of that type:
			versions may be missing there.`),
		Example: examples(conn.env, `
			# All versions of a Deployment
			watchhistory history deploy/web -n shop

			# What changed in each of them
			watchhistory history deploy/web -n shop --diff

			# What the last change but one was
			watchhistory history deploy web -n shop --diff --revision -1

			# From one version to another
			watchhistory history deploy/web -n shop --diff --revision 2..5

			# The object as it was
			watchhistory history deploy/web -n shop --revision 14 -o yaml

			# Bring that version back
			watchhistory history deploy/web -n shop --revision 14 -o yaml | kubectl apply -f -`),
		Args:              arguments(1, 2, "TYPE NAME or TYPE/NAME"),
		ValidArgsFunction: conn.completeOne,
		RunE:              inSteps(o),
	}
	o.window.addFlags(cmd.Flags(), "versions")
	o.output.addFlags(cmd)
	o.addFlags(cmd)
	return cmd
}

func (o *historyOptions) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&o.diff, "diff", "", "Show what changed: structural, or unified for a diff of the YAML.")
	fs.Lookup("diff").NoOptDefVal = diffStructural
	fs.StringVar(&o.revision, "revision", "", "Only this revision, like 14; -1 is the one before the newest, 2..5 are several.")
	fs.StringVar(&o.uid, "uid", "", "Only this incarnation of the object.")
	addNoise(cmd, &o.showNoise)
	addExitCode(cmd, &o.exitCode)
	_ = cmd.RegisterFlagCompletionFunc("revision", o.completeRevisions)
	_ = cmd.RegisterFlagCompletionFunc("uid", o.completeUIDs)
	_ = cmd.RegisterFlagCompletionFunc("diff", cobra.FixedCompletions([]string{diffStructural, diffUnified}, cobra.ShellCompDirectiveNoFileComp))
}

func (o *historyOptions) complete() (err error) {
	if o.revision != "" {
		if o.revisions, err = parseRevisions(o.revision); err != nil {
			return err
		}
	}
	return o.question.complete()
}

func (o *historyOptions) validate() error {
	switch {
	case o.diff != "" && o.diff != diffStructural && o.diff != diffUnified:
		return invalidf("--diff %q: want structural or unified", o.diff)
	case o.diff != "" && o.format != "":
		return invalidf("--diff writes no --output %s: leave one of them out", o.format)
	case o.revision != "" && o.isSet():
		return invalidf("--revision and a time exclude each other: leave out --since, --since-time and --until")
	}
	return o.question.validate()
}

func (o *historyOptions) run(ctx context.Context, args []string) error {
	object, err := parseObject(args)
	if err != nil {
		return err
	}
	shown := 0
	err = o.with(ctx, func(s *session) error {
		resolved, err := s.types.resolve(ctx, object.kind)
		if err != nil {
			return err
		}
		v := versions{session: s, env: &o.env, target: target{resolved, object.name}, uid: o.uid}
		v.namespaces = v.target.namespaces(s.namespace)
		if o.revision != "" {
			shown, err = o.runRevisions(ctx, &v)
		} else {
			shown, err = o.runAll(ctx, &v)
		}
		return err
	})
	if err == nil && o.exitCode && shown > 0 {
		return foundError{}
	}
	return err
}

// runAll shows all versions of the window.
func (o *historyOptions) runAll(ctx context.Context, v *versions) (shown int, err error) {
	found, err := v.newest(ctx, v.queries(o.isLean() && o.diff == ""), &o.window)
	if err != nil {
		return 0, err
	}
	p := o.printer(&o.env, false, o.showNoise)
	if len(found.events) == 0 {
		return 0, o.showNothing(ctx, v, p, found)
	}
	visible := o.visible(found.events, o.showNoise)
	if o.diff != "" {
		err = o.showDiffs(ctx, v, visible, found.events)
	} else {
		err = o.write(&o.env, p, visible, found.gaps, p.History)
	}
	if err != nil {
		return 0, err
	}
	o.env.note(found.cutNote("versions"))
	o.env.note(hiddenNote(len(found.events)-len(visible), "version"))
	if o.diff == "" {
		o.env.note(o.whoNote(visible))
	}
	found.covered.note(&o.question, false)
	o.env.note(v.target.scopeNote(visible))
	o.env.note(found.ignored.note())
	o.env.note(gapsNote(found.gaps, false, o.hides()))
	return len(visible), nil
}

// showNothing answers for an object without versions in the window.
func (o *historyOptions) showNothing(ctx context.Context, v *versions, p *render.Printer, found *answer) error {
	if err := o.showBlind(found.gaps, p.History, o.hides()); err != nil {
		return err
	}
	found.covered.note(&o.question, true)
	o.env.note(found.ignored.note())
	if err := v.unchanged(ctx, &o.env, v.target, o.uid, &o.window); err != nil || o.isTable() {
		return err
	}
	return o.write(&o.env, p, found.events, nil, p.History)
}

// hides is that of [output], and --diff, which shows no gaps either.
func (o *historyOptions) hides() string {
	if o.diff != "" {
		return "--diff"
	}
	return o.output.hides()
}
