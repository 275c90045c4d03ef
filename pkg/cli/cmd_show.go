package cli

import (
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// The default of --around, and the largest number of rows around a version.
const (
	defaultAround = time.Minute
	maxAround     = 50
)

// showOptions are the options of show, which shows one version of an object.
type showOptions struct {
	*connection
	output

	diff      string
	uid       string
	around    time.Duration
	showNoise bool
}

func newShow(conn *connection) *cobra.Command {
	o := &showOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "show (TYPE NAME | TYPE/NAME)[#REVISION | @TIME]",
		Short: "Show one version of an object, and what else changed around it",
		Long: paragraphs(`
			Show one version of an object as git show shows a commit: who changed the object, when, what
			changed since the previous version, the release that made the change, how it ended, and what
			else changed in its namespace within a minute. The release is that of Helm, Argo CD or Flux,
			or the change-cause.

			#14 is a revision, #-1 the newest one and #-2 the one before. @12:30 is the version that the
			object had at a time. Without either, the newest version is shown.

			A root change is one that a person, a program or a node caused. A consequence follows from
			another change: of a status, or of an object that a controller owns.

			The formats json, yaml and templates print the object itself as it was. kubectl can apply
			it.`),
		Example: examples(conn.env, `
			# The newest change of a Deployment
			watchhistory show deploy/web -n shop

			# The change before, and the version that was there at 12:30
			watchhistory show deploy/web#-2 -n shop
			watchhistory show deploy/web@12:30 -n shop

			# What else changed within 10 minutes
			watchhistory show deploy/web#8 -n shop --around 10m

			# The object as it was
			watchhistory show deploy/web#8 -n shop -o yaml`),
		Args:              oneObject,
		ValidArgsFunction: conn.completeOne,
		RunE:              runE(o),
	}
	o.output.addFlags(cmd)
	addDiffFlag(cmd, &o.diff, "", diffStructural)
	cmd.Flags().DurationVar(&o.around, "around", defaultAround,
		"Show what else changed within this time before and after. 0 shows nothing else.")
	cmd.Flags().StringVar(&o.uid, "uid", "", "Only show the object with this UID.")
	addNoiseFlag(cmd, &o.showNoise)
	_ = cmd.RegisterFlagCompletionFunc("uid", conn.completeUIDs)
	return cmd
}

// complete parses the flags.
func (o *showOptions) complete() error { return o.output.complete() }

// validate rejects invalid flags.
func (o *showOptions) validate() error {
	if err := validateDiff(o.diff); err != nil {
		return err
	}
	if o.around < 0 {
		return invalidf("--around %s: want 0 or more", o.around)
	}
	return o.output.validate()
}

// run writes the version of the object.
func (o *showOptions) run(ctx context.Context, args []string) error {
	object, err := parseObject(args)
	if err != nil {
		return err
	}
	return o.withSession(ctx, func(s *session) error {
		resolved, err := s.types.resolve(ctx, object.kind)
		if err != nil {
			return err
		}
		if err := o.resolveMoments(ctx, s, o.location, &object.ref.at); err != nil {
			return err
		}
		v := newVersions(s, &o.env, subject{resolved, object.name}, o.uid)
		e, err := v.version(ctx, &object.ref)
		if err != nil {
			return err
		}
		if o.isTable() {
			return o.show(ctx, v, e)
		}
		o.objects = true
		if err := o.write(&o.env, o.printer(&o.env, false, false), []v1.Event{*e}, nil, nil); err != nil {
			return err
		}
		if !o.isLean() {
			v.warnOfHashes([]v1.Event{*e})
		}
		return nil
	})
}

// show writes the head of a version, its diff to the previous one, and what
// else changed around it.
func (o *showOptions) show(ctx context.Context, v *versions, e *v1.Event) error {
	previous, err := v.previous(ctx, e)
	if err != nil {
		return err
	}
	start, end := e.Timestamp.Add(-o.around), e.Timestamp.Add(o.around)
	var rows []v1.Row
	more := false
	if o.around > 0 {
		page, err := v.Folded(ctx, client.EventsQuery{
			Start: start, End: end.Add(1), Namespace: history.ScopeOf(e.Namespace), Limit: maxAround,
		})
		if err != nil {
			return err
		}
		rows, more = page.Rows, page.HasMore
	}
	if err := v.readEnding(ctx, e); err != nil {
		return err
	}
	gaps, err := v.gapsBetween(ctx, previous, e)
	if err != nil {
		return err
	}
	p := o.printer(&o.env, false, o.showNoise)
	if err := p.Version(e); err != nil {
		return err
	}
	if err := o.writeDiff(p, previous, e); err != nil {
		return err
	}
	place := e.Namespace
	if place == "" {
		place = "the cluster scope"
	}
	if err := p.Around(place, start, end, others(rows, e)); err != nil {
		return err
	}
	if more {
		o.env.note("More changed around it: a smaller --around shows less, and get shows all.")
	}
	o.env.note(gapsNote(len(gaps), true, ""))
	return nil
}

// writeDiff writes the diff of a version to the previous one, and a note if
// there is none.
func (o *showOptions) writeDiff(p *render.Printer, previous, e *v1.Event) error {
	if previous == nil {
		if e.Revision > 1 {
			o.env.note("The previous version is not kept: there is no diff.")
		}
		return nil
	}
	if err := p.Line(""); err != nil {
		return err
	}
	d := diffWriter{env: &o.env, printer: p, unified: o.diff == diffUnified, bare: true}
	if err := d.write(previous, e); err != nil {
		return err
	}
	d.noteHidden()
	return nil
}

// others returns the rows without a version, and the other changes of its row.
func others(rows []v1.Row, e *v1.Event) []v1.Row {
	is := func(c v1.Event) bool { return c.UID == e.UID && c.Revision == e.Revision }
	return slices.DeleteFunc(slices.Clone(rows), func(r v1.Row) bool {
		return len(r.Changes) == 1 && is(r.Changes[0])
	})
}

// readEnding reads how a root change ended, and the release that made it.
func (v *versions) readEnding(ctx context.Context, e *v1.Event) error {
	if e.Class != v1.ClassRoot {
		return nil
	}
	page, err := v.Events(ctx, client.EventsQuery{
		Start: e.Timestamp, Namespace: history.ScopeOf(e.Namespace), Resources: []string{v.subject.resourceArg()},
		Name: e.ResourceName, UID: e.UID, Limit: 1, Summary: true, Outcome: true,
	})
	if err == nil && len(page.Events) > 0 && page.Events[0].Revision == e.Revision {
		same := &page.Events[0]
		e.Outcome, e.Delivery, e.Consequences = same.Outcome, same.Delivery, same.Consequences
	}
	return err
}

// previous returns the version before another one of the same incarnation, or
// nil if there is none.
func (v *versions) previous(ctx context.Context, e *v1.Event) (*v1.Event, error) {
	if e.Revision < 2 {
		return nil, nil
	}
	found, err := v.exactly(ctx, history.ScopeOf(e.Namespace), e.UID, e.Revision-1)
	return found[e.Revision-1], err
}
