package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// The bounds of the waiting of record.
const (
	observeWithin = time.Minute // until everything is observed
	maxRefused    = 5           // resources that a note names
)

// recordOptions are the options of record, which records a cluster from this
// process.
type recordOptions struct {
	*connection

	output        string
	overwrite     bool
	allNamespaces bool
	quiet         bool
	rules         failOn

	command []string
}

func newRecord(conn *connection) *cobra.Command {
	o := &recordOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "record [-o FILE] [-n NAMESPACE | -A] [-- COMMAND [ARGUMENT...]]",
		Short: "Record the cluster into a file, while a command runs",
		Long: paragraphs(`
			Record the cluster of the kubeconfig from this process into a file, with your own rights.
			Nothing is installed in the cluster. Every command reads the file with --filename.

			COMMAND starts once everything that you may read is observed. When it has ended, and
			everything is recorded that happened until then, what happened and what is broken is printed.
			The exit code is that of COMMAND. Without COMMAND, recording ends with ctrl-C.

			With --namespace, only the objects of that namespace are recorded, and the cluster-scoped
			objects that you may read. Without it, and if you may not list the objects of all namespaces,
			the namespace is that of the kubeconfig.

			The file can be read up to the last second, even if this process is killed. It contains
			objects of your cluster; values of Secrets are replaced by hashes.`),
		Example: examples(conn.env, `
			# Record what a test does
			watchhistory record -o e2e.whx -n e2e -- ./run-e2e.sh

			# Fail if a pod crash-loops, or if a ConfigMap is not cleaned up. The cluster creates one itself
			watchhistory record -o e2e.whx -n e2e --fail-on 'problem.contains("CrashLoopBackOff")' \
			  --fail-on 'created && newest && verb != "delete" && object.kind == "ConfigMap" &&
			    object.metadata.name != "kube-root-ca.crt"' -- ./run-e2e.sh

			# Record everything until ctrl-C, and look at it
			watchhistory record -o incident.whx
			watchhistory -f incident.whx -A`),
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n > 0 || n < 0 && len(args) > 0 {
				return withAdvice("As in: "+conn.env.Name+" record -o FILE -- "+strings.Join(args, " "),
					"%q: want -- before the command", args[0])
			}
			o.command = args
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              runE(o),
	}
	fs := cmd.Flags()
	fs.StringVarP(&o.output, "output", "o", "", "Write the recording to this file (default: watchhistory-TIME.whx).")
	fs.BoolVar(&o.overwrite, "overwrite", false, "Replace the file if it exists.")
	fs.BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Record all namespaces, or fail if you may not.")
	fs.BoolVar(&o.quiet, "quiet", false, "Do not print what happened.")
	o.rules.addFlag(cmd)
	return cmd
}

// complete parses the flags.
func (o *recordOptions) complete() error {
	if o.output == "" {
		o.output = "watchhistory-" + o.env.Now().Format("20060102-150405") + ".whx"
	}
	return nil
}

// validate rejects flags that contradict a recording.
func (o *recordOptions) validate() error {
	switch {
	case o.env.Engine == nil:
		return invalidf("this program can't record")
	case o.file != "" || o.url != "":
		return invalidf("record reads the cluster: it can't be combined with --filename or --recorder-url")
	case o.allNamespaces && *o.config.Namespace != "":
		return invalidf("--all-namespaces and --namespace can't be combined")
	}
	if err := o.validateFile(); err != nil {
		return err
	}
	if err := o.rules.check(o.env.Engine); err != nil || len(o.command) == 0 {
		return err
	}
	if _, err := exec.LookPath(o.command[0]); err != nil {
		return notStarted(err)
	}
	return nil
}

// validateFile rejects a file that can't be written.
func (o *recordOptions) validateFile() error {
	st, err := os.Stat(o.output)
	switch {
	case o.output == "-":
		return withAdvice("-o e2e.whx writes a file.",
			"--output -: a recording can't be written to the standard output")
	case err == nil && st.IsDir():
		return withAdvice("-o "+filepath.Join(o.output, "e2e.whx")+" writes a file in it.",
			"--output %s: it is a directory", o.output)
	case err == nil && !o.overwrite:
		return withAdvice("--overwrite replaces it.", "--output %s: the file exists", o.output)
	default:
		return nil
	}
}

// run records. It ends the process itself: an interrupt ends COMMAND, and then
// the recording is completed.
func (o *recordOptions) run(ctx context.Context, _ []string) error {
	o.env.held.Store(true)
	signals := o.listen(ctx)
	defer signals.stop()
	rec, namespace, err := o.begin(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if err := rec.Close(); err != nil {
			o.env.note("Warning: " + err.Error())
		}
	}()
	if err := o.observe(ctx, rec); err != nil {
		return err
	}
	select {
	case <-signals.received: // while everything was being observed
		return &exitError{code: exitInterrupted}
	default:
	}
	o.noteBegin(rec, namespace)
	began := o.env.Now()
	code, failed := 0, error(nil)
	if len(o.command) > 0 {
		code, failed = o.runCommand(signals, rec)
	} else {
		select {
		case <-signals.received:
		case <-rec.Ended():
		}
	}
	// A further signal gives up: the file can be read as it is.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer signals.then(cancel)()
	if err := o.finish(ctx, rec); err != nil {
		if code == 0 {
			return err
		}
		o.env.note("Warning: " + err.Error())
	}
	if err := o.report(ctx, namespace, began, code == 0); err != nil {
		return err
	}
	if code != 0 {
		return &exitError{code, failed}
	}
	return nil
}

