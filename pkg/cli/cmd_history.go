package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// The values of --diff.
const (
	diffStructural = "structural"
	diffUnified    = "unified"
)

// historyOptions are the options of history, which shows the versions of one
// object.
type historyOptions struct {
	queryOptions

	diff      string // "" means no diff
	revision  string
	uid       string
	all       bool // also versions that follow from other changes
	showNoise bool
	exitCode  bool

	revisions revisions // of revision
}

func newHistory(conn *connection) *cobra.Command {
	o := &historyOptions{queryOptions: queryOptions{connection: conn}}
	cmd := &cobra.Command{
		Use:   "history (TYPE NAME | TYPE/NAME)",
		Short: "Show the versions of one object",
		Long: paragraphs(`
			Show the versions of one object as git log shows commits, newest first: when, who changed it,
			and what. Deleted objects, and earlier objects with the same name, keep their history.

			Below each change is how it ended, and how many versions followed from it. After it is the
			release that made it.

			Versions that only follow from other changes are left out: those of the status, and of
			bookkeeping. --all shows them. If there are no others, as for most pods, all are shown, and
			-o wide always shows all.

			Revisions are numbered from 1 for each object. Its UID distinguishes it from others with the
			same name. --revision selects revisions of the newest object, or of the one with --uid.

			With --revision, the formats json, yaml and templates print the object itself as it was, or a
			v1 List of several objects, newest first. kubectl can apply it. Without --revision, they
			print the records of all versions as the REST API returns them.

			A line across the table shows when and why the recorder could not observe objects of that
			type. Versions may be missing there.`),
		Example: examples(conn.env, `
			# Who changed a Deployment, when and how
			watchhistory history deploy/web -n shop

			# The same with the diffs
			watchhistory history deploy/web -n shop -p

			# Every version, with its status
			watchhistory history deploy/web -n shop --all

			# What the second to last change was
			watchhistory history deploy web -n shop --diff --revision -2

			# What changed from one version to another
			watchhistory history deploy/web -n shop --diff --revision 2..5

			# The object as it was in revision 14, and yesterday evening
			watchhistory history deploy/web -n shop --revision 14 -o yaml
			watchhistory history 'deploy/web@yesterday 18:00' -n shop -o yaml

			# Restore that version
			watchhistory history deploy/web -n shop --revision 14 -o yaml | kubectl apply -f -`),
		Args:              oneObject,
		ValidArgsFunction: conn.completeOne,
		RunE:              runE(o),
	}
	o.window.addFlags(cmd.Flags(), "versions")
	o.output.addFlags(cmd)
	o.addFlags(cmd)
	return cmd
}

// addFlags adds the flags of history itself, with their completions.
func (o *historyOptions) addFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	addDiffFlag(cmd, &o.diff, "p", "")
	fs.StringVar(&o.revision, "revision", "",
		"Only show this revision, such as 14; -1 is the newest, -2 the one before, 2..5 is a range.")
	fs.BoolVar(&o.all, "all", false,
		"Also show versions that only follow from other changes, such as those of the status.")
	fs.StringVar(&o.uid, "uid", "", "Only show the object with this UID.")
	addNoiseFlag(cmd, &o.showNoise)
	addExitCodeFlag(cmd, &o.exitCode)
	_ = cmd.RegisterFlagCompletionFunc("revision", o.completeRevisions)
	_ = cmd.RegisterFlagCompletionFunc("uid", o.completeUIDs)
}

// complete parses --revision and the shared flags.
func (o *historyOptions) complete() (err error) {
	if o.revision != "" {
		if o.revisions, err = parseRevisions(o.revision); err != nil {
			return err
		}
	}
	return o.queryOptions.complete()
}

// validate rejects flags that contradict each other. --revision selects
// versions by number, so it excludes a window.
func (o *historyOptions) validate() error {
	if err := validateDiff(o.diff); err != nil {
		return err
	}
	switch {
	case o.diff != "" && o.format != "":
		return invalidf("--diff and --output %s can't be combined", o.format)
	case o.revision != "" && o.isSet():
		return invalidf("--revision can't be combined with --since, --since-time or --until")
	}
	return o.queryOptions.validate()
}

// run writes the versions of the object, or the diffs between them. With
// --exit-code, it returns [errFound] if it wrote any.
//
// --revision selects versions by number. Without it, the window selects them.
func (o *historyOptions) run(ctx context.Context, args []string) error {
	object, err := parseObject(args)
	if err != nil {
		return err
	}
	shown := 0
	err = o.withSession(ctx, func(s *session) error {
		resolved, err := s.types.resolve(ctx, object.kind)
		if err != nil {
			return err
		}
		v := newVersions(s, &o.env, subject{resolved, object.name}, o.uid)
		if err := o.selectVersion(ctx, v, &object.ref); err != nil {
			return err
		}
		if o.revision != "" {
			shown, err = o.runRevisions(ctx, v)
		} else {
			shown, err = o.runAll(ctx, v)
		}
		return err
	})
	if err == nil && o.exitCode && shown > 0 {
		return errFound
	}
	return err
}

