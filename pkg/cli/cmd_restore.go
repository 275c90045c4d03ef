package cli

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/restore"
)

// restoreOptions are the options of restore, which brings objects back.
type restoreOptions struct {
	*connection
	output

	document documentOutput
	at       moment
	uid      string
	dryRun   string
	yes      bool

	otherCluster bool // the history may be that of another cluster
}

// The values of --dry-run.
const (
	dryRunClient = "client"
	dryRunServer = "server"
)

func newRestore(conn *connection) *cobra.Command {
	o := &restoreOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "restore (TYPE NAME | TYPE/NAME)[#REVISION | @TIME] ... [--at TIME] [--yes]",
		Short: "Bring objects, or all objects of a namespace, back as they were",
		Long: paragraphs(`
			Bring objects back as they were in a revision or at a time: deleted ones are created, others
			are set back. restore ns/NAME brings back a namespace with the objects in it. For an object
			that was deleted, the default is what it was before its deletion.

			Without --yes, nothing is changed. The plan is printed, and the API server validates each
			step in a dry run. --dry-run=client prints the plan from the record alone.

			create and update are done, = is as it was. skip is what controllers make again from other
			objects, and Jobs that had finished. keep was created since; nothing is ever deleted. release
			makes the volume of a deleted claim available to the claim again. CANNOT is what can't be
			brought back: values of Secrets are recorded as hashes only. UNKNOWN lists types that were
			not recorded. If anything can't be brought back, everything else is, and the exit code is 1.

			What is written, is written with your own rights, from the namespace and the definitions of
			types to what needs them. A Service gets a new address if its earlier one is in use. A claim
			gets its volume back if that was kept, otherwise a new one. If you may not change volumes,
			the plan has the command for an administrator. An object that exists is replaced, except for
			its status, its finalizers and what controllers set; an autoscaler keeps its replicas. It is
			safe to run the same command again: it continues.

			-o json and yaml write the plan as a document, with --yes after it was done, with the result
			of each step.`),
		Example: examples(conn.env, `
			# What would bring back a ConfigMap that was deleted? --yes does it.
			watchhistory restore cm/feature-flags -n shop
			watchhistory restore cm/feature-flags -n shop --yes

			# Set a Deployment and its ConfigMap back to 12:30
			watchhistory restore deploy/web cm/web-config -n shop --at 12:30 --yes

			# Undo the last change of a ConfigMap
			watchhistory restore cm/web-config#-2 -n shop --yes

			# A namespace that was deleted by mistake, as it was before that
			watchhistory restore ns/billing --yes`),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return withAdvice("For a namespace with all its objects: restore ns/NAME. "+helpHint(cmd),
					"want TYPE NAME or TYPE/NAME, got 0 arguments")
			}
			return nil
		},
		ValidArgsFunction: conn.completeMany,
		RunE:              runE(o),
	}
	fs := cmd.Flags()
	o.at.addFlag(fs, "Bring back the state of a time")
	fs.StringVar(&o.uid, "uid", "", "Bring back the object with this UID, if there were several of the name.")
	fs.StringVar(&o.dryRun, "dry-run", "",
		"Change nothing: server (the default without --yes) validates each step, client reads the record only.")
	fs.Lookup("dry-run").NoOptDefVal = dryRunServer
	fs.BoolVar(&o.otherCluster, "allow-other-cluster", false,
		"Restore into the cluster of the kubeconfig even if the history is that of another cluster.")
	fs.BoolVarP(&o.yes, "yes", "y", false, "Do it.")
	o.addStyleFlags(cmd)
	o.document.addFormatFlag(cmd)
	_ = cmd.RegisterFlagCompletionFunc("dry-run",
		cobra.FixedCompletions([]string{dryRunServer, dryRunClient}, cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("uid", conn.completeUIDs)
	return cmd
}

// complete parses the flags.
func (o *restoreOptions) complete() error {
	if err := o.output.complete(); err != nil {
		return err
	}
	return o.at.complete(o.env.Now().In(o.location))
}

// validate rejects invalid flags.
func (o *restoreOptions) validate() error {
	switch {
	case !slices.Contains([]string{"", dryRunServer, dryRunClient}, o.dryRun):
		return invalidf("--dry-run %q: want server or client", o.dryRun)
	case o.yes && o.dryRun != "":
		return withAdvice("Leave out one of them.", "--yes and --dry-run exclude each other")
	}
	if err := o.document.validate(); err != nil {
		return err
	}
	return o.validateColor()
}

// run writes the plan and, with --yes, does it.
func (o *restoreOptions) run(ctx context.Context, args []string) error {
	o.noPager = o.noPager || o.yes // what is done is seen at once
	return o.withSession(ctx, func(s *session) error {
		targets, err := o.targets(ctx, s, args)
		if err != nil {
			return err
		}
		r := &restoration{restoreOptions: o, session: s, results: map[*restore.Step]string{}}
		o.named = targets[0].isNamespace()
		if err := r.open(); err != nil {
			return err
		}
		if err := r.checkCluster(ctx); err != nil {
			return err
		}
		if err := r.read(ctx, targets); err != nil {
			return err
		}
		plan, err := restore.New(ctx, r.reader, r.objects, restore.Options{
			Now: r.now, ResourceOf: r.resourceOfOwner(ctx),
		})
		if err != nil {
			return err
		}
		return r.carryOut(ctx, plan)
	})
}

// target is an object to restore, or a namespace with all its objects.
type target struct {
	subject

	ref reference
	arg string // as it was typed
}

// isNamespace reports whether the target is a namespace.
func (t *target) isNamespace() bool { return t.GroupResource() == restore.Namespaces }

// targets parses the arguments.
func (o *restoreOptions) targets(ctx context.Context, s *session, args []string) (targets []target, err error) {
	all, err := parseMany(args)
	if err != nil {
		return nil, err
	}
	for _, arg := range all {
		t := target{arg: arg.kind + "/" + arg.name}
		if arg.name, t.ref, err = cutReference(arg.name); err != nil {
			return nil, err
		}
		if arg.name == "" {
			return nil, withAdvice("For a namespace with all its objects: restore ns/NAME.",
				"%q has no name: want objects, as in %s/NAME", arg.kind, arg.kind)
		}
		resolved, err := s.types.resolve(ctx, arg.kind)
		if err != nil {
			return nil, err
		}
		t.subject = subject{resolved, arg.name}
		targets = append(targets, t)
	}
	for i := range targets {
		if targets[i].isNamespace() && len(targets) > 1 {
			return nil, withAdvice("Restore the namespace first.", "%s is a namespace with all its objects: "+
				"it can't be combined with other arguments", targets[i].arg)
		}
	}
	if o.uid != "" && len(targets) > 1 {
		return nil, invalidf("--uid selects one object, got %d", len(targets))
	}
	return targets, nil
}

// clock returns a time of day in the zone of the output, with its date if that
// is not today.
func (o *restoreOptions) clock(t time.Time) string {
	return clock(t.In(o.location), o.env.recorderNow().In(o.location))
}

// restoration is one run of restore: what is brought back, and where.
type restoration struct {
	*restoreOptions
	session *session

	cluster *restore.Cluster // nil with --dry-run=client
	host    string           // of the cluster
	reader  restore.Reader   // of the objects as they are now

	heading   string
	place     history.NamespaceScope // of the objects
	objects   []*restore.Object      // as they were
	from      map[restore.Key]string // the versions of named objects, for people
	revisions map[restore.Key]uint64 // of named objects
	now       restore.State          // as they were recorded last
	unknown   []string               // types that were not recorded
	namespace string                 // that is restored, or ""
	at        time.Time              // of the namespace
	deleted   time.Time              // when the namespace was deleted, or the zero time

	results     map[*restore.Step]string // with --yes
	interrupted bool
}

// open connects to the cluster of the kubeconfig. With --dry-run=client, the
// record replaces the cluster.
func (r *restoration) open() error {
	if r.dryRun == dryRunClient {
		r.reader = &recorded{session: r.session}
		return nil
	}
	config, err := r.config.ToRawKubeConfigLoader().ClientConfig()
	if err != nil {
		return withAdvice("Give a kubeconfig with --kubeconfig. --dry-run=client needs no cluster.",
			"no cluster configured: %v", err)
	}
	r.prepareLogin(config)
	config.UserAgent, config.WarningHandler = r.userAgent(), apiWarnings{&r.env}
	config.QPS = -1 // the API server limits its clients
	timeout := config.Timeout
	if timeout <= 0 {
		timeout = kube.DefaultAPITimeout
	}
	kube.Limit(config, timeout, 0, r.env.display())
	r.cluster, err = restore.NewCluster(config)
	r.reader, r.host = r.cluster, config.Host
	return err
}

// checkCluster returns an error if the history is that of another cluster than
// the one to restore into. It accepts what is not known: the namespace may not
// be recorded, or the user may not read it.
func (r *restoration) checkCluster(ctx context.Context) error {
	if r.cluster == nil || r.otherCluster {
		return nil
	}
	about, err := r.session.Recorder(ctx)
	if err != nil || about.ClusterUID == "" {
		return ctx.Err() // other errors return with the next request
	}
	live, err := r.cluster.Get(ctx, &restore.Object{
		GVR: restore.Namespaces.WithVersion("v1"), Kind: "Namespace", Name: history.ClusterNamespace,
	})
	if err != nil && !isAPIError(err) {
		return unreachable(err)
	}
	uid := textAt(live, "metadata", "uid")
	if uid == "" || uid == about.ClusterUID {
		return nil
	}
	of := "the history"
	if r.file != "" {
		of = "the history in the file"
	}
	return withAdvice("Select the cluster with --context or --kubeconfig. "+
		"To restore into this one nevertheless: --allow-other-cluster.",
		"%s is that of another cluster than %s: namespace %s has the UID %s there, and %s here",
		of, r.host, history.ClusterNamespace, about.ClusterUID, uid)
}

// apiWarnings writes the warnings of the API server.
type apiWarnings struct{ env *Environment }

// HandleWarningHeader implements [rest.WarningHandler].
func (w apiWarnings) HandleWarningHeader(code int, _, text string) {
	if code == 299 && text != "" { //nolint:mnd // the code of RFC 7234 for warnings that persist
		w.env.note("Warning: " + text)
	}
}

// unreachable returns the error for an API server that does not answer. An
// error of the recorder is returned unchanged.
func unreachable(err error) error {
	if _, ok := errors.AsType[*history.Error](err); ok {
		return err
	}
	return history.WithHint(history.Errorf(history.Unavailable, "the API server does not answer: %w", err),
		"Nothing was changed. --dry-run=client prints the plan without the cluster.")
}

// in returns " in shop namespace" for a target.
func (r *restoration) in(sub subject) string { return in(sub.namespaceOf(r.session.namespace)) }

// command returns a command of this program about a target.
func (r *restoration) command(t *target, command string) string {
	return "'" + r.env.command(command+" "+t.arg+namespaceFlag(t.namespaceOf(r.session.namespace))) + "'"
}
