package cli

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// getOptions are those of get: the timeline.
type getOptions struct {
	question

	allNamespaces bool
	showNoise     bool
	exitCode      bool
}

func newGet(conn *connection) *cobra.Command {
	o := &getOptions{question: question{connection: conn}}
	cmd := &cobra.Command{
		Use:   "get [TYPE[,TYPE ...] [NAME ...] | TYPE/NAME ...]",
		Short: "Show the timeline: every recorded change of a namespace, of some types or of all",
		Long: paragraphs(`
			Show the timeline: every recorded change of a namespace, of some types or of all, the
			newest at the bottom.

			Types and names are given as to kubectl: deploy, deployments.apps, pods,svc, all, deploy web
			or deploy/web. Deleted objects and removed types keep their history.

			The formats for programs print the records as the REST API returns them. To get an object
			itself as it was, use history with --revision.

			A line across the table says of which types, when and why the recorder could not see
			changes: some may be missing there.`),
		Example: examples(conn.env, `
			# What happened in the namespace shop within the last 15 minutes
			watchhistory get -n shop --since 15m

			# What happened to pods and services, in all namespaces
			watchhistory get pods,svc -A

			# All changes of one Deployment and one ConfigMap, as JSON
			watchhistory get deploy/web configmap/web -n shop --limit=0 -o json`),
		ValidArgsFunction: conn.completeMany,
		RunE:              inSteps(o),
	}
	o.window.addFlags(cmd.Flags(), "changes")
	o.output.addFlags(cmd)
	cmd.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Show all namespaces, and what belongs to none.")
	addNoise(cmd, &o.showNoise)
	addExitCode(cmd, &o.exitCode)
	return cmd
}

func addNoise(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "show-noise", false, "Show also what is nothing but noise: heartbeats, counters of the server and the like.")
}

func addExitCode(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "exit-code", false, "Exit with 0 if nothing changed, 1 if something did, 2 on errors, as diff does.")
}

func (o *getOptions) run(ctx context.Context, args []string) error {
	shown := 0
	err := o.with(ctx, func(s *session) error {
		if o.allNamespaces {
			s.namespace = history.AllNamespaces
		}
		targets, err := s.targets(ctx, args)
		if err != nil {
			return err
		}
		found, err := s.newest(ctx, o.queries(s, targets), &o.window)
		if err != nil {
			return err
		}
		if shown, err = o.show(s, targets, found); err != nil {
			return err
		}
		return o.reportMissing(ctx, s, targets, found)
	})
	if err == nil && o.exitCode && shown > 0 {
		return foundError{}
	}
	return err
}

// targets resolves the types of the arguments, each target once. Either all of them have a name, or none.
func (s *session) targets(ctx context.Context, args []string) ([]target, error) {
	all, err := parseMany(args)
	if err != nil {
		return nil, err
	}
	var targets []target
	for _, p := range all {
		types, err := s.typesOf(ctx, p)
		if err != nil {
			return nil, err
		}
		for _, t := range types {
			if named := (target{t, p.name}); !slices.Contains(targets, named) {
				targets = append(targets, named)
			}
		}
	}
	return targets, nil
}

// typesOf returns the type of an argument, or those of a category.
func (s *session) typesOf(ctx context.Context, p parsed) ([]resourceType, error) {
	if types := s.types.category(p.kind); len(types) > 0 {
		if p.name != "" {
			return nil, invalidf("%q is a category of several types: give the type of %q", p.kind, p.name)
		}
		return types, nil
	}
	t, err := s.types.resolve(ctx, p.kind)
	return []resourceType{t}, err
}

// queries returns one query for each namespace of each named target, in their order, or as few as possible for the types.
func (o *getOptions) queries(s *session, targets []target) []client.EventsQuery {
	if len(targets) == 0 {
		return []client.EventsQuery{{Namespace: s.namespace, Summary: o.isLean()}}
	}
	var queries []client.EventsQuery
	types := map[history.NamespaceScope][]string{}
	for _, t := range targets {
		for _, namespace := range t.namespaces(s.namespace) {
			if t.name == "" {
				types[namespace] = append(types[namespace], t.wire())
				continue
			}
			queries = append(queries, client.EventsQuery{Namespace: namespace, Resources: []string{t.wire()}, Name: t.name, Summary: o.isLean()})
		}
	}
	for _, namespace := range []history.NamespaceScope{s.namespace, history.ClusterScoped} {
		if len(types[namespace]) > 0 {
			queries = append(queries, client.EventsQuery{Namespace: namespace, Resources: types[namespace], Summary: o.isLean()})
		}
	}
	return queries
}

// show writes the timeline, oldest first, and what is to be said about it.
func (o *getOptions) show(s *session, targets []target, found *answer) (shown int, err error) {
	slices.Reverse(found.events)
	visible := o.visible(found.events, o.showNoise)
	p := o.printer(&o.env, o.allNamespaces, o.showNoise)
	if err := o.write(&o.env, p, visible, found.gaps, p.Timeline); err != nil {
		return 0, err
	}
	o.env.note(found.cutNote("changes"))
	o.env.note(hiddenNote(len(found.events)-len(visible), "change"))
	o.env.note(o.whoNote(visible))
	for _, t := range targets {
		o.env.note(t.scopeNote(visible))
	}
	if len(found.events) == 0 && (len(targets) == 0 || targets[0].name == "") {
		namespace := s.namespace
		if len(targets) > 0 && !slices.ContainsFunc(targets, func(t target) bool { return t.Namespaced }) {
			namespace = history.ClusterScoped
		}
		o.env.note("No history found" + in(namespace) + ".")
	}
	found.covered.note(&o.question, len(found.events) == 0)
	o.env.note(found.ignored.note())
	o.env.note(gapsNote(found.gaps, len(found.events) == 0, o.hides()))
	return len(visible), nil
}

// reportMissing notes which named targets did not change, and warns of types that nobody records. Its error is about the
// first named target without any history.
func (o *getOptions) reportMissing(ctx context.Context, s *session, targets []target, found *answer) error {
	matches := found.matches
	for _, t := range targets {
		none := true
		if t.name != "" {
			for range t.namespaces(s.namespace) {
				none, matches = none && matches[0] == 0, matches[1:]
			}
		}
		if t.name != "" && none {
			if err := s.unchanged(ctx, &o.env, t, "", &o.window); err != nil {
				return err
			}
		}
		if t.name == "" && len(found.events) == 0 {
			if recorded, err := s.types.known(ctx, t.wire()); err == nil && !recorded {
				s.types.warnf("the recorder does not record %s", t.GroupResource())
			} else if reason := s.unrecorded(ctx, t); reason != "" {
				s.types.warnf("the recorder does not record %s: %s", t.GroupResource(), reason)
			}
		}
	}
	return nil
}