// begin starts the recording of the namespace of the flags or, if the user may
// not read all namespaces, of that of the kubeconfig. "" means all.
func (o *recordOptions) begin(ctx context.Context) (rec Recording, namespace string, err error) {
	cluster, err := o.config.ToRawKubeConfigLoader().ClientConfig()
	if err != nil {
		return nil, "", withAdvice("Give a kubeconfig with --kubeconfig.", "no cluster configured: %v", err)
	}
	cluster.UserAgent = o.userAgent()
	cluster.Timeout = 0 // a watch has no end
	o.prepareLogin(cluster)
	o.env.progress.begin("Connecting…")
	opts := RecordOptions{
		File: o.output, Overwrite: o.overwrite, Namespace: *o.config.Namespace, MadeBy: o.userAgent(),
		Progress: func(observed, total int) {
			o.env.progress.replace(fmt.Sprintf("Observing %d of %d resources…", observed, total))
		},
	}
	rec, err = o.env.Engine.Record(ctx, cluster, opts)
	_, limited := errors.AsType[*ScopeError](err)
	if !limited || opts.Namespace != "" || o.allNamespaces {
		return rec, opts.Namespace, withRights(err)
	}
	if opts.Namespace, _, err = o.config.ToRawKubeConfigLoader().Namespace(); err != nil {
		return nil, "", err
	}
	o.env.note(fmt.Sprintf("You may not list the objects of all namespaces: only namespace %s is recorded.",
		opts.Namespace))
	rec, err = o.env.Engine.Record(ctx, cluster, opts)
	return rec, opts.Namespace, withRights(err)
}

// withRights adds to the error of a user who may not record what they asked for
// which rights are missing.
func withRights(err error) error {
	if refused, limited := errors.AsType[*ScopeError](err); limited {
		return history.WithHint(history.Errorf(history.Forbidden, "%v", refused),
			"This requires the right to list and watch what should be recorded; or give another --namespace.")
	}
	return err
}

// observe waits until everything is observed.
func (o *recordOptions) observe(ctx context.Context, rec Recording) error {
	defer o.env.endProgress()
	ctx, cancel := context.WithTimeoutCause(ctx, observeWithin, fmt.Errorf("not observed within %s", observeWithin))
	defer cancel()
	return rec.Observed(ctx)
}

// noteBegin writes what is recorded, and what is not.
func (o *recordOptions) noteBegin(rec Recording, namespace string) {
	scope := "all namespaces"
	if namespace != "" {
		scope = "namespace " + namespace
	}
	end := ""
	if len(o.command) == 0 {
		end = " until ctrl-C"
	}
	o.env.note(fmt.Sprintf("Recording %s into %s%s.", scope, o.output, end))
	if refused := rec.Refused(); len(refused) > 0 {
		more := ""
		if n := len(refused) - maxRefused; n > 0 {
			refused, more = refused[:maxRefused], fmt.Sprintf(" and %d more", n)
		}
		o.env.note("Not recorded: " + strings.Join(refused, ", ") + more + ".")
	}
}

// finish completes the file.
func (o *recordOptions) finish(ctx context.Context, rec Recording) error {
	o.env.progress.begin("Completing the recording…")
	defer o.env.endProgress()
	if err := rec.CaughtUp(ctx); err != nil {
		o.env.note("Warning: the last changes may be missing: " + err.Error())
	}
	s, err := rec.Finish(ctx)
	if err != nil {
		return history.WithHint(err, o.output+" can be read up to the last second that was recorded.")
	}
	o.env.note(fmt.Sprintf("Recorded %d changes of %d resources in %s into %s (%d kB).",
		s.Changes, s.Resources, s.End.Sub(s.Start).Round(time.Second), o.output, (s.Bytes+999)/1000))
	return nil
}

// report writes what happened, what is broken, and what the rules of --fail-on
// find. Next to the output of a command it is a part of the messages. The rules
// decide about the exit code if the command succeeded.
func (o *recordOptions) report(ctx context.Context, namespace string, began time.Time, succeeded bool) error {
	env := o.env
	if len(o.command) > 0 {
		env.Out = env.ErrOut
	}
	scope := []string{"--filename", o.output, "--all-namespaces"}
	if namespace != "" {
		scope = []string{"--filename", o.output, "--namespace", namespace}
	}
	if !o.quiet {
		_, _ = fmt.Fprintln(env.Out)
		for _, view := range [][]string{{"--no-pager"}, {"why", "--no-pager"}} {
			if err := runAgain(ctx, env, append(view, scope...)); err != nil {
				return err
			}
		}
	}
	err := o.checkRules(ctx, env, namespace, began)
	if _, matched := errors.AsType[*exitError](err); matched && !succeeded {
		return nil
	}
	return err
}

// checkRules writes which rules of --fail-on match changes of the recording
// since a time. It returns an [exitError] if there are any.
func (o *recordOptions) checkRules(ctx context.Context, env Environment, namespace string, began time.Time) error {
	if len(o.rules.expressions) == 0 {
		return nil
	}
	conn := newConnection(env)
	conn.file, *conn.config.Namespace = o.output, namespace
	s, err := conn.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	scope := history.AllNamespaces
	if namespace != "" {
		scope = history.ScopeOf(namespace)
	}
	rules, err := o.rules.match(ctx, s.Client, client.EventsQuery{Namespace: scope, Start: began})
	if err != nil {
		return err
	}
	return writeRules(&conn.env, rules, namespace == "", time.Local)
}

// runAgain runs another command line of the plugin.
func runAgain(ctx context.Context, env Environment, args []string) error {
	root := New(env)
	root.SetArgs(args)
	return root.ExecuteContext(ctx)
}
