package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// getOptions are the options of get, which shows a timeline.
type getOptions struct {
	queryOptions

	selector      string // a label selector
	fieldSelector string
	query         string   // a CEL expression
	who           []string // writers; "!" excludes one
	grep          string   // a text
	allNamespaces bool
	showNoise     bool
	exitCode      bool
	flat          bool // each version, instead of folded rows
	expand        int  // consequences of each folded row
	watch         bool // continue with further changes
	watchOnly     bool // show only further changes
}

func newGet(conn *connection) *cobra.Command {
	o := &getOptions{queryOptions: queryOptions{connection: conn}}
	cmd := &cobra.Command{
		Use:   "get [TYPE[,TYPE ...] [NAME ...] | TYPE/NAME ...]",
		Short: "Show the timeline of a namespace, of some types or of all",
		Long: paragraphs(`
			Show the timeline of a namespace, of some types or of all, the newest at the bottom: a line
			for each change that a person, a program or a node caused, and below it how it ended. What
			follows from these changes is folded. With --flat, every recorded version is shown. It is
			also shown if only consequences match, as for most pods, and with -o.

			Types and names have the same forms as in kubectl: deploy, deployments.apps, pods,svc, all,
			deploy web or deploy/web. Deleted objects and removed types keep their history.

			The formats json, yaml, custom-columns and templates print records as the REST API returns
			them, and --sort-by sorts by their fields. To print an object as it was, use history with
			--revision.

			With --expand, the first consequences are below each change. What the table shows is then
			still counted in folded rows by --limit.

			--who selects changes by their writers, and --grep by a text in their summary, problem or
			TYPE/NAME. The recorder selects, so --limit counts what is shown. A folded row is shown with
			all of its changes if one of its writers, and one of its changes or problems, is selected.

			--selector and --field-selector select changes of objects as in kubectl get, by the labels
			and fields that the object had in that version. --query is an expression in CEL, the language
			of Kubernetes' admission policies. It is true or false for a version, and its variables are:

			object: the object in this version
			old: the previous version, or null
			changed: the paths that differ from it, such as spec.template.spec.containers[name=web].image
			managers: the field managers that wrote the version
			verb: "create", "update" or "delete"

			A version that lacks a field of the expression is not shown; has(object.spec.paused) tests
			for one.

			A line across the table shows when and why the recorder could not observe some types.
			Changes may be missing there.

			With --watch, further changes follow as they are recorded, until the command is
			interrupted, and how they ended, once that is known or has changed. It reconnects if the
			connection is lost, and neither omits nor repeats a change. With -o, each
			version is then a document of its own: with -o json, one line.`),
		Example: examples(conn.env, `
			# What happened in the namespace shop within the last 15 minutes
			watchhistory get -n shop --since 15m

			# What happened to pods and services, in all namespaces
			watchhistory get pods,svc -A

			# Every version of everything in the namespace shop
			watchhistory get -n shop --flat

			# What people and Argo CD changed, and what Kubernetes did because of it
			watchhistory get -n shop --who kubectl,argocd --expand

			# Changes of the image or the name 1.5.0-rc1, by all but the autoscaler
			watchhistory get -A --grep 1.5.0-rc1 --who '!hpa'

			# Changes of objects with a label, and Events with a reason
			watchhistory get -n shop -l app=web
			watchhistory get events -n shop --field-selector reason=BackOff

			# Who changed pod templates, other than controllers
			watchhistory get deploy -A -q 'changed.exists(p, p.startsWith("spec.template")) &&
			!("kube-controller-manager" in managers)'

			# Changes of pods as they happen, after those of the last minute
			watchhistory get pods -n shop --since 1m -w

			# Who changed what, in columns of your own, by the name of the object
			watchhistory get -A --since 1h --sort-by .resourceName -o custom-columns=TIME:.timestamp,NAME:.resourceName,WHO:.managers[*].manager,WHAT:.summary

			# All changes of one Deployment and one ConfigMap, as JSON
			watchhistory get deploy/web configmap/web -n shop --limit=0 -o json`),
		ValidArgsFunction: conn.completeMany,
		RunE:              runE(o),
	}
	o.window.addFlags(cmd.Flags(), "changes")
	o.output.addFlags(cmd)
	o.addSelectorFlags(cmd)
	cmd.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false,
		"Show all namespaces, including cluster-scoped objects.")
	o.addFoldFlags(cmd)
	addNoiseFlag(cmd, &o.showNoise)
	addExitCodeFlag(cmd, &o.exitCode)
	o.addWatchFlags(cmd)
	return cmd
}