// selectVersion selects the version of a reference, as --revision does.
func (o *historyOptions) selectVersion(ctx context.Context, v *versions, ref *reference) error {
	switch {
	case !ref.isSet():
		return nil
	case o.revision != "" || o.isSet():
		return withAdvice("Leave out one of them.", "a revision or a time after the name can't be combined "+
			"with --revision, --since, --since-time or --until")
	}
	if err := o.resolveMoments(ctx, v.session, o.location, &ref.at); err != nil {
		return err
	}
	e, err := v.version(ctx, ref)
	if err != nil {
		return err
	}
	o.revision = fmt.Sprint(e.Revision)
	o.revisions, err = parseRevisions(o.revision)
	return err
}

// runAll writes all versions of the window, and returns their number. Bodies
// are requested only if --diff or the format needs them.
func (o *historyOptions) runAll(ctx context.Context, v *versions) (shown int, err error) {
	found, hidden, err := o.read(ctx, v)
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
		err = o.write(&o.env, p, visible, found.gaps, o.table(p))
	}
	if err != nil {
		return 0, err
	}
	o.env.note(found.cutNote("versions"))
	o.env.note(hidden)
	o.env.note(hiddenNote(len(found.events)-len(visible), "version"))
	if o.diff == "" {
		o.env.note(o.whoNote(visible))
	}
	found.coverage.note(&o.queryOptions, false)
	o.env.note(v.subject.scopeNote(visible))
	o.env.note(found.ignored.note())
	o.env.note(gapsNote(len(found.gaps), false, o.hidesGaps()))
	return len(visible), nil
}

// selectsRoots reports whether versions that follow from other changes are left
// out.
func (o *historyOptions) selectsRoots() bool { return o.format == "" && !o.all && !o.showNoise }

// read reads the versions of the window, and returns a note about those that it
// leaves out. If all of them follow from other changes, it reads all.
func (o *historyOptions) read(ctx context.Context, v *versions) (found *result, hidden string, err error) {
	queries := v.queries(o.isLean() && o.diff == "")
	for i := range queries {
		queries[i].Outcome = o.readsEndings()
	}
	if !o.selectsRoots() {
		found, err = v.newest(ctx, queries, &o.window)
		return found, "", err
	}
	total := 0
	roots := slices.Clone(queries)
	for i := range roots {
		roots[i].Classes = []history.Class{history.Root}
		q := queries[i]
		q.Start, q.End, q.Limit, q.Summary, q.Outcome = o.start, o.end, 1, true, false
		page, err := v.Events(ctx, q)
		if err != nil {
			return nil, "", err
		}
		total += page.Total
	}
	if found, err = v.newest(ctx, roots, &o.window); err != nil {
		return nil, "", err
	}
	for _, n := range found.matches {
		total -= n
	}
	switch {
	case total <= 0:
		return found, "", nil
	case len(found.events) > 0:
		return found, fmt.Sprintf("%s that only %s from other changes %s hidden; --all lists %s",
			plural(total, "version"), follow(total), are(total), them(total)), nil
	default:
		found, err = v.newest(ctx, queries, &o.window)
		return found, "", err
	}
}

// table returns the table of the output.
func (o *historyOptions) table(p *render.Printer) table {
	if o.isLog() {
		return p.Log
	}
	return p.History
}

// isLog reports whether the output is a log.
func (o *historyOptions) isLog() bool { return o.format == "" && o.diff == "" }

// readsEndings reports whether the output has how root changes ended.
func (o *historyOptions) readsEndings() bool { return o.isLog() || !o.isLean() }

// showNothing writes the notes and, for programs, the empty document of an
// object without versions in the window. It fails if the object has no history
// at all.
func (o *historyOptions) showNothing(ctx context.Context, v *versions, p *render.Printer, found *result) error {
	if err := o.writeGapsOnly(found.gaps, p.History, o.hidesGaps()); err != nil {
		return err
	}
	found.coverage.note(&o.queryOptions, true)
	o.env.note(found.ignored.note())
	if err := v.noteUnchanged(ctx, &o.env, v.subject, o.uid, &o.window, false); err != nil || o.isTable() {
		return err
	}
	return o.write(&o.env, p, found.events, nil, p.History)
}

// hidesGaps is [output.hidesGaps], but with --diff it returns that flag: diffs
// have no gap rows either.
func (o *historyOptions) hidesGaps() string {
	if o.diff != "" {
		return "--diff"
	}
	return o.output.hidesGaps()
}
