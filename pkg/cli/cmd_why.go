package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/report"
)

// whyOptions are the options of why, which shows what may have caused an
// object's problem.
type whyOptions struct {
	*connection
	output

	at            moment
	limit         int
	allNamespaces bool

	time time.Time // that is shown; zero means now
}

func newWhy(conn *connection) *cobra.Command {
	o := &whyOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "why [TYPE NAME | TYPE/NAME]",
		Short: "Show what is wrong with an object or in a namespace, and the changes that may have caused it",
		Long: paragraphs(`
			Show what is wrong with an object and with what it owns, since when, and the changes that
			may have caused it, the likeliest first. Without an object, show the same of each object of
			the namespace that a change within the last day broke, or that has a problem since then.

			Candidates are changes that a person, a program or a node made before the problem began: of
			the object, of what it uses and of what selects it, and others in its namespace shortly
			before. They are ordered by how near they are, how long before the problem they happened,
			whether such a change can cause such a problem, who made them, and how rare they are. None
			of them is known to be the cause.`),
		Example: examples(conn.env, `
			# What is wrong in the namespace shop?
			watchhistory why -n shop

			# What is wrong in the cluster?
			watchhistory why -A

			# Why does this Deployment not become ready?
			watchhistory why deploy/web -n shop

			# Why did it fail last night?
			watchhistory why deploy web -n shop --at 2026-03-01T03:10:00Z`),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return oneObject(cmd, args)
		},
		ValidArgsFunction: conn.completeOne,
		RunE:              runE(o),
	}
	fs := cmd.Flags()
	o.at.addFlag(fs, "Show the problem at a time")
	fs.IntVar(&o.limit, "limit", defaultCauses, "Show at most this many changes, the likeliest.")
	fs.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Show what is wrong in all namespaces.")
	o.addFormatFlags(cmd)
	return cmd
}

// defaultCauses is the default number of changes that why shows.
const defaultCauses = 3

// complete parses the flags.
func (o *whyOptions) complete() error {
	if err := o.output.complete(); err != nil {
		return err
	}
	return o.at.complete(o.env.Now().In(o.location))
}

// validate rejects invalid flags.
func (o *whyOptions) validate() error {
	if o.limit < 1 {
		return invalidf("--limit %d: want 1 or more", o.limit)
	}
	return o.output.validate()
}

// run writes what is wrong with the object and what may have caused it, and
// notes about what is not recorded.
func (o *whyOptions) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return o.withSession(ctx, func(s *session) error {
			if o.allNamespaces {
				s.namespace = history.AllNamespaces
			}
			return o.runNamespace(ctx, s)
		})
	}
	if o.allNamespaces {
		return invalidf("--all-namespaces can't be combined with an object")
	}
	object, err := parseObject(args)
	if err != nil {
		return err
	}
	return o.withSession(ctx, func(s *session) error {
		resolved, err := s.types.resolve(ctx, object.kind)
		if err != nil {
			return err
		}
		sub := subject{resolved, object.name}
		if o.time, err = o.resolveAt(ctx, s, o.location, sub, &object.ref, &o.at); err != nil {
			return err
		}
		return o.show(ctx, s, sub)
	})
}

// read reads the answer from the first namespace that has the object.
func (o *whyOptions) read(ctx context.Context, s *session, sub subject) (*client.WhyPage, error) {
	return firstFound(ctx, s, &o.env, sub, func(namespace history.NamespaceScope) (*client.WhyPage, error) {
		return s.Why(ctx, client.WhyQuery{
			At: o.time, Namespace: namespace, Resource: sub.resourceArg(), Name: sub.name, Limit: o.limit,
		})
	})
}

// show writes the answer in the format of --output.
func (o *whyOptions) show(ctx context.Context, s *session, sub subject) error {
	page, err := o.read(ctx, s, sub)
	if history.CodeOf(err) == history.NotFound && o.time.IsZero() {
		return o.withDeletion(ctx, s, sub, err)
	}
	if err != nil {
		return err
	}
	if err := o.writeAll(&o.env, false, []v1.Why{page.Why}, &page.Why); err != nil {
		return err
	}
	o.notePage(&page.Page)
	return nil
}