// defaultExpanded is how many consequences --expand without a number shows.
const defaultExpanded = "10"

// addFoldFlags adds the flags that select how much is folded.
func (o *getOptions) addFoldFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.flat, "flat", false, "Show every version, and fold nothing.")
	cmd.Flags().IntVar(&o.expand, "expand", 0,
		"Below each change, also show what followed from it: the first "+defaultExpanded+", or --expand=N.")
	cmd.Flags().Lookup("expand").NoOptDefVal = defaultExpanded
}

// addSelectorFlags adds the flags that select changes by their contents. The
// recorder parses their values.
func (o *getOptions) addSelectorFlags(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVarP(&o.selector, "selector", "l", "",
		"Only show changes of objects with these labels; supports '=', '==', '!=', "+
			"'in', 'notin', as in app=web,tier!=test.")
	fs.StringVar(&o.fieldSelector, "field-selector", "",
		"Only show changes of objects with these fields; supports '=', '==' and '!=', as in reason=BackOff.")
	fs.StringVarP(&o.query, "query", "q", "",
		"Only show changes for which this CEL expression is true; its variables are object, old, changed, "+
			"managers, verb, problem, newest and created.")
	fs.StringSliceVar(&o.who, "who", nil,
		"Only show changes by these writers, as the table names them: kubectl, argocd, '?'; '!kcm' excludes one.")
	fs.StringVar(&o.grep, "grep", "",
		"Only show changes with this plain text in their summary, problem or TYPE/NAME. "+
			"Case matters only if it has a capital letter.")
	for _, name := range []string{"selector", "field-selector", "query", "who", "grep"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions)
	}
}

// selects reports whether a flag selects changes by their contents.
func (o *getOptions) selects() bool {
	return o.selector+o.fieldSelector+o.query+o.grep != "" || len(o.who) > 0
}

// filters returns the flags that select changes by their contents, as they are
// typed.
func (o *getOptions) filters() string {
	var flags []string
	for _, f := range []struct{ flag, value string }{
		{"-l ", o.selector},
		{"--field-selector ", o.fieldSelector},
		{"-q ", o.query},
		{"--who ", strings.Join(o.who, ",")},
		{"--grep ", o.grep},
	} {
		if f.value != "" {
			flags = append(flags, f.flag+f.value)
		}
	}
	return strings.Join(flags, " ")
}

// run writes the timeline, and the notes about what it does not contain. With
// --exit-code, it returns [errFound] if it wrote a change.
func (o *getOptions) run(ctx context.Context, args []string) error {
	shown := 0
	o.noPager = o.noPager || o.watches()
	err := o.withSession(ctx, func(s *session) error {
		if o.allNamespaces {
			s.namespace = history.AllNamespaces
		}
		subjects, err := s.subjects(ctx, args)
		if err != nil {
			return err
		}
		queries := o.queries(s, subjects)
		for i := range queries {
			queries[i].LabelSelector, queries[i].FieldSelector = o.selector, o.fieldSelector
			queries[i].Expression, queries[i].Writers, queries[i].Text = o.query, o.who, o.grep
			queries[i].Outcome = !o.isLean()
		}
		if o.watches() {
			return o.follow(ctx, s, subjects, queries)
		}
		if o.folds() {
			var folded bool
			if folded, shown, err = o.runFolded(ctx, s, subjects, queries); folded || err != nil {
				return err
			}
		}
		found, err := s.newest(ctx, queries, &o.window)
		if err != nil {
			return err
		}
		if o.folds() && len(subjects) == 0 && !o.selects() && len(found.events) > 0 {
			o.noteConsequences(s, found)
			return nil
		}
		p := o.printer(&o.env, o.allNamespaces, o.showNoise)
		if shown, err = o.show(s, subjects, found, p); err != nil {
			return err
		}
		return o.reportMissing(ctx, s, subjects, found, len(found.events) == 0)
	})
	if err == nil && o.exitCode && shown > 0 {
		return errFound
	}
	return err
}

