package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// whyOptions are the options of why, which shows what may have caused an
// object's problem.
type whyOptions struct {
	*connection
	output

	at    moment
	limit int

	time time.Time // that is shown; zero means now
}

func newWhy(conn *connection) *cobra.Command {
	o := &whyOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "why (TYPE NAME | TYPE/NAME)",
		Short: "Show what is wrong with an object, and the changes that may have caused it",
		Long: paragraphs(`
			Show what is wrong with an object and with what it owns, since when, and the changes that
			may have caused it, the likeliest first.

			Candidates are changes that a person, a program or a node made before the problem began: of
			the object, of what it uses and of what selects it, and others in its namespace shortly
			before. They are ordered by how near they are, how long before the problem they happened,
			whether such a change can cause such a problem, who made them, and how rare they are. None
			of them is known to be the cause.`),
		Example: examples(conn.env, `
			# Why does this Deployment not become ready?
			watchhistory why deploy/web -n shop

			# Why did it fail last night?
			watchhistory why deploy web -n shop --at 2026-03-01T03:10:00Z`),
		Args:              oneObject,
		ValidArgsFunction: conn.completeOne,
		RunE:              runE(o),
	}
	fs := cmd.Flags()
	o.at.addFlag(fs, "at", "Show the problem at a time")
	fs.IntVar(&o.limit, "limit", defaultCauses, "Show at most this many changes, the likeliest.")
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
func (o *whyOptions) read(ctx context.Context, s *session, sub subject) (page *client.WhyPage, err error) {
	for _, namespace := range sub.namespaces(s.namespace) {
		page, err = s.Why(ctx, client.WhyQuery{
			At: o.time, Namespace: namespace, Resource: sub.resourceArg(), Name: sub.name, Limit: o.limit,
		})
		if history.CodeOf(err) != history.NotFound {
			return page, err
		}
	}
	if known, knownErr := s.hasHistory(ctx, sub, ""); knownErr == nil && !known {
		return nil, s.noHistory(ctx, &o.env, sub, "")
	}
	return nil, err
}

// show writes the answer in the format of --output.
func (o *whyOptions) show(ctx context.Context, s *session, sub subject) error {
	page, err := o.read(ctx, s, sub)
	if err != nil {
		return err
	}
	p := o.printer(&o.env, false, false)
	switch o.format {
	case "", "wide":
		err = p.Why(&page.Why)
	case "json":
		err = p.JSON(&page.Why)
	case "yaml":
		err = p.YAML(&page.Why)
	default:
		err = o.writeTemplate(&o.env, &page.Why)
	}
	if err != nil {
		return err
	}
	o.notePage(&page.Page)
	return nil
}