// withDeletion adds to the error about an object that does not exist when it
// was deleted, and how to ask about the time before.
func (o *whyOptions) withDeletion(ctx context.Context, s *session, sub subject, notFound error) error {
	newest, err := s.newestVersions(ctx, sub, "", 1)
	if err != nil || len(newest) == 0 || newest[0].Verb != "delete" {
		return notFound
	}
	namespace := sub.namespaceOf(s.namespace)
	at := clock(newest[0].Timestamp.In(o.location), o.env.recorderNow().In(o.location))
	return history.WithHint(history.Errorf(history.NotFound, "%s%s was deleted at %s", sub, in(namespace), at),
		"'"+o.env.command("why "+sub.GroupResource().String()+"/"+sub.name+"#-2"+namespaceFlag(namespace))+
			"' shows what was wrong with it before.")
}

// writeAll writes answers as text, or the document in the format of --output.
// namespaces adds their namespaces to the text.
func (o *whyOptions) writeAll(env *Environment, namespaces bool, answers []v1.Why, document any) error {
	p := o.printer(env, namespaces, false)
	switch o.format {
	case "", "wide":
		for i := range answers {
			if i > 0 {
				_, _ = fmt.Fprintln(env.Out)
			}
			if err := p.Why(&answers[i]); err != nil {
				return err
			}
		}
		return nil
	case "name":
		objects := make([]v1.Event, len(answers))
		for i := range answers {
			of := &answers[i].Object
			objects[i] = v1.Event{
				Group: of.Group, ResourceType: of.ResourceType, Kind: of.Kind,
				Namespace: of.Namespace, ResourceName: of.Name,
			}
		}
		return p.Names(objects)
	case "json":
		return p.JSON(document)
	case "yaml":
		return p.YAML(document)
	default:
		return o.writeTemplate(env, document)
	}
}

// Limits of the answer about a namespace.
const (
	unhealthySince = 24 * time.Hour // before the time of the question
	maxUnhealthy   = 5              // objects
)

// runNamespace writes the answers about the objects of the namespace that have
// a problem.
func (o *whyOptions) runNamespace(ctx context.Context, s *session) error {
	if err := o.resolveMoments(ctx, s, o.location, &o.at); err != nil {
		return err
	}
	end := o.at.time
	if end.IsZero() {
		end = o.env.recorderNow()
	}
	w := window{start: end.Add(-unhealthySince), end: o.at.time, limit: defaultLimit, chunkSize: defaultChunkSize}
	found, err := s.newestRows(ctx, []client.EventsQuery{{Namespace: s.namespace}}, &w)
	if err != nil {
		return err
	}
	answers, more, err := report.Unhealthy(ctx, s.Client, found.rows, report.UnhealthyQuery{
		Namespace: s.namespace, At: o.at.time, Causes: o.limit, Limit: maxUnhealthy,
	})
	if err != nil {
		return err
	}
	all := s.namespace == history.AllNamespaces
	if err := o.writeAll(&o.env, all, answers, map[string]any{"items": answers}); err != nil {
		return err
	}
	found.coverage.note(&queryOptions{connection: o.connection, window: w, output: o.output}, len(found.rows) == 0)
	o.env.note(found.ignored.note())
	o.env.note(gapsNote(len(found.gaps), true, ""))
	switch {
	case len(answers) == 0:
		o.env.note(o.soundNote(s, &found.coverage, w.start, end))
	case more:
		o.env.note(fmt.Sprintf("Only %d objects are shown; there may be more with a problem.", len(answers)))
	}
	return nil
}

// soundNote returns the note that nothing is wrong in the namespace, as far as
// it is recorded and the user may read it.
func (o *whyOptions) soundNote(s *session, found *coverage, start, end time.Time) string {
	if found.restricted {
		return "No problem found in what you may read" + in(s.namespace) + "."
	}
	if found.since.After(start) {
		start = found.since
	}
	return "Nothing is wrong" + in(s.namespace) + ", as far as it is recorded since " +
		clock(start.In(o.location), end.In(o.location)) + "."
}
