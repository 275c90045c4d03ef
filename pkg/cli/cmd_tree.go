package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// treeOptions are the options of tree, which shows the relations of an object.
type treeOptions struct {
	*connection
	output

	at    moment
	depth int

	time time.Time // that is shown; zero means now
}

func newTree(conn *connection) *cobra.Command {
	o := &treeOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "tree (TYPE NAME | TYPE/NAME)",
		Short: "Show what an object uses and what uses it, at any time",
		Long: paragraphs(`
			Show the owners of an object, everything that it owns, what it uses and what uses it, now
			or at an earlier time: the ConfigMaps, Secrets, volumes and nodes of pods, the Services and policies that
			select them, and what Ingresses, autoscalers, bindings and webhooks refer to.

			MISSING marks an object that did not exist at the time, although another one names it. If
			an object is not known, its type was not recorded or you may not read it.

			What leads to an owned object leads to the object: a Deployment is used by the Services
			that select its pods. --depth adds the relations of other objects. -o wide adds the fields
			that have the names.`),
		Example: examples(conn.env, `
			# Who uses this ConfigMap?
			watchhistory tree cm/web-config -n shop

			# What belonged to a Deployment before the incident
			watchhistory tree deploy/web -n shop --at 2026-03-01T10:00:00Z

			# Dangling references of a Deployment an hour ago
			watchhistory tree deploy web -n shop --at 1h -o json | jq '.objects[] | select(.state == "missing")'`),
		Args:              oneObject,
		ValidArgsFunction: conn.completeOne,
		RunE:              runE(o),
	}
	fs := cmd.Flags()
	o.at.addFlag(fs, "Show the relations at a time")
	fs.IntVar(&o.depth, "depth", 1, "Show relations up to this distance from the object, at most 5.")
	o.addFormatFlags(cmd)
	return cmd
}

// complete parses the flags.
func (o *treeOptions) complete() error {
	if err := o.output.complete(); err != nil {
		return err
	}
	return o.at.complete(o.env.Now().In(o.location))
}

// validate rejects invalid flags.
func (o *treeOptions) validate() error {
	if o.depth < 1 || o.depth > v1.MaxDepth {
		return invalidf("--depth %d: want a number from 1 to %d", o.depth, v1.MaxDepth)
	}
	return o.output.validate()
}

// run writes the relations of the object, and notes about missing ones.
func (o *treeOptions) run(ctx context.Context, args []string) error {
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

// read reads the relations from the first namespace that has the object.
func (o *treeOptions) read(ctx context.Context, s *session, sub subject) (*client.RelationsPage, error) {
	return firstFound(ctx, s, &o.env, sub, func(namespace history.NamespaceScope) (*client.RelationsPage, error) {
		return s.Relations(ctx, client.RelationsQuery{
			At: o.time, Namespace: namespace, Resource: sub.resourceArg(), Name: sub.name, Depth: o.depth,
		})
	})
}

// firstFound returns the answer about an object in the first of its namespaces
// that has one. If there is none, the error explains what is recorded.
func firstFound[A any](
	ctx context.Context, s *session, env *Environment, sub subject, ask func(history.NamespaceScope) (*A, error),
) (answer *A, err error) {
	for _, namespace := range sub.namespaces(s.namespace) {
		if answer, err = ask(namespace); history.CodeOf(err) != history.NotFound {
			return answer, err
		}
	}
	if known, knownErr := s.hasHistory(ctx, sub, ""); knownErr == nil && !known {
		return nil, s.noHistory(ctx, env, sub, "")
	}
	return nil, err
}

// show writes the relations in the format of --output.
func (o *treeOptions) show(ctx context.Context, s *session, sub subject) error {
	page, err := o.read(ctx, s, sub)
	if err != nil {
		return err
	}
	p := o.printer(&o.env, false, false)
	switch o.format {
	case "", "wide":
		err = p.Tree(&page.RelationGraph)
	case "name":
		err = p.RelatedNames(&page.RelationGraph)
	case "json":
		err = p.JSON(&page.RelationGraph)
	case "yaml":
		err = p.YAML(&page.RelationGraph)
	default:
		err = o.writeTemplate(&o.env, &page.RelationGraph)
	}
	if err != nil {
		return err
	}
	if !page.TotalExact {
		o.env.note("Only a part of the relations is shown: there are too many objects to search all of them.")
	}
	o.notePage(&page.Page)
	return nil
}