// queries returns the queries for subjects: one for each namespace of each
// named subject, in their order, or one for all types of each namespace.
//
// No two queries match the same record, as [session.newest] requires.
// reportMissing relies on the order.
func (o *getOptions) queries(s *session, subjects []subject) []client.EventsQuery {
	if len(subjects) == 0 {
		return []client.EventsQuery{{Namespace: s.namespace, Summary: o.isLean()}}
	}
	var queries []client.EventsQuery
	types := map[history.NamespaceScope][]string{}
	for _, sub := range subjects {
		for _, namespace := range sub.namespaces(s.namespace) {
			if sub.name == "" {
				types[namespace] = append(types[namespace], sub.resourceArg())
				continue
			}
			queries = append(queries, client.EventsQuery{
				Namespace: namespace, Resources: []string{sub.resourceArg()}, Name: sub.name, Summary: o.isLean(),
			})
		}
	}
	// All types of a scope share one query.
	for _, namespace := range []history.NamespaceScope{s.namespace, history.ClusterScoped} {
		if len(types[namespace]) > 0 {
			queries = append(queries,
				client.EventsQuery{Namespace: namespace, Resources: types[namespace], Summary: o.isLean()})
		}
	}
	return queries
}

// show writes the timeline, oldest first, and the notes about it. It returns
// the number of changes that it wrote. It reverses found.events.
func (o *getOptions) show(s *session, subjects []subject, found *result, p *render.Printer) (shown int, err error) {
	slices.Reverse(found.events)
	visible := o.visible(found.events, o.showNoise)
	write := o.write
	if o.watches() {
		write = o.writeEach
	}
	if err := write(&o.env, p, visible, found.gaps, p.Timeline); err != nil {
		return 0, err
	}
	o.env.note(found.cutNote("changes"))
	o.env.note(hiddenNote(len(found.events)-len(visible), "change"))
	o.env.note(o.whoNote(visible))
	for _, sub := range subjects {
		o.env.note(sub.scopeNote(visible))
	}
	// reportMissing reports subjects with a name, one by one.
	if len(found.events) == 0 && (len(subjects) == 0 || subjects[0].name == "") {
		namespace := s.namespace
		if len(subjects) > 0 && !slices.ContainsFunc(subjects, func(sub subject) bool { return sub.Namespaced }) {
			namespace = history.ClusterScoped
		}
		o.env.note("No " + o.noun() + " found" + in(namespace) + ".")
	}
	found.coverage.note(&o.queryOptions, len(found.events) == 0)
	o.env.note(found.ignored.note())
	o.env.note(gapsNote(len(found.gaps), len(found.events) == 0, o.hidesGaps()))
	return len(visible), nil
}

// noun names what an empty timeline lacks.
func (o *getOptions) noun() string {
	if o.selects() {
		return "matching changes"
	}
	return "history"
}

// reportMissing writes a note for each named subject without a change, and a
// warning for each type that is not recorded. It fails at the first named
// subject without any history.
//
// Types are examined only if the timeline is empty, because that may take
// another request.
func (o *getOptions) reportMissing(
	ctx context.Context, s *session, subjects []subject, found *result, empty bool,
) error {
	// The queries are in the order of the subjects, so their numbers of matches
	// are too.
	matches := found.matches // of named subjects: one for each namespace
	for _, sub := range subjects {
		if sub.name != "" {
			total := 0
			for range sub.namespaces(s.namespace) {
				total, matches = total+matches[0], matches[1:]
			}
			if total == 0 {
				if err := s.noteUnchanged(ctx, &o.env, sub, "", &o.window, o.selects()); err != nil {
					return err
				}
			}
			continue
		}
		if !empty {
			continue
		}
		if s.restricted {
			continue // the answer does not show what is recorded
		}
		if recorded, err := s.types.isRecorded(ctx, sub.resourceArg()); err == nil && !recorded {
			s.types.warnf("the recorder does not record %s", sub.GroupResource())
		} else if reason := s.notRecordedReason(ctx, sub); reason != "" {
			s.types.warnf("the recorder does not record %s: %s", sub.GroupResource(), reason)
		}
	}
	return nil
}
