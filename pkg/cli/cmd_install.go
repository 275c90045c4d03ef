package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/install"
)

// defaultWait is the default of --timeout.
const defaultWait = 5 * time.Minute

// waitInterval is the time between two looks at a recorder that starts.
const waitInterval = time.Second

// installOptions are the options of install.
type installOptions struct {
	*connection

	image, retention, storage, storageClass, configFile string
	openShift, mcp                                      bool
	readers                                             []string

	apply, force bool
	dryRun       string
	wait         bool
	timeout      time.Duration

	manifests install.Options // of the flags
}

func newInstall(conn *connection) *cobra.Command {
	o := &installOptions{connection: conn}
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Print or apply the manifests of a recorder",
		Long: paragraphs(`
			Print the manifests of a recorder for the cluster, or apply them with --apply.

			Without flags, they are those of the directory deploy/ of this version. --apply uses
			server-side apply with your own rights. It changes nothing unless the API server has accepted
			all objects in a dry run, and then waits until the recorder is ready. Applied again, the
			manifests upgrade the recorder: give the same flags as before.

			The recorder may list and watch everything in the cluster, so only an administrator of the
			cluster can install it. A namespace that exists already is not changed.`),
		Example: examples(conn.env, `
			# Read the manifests, then apply them
			watchhistory install
			watchhistory install --apply

			# The same with kubectl
			watchhistory install | kubectl apply -f -

			# See what would change
			watchhistory install --dry-run

			# 30 days of history on a volume of 200 Gi
			watchhistory install --apply --retention 30d --storage 200Gi --storage-class fast

			# An image of your own, on OpenShift
			watchhistory install --apply --openshift --image registry.example.com/watchhistory-recorder:v0

			# Let the members of a group use kubectl watchhistory
			watchhistory install --apply --readers developers`),
		Args: noArguments,
		RunE: runE(o),
	}
	fs := cmd.Flags()
	fs.StringVar(&o.image, "image", "",
		"Image of the recorder (default: "+install.Image+" with the version of this program).")
	fs.StringVar(&o.retention, "retention", "", "Days of history to keep, such as 30d (default: 14d).")
	fs.StringVar(&o.storage, "storage", "",
		"Size of the volume, such as 200Gi (default: 50Gi). Four fifths of it are for the history.")
	fs.StringVar(&o.storageClass, "storage-class", "", "StorageClass of the volume (default: that of the cluster).")
	fs.StringVar(&o.configFile, "config", "",
		"File with the recorder's configuration, in place of deploy/base/resources.yaml.")
	fs.BoolVar(&o.openShift, "openshift", false, "Leave out the user IDs, which OpenShift assigns.")
	fs.BoolVar(&o.mcp, "mcp", false, "Add the port 8080 without TLS and without access control, "+
		"for pods with the label watchhistory.io/client=true, such as MCP servers.")
	fs.StringSliceVar(&o.readers, "readers", nil,
		"Groups whose members may reach the recorder. They read what they may read in the cluster.")
	fs.BoolVar(&o.apply, "apply", false, "Apply the manifests instead of printing them.")
	fs.StringVar(&o.dryRun, "dry-run", "none",
		"Must be none or server. With server, which is the default of the bare flag, "+
			"print what applying would change.")
	fs.Lookup("dry-run").NoOptDefVal = "server"
	fs.BoolVar(&o.force, "force-conflicts", false, "Take over fields that other field managers own.")
	fs.BoolVar(&o.wait, "wait", true, "With --apply, wait until the recorder is ready.")
	fs.DurationVar(&o.timeout, "timeout", defaultWait, "How long to wait for the recorder.")
	return cmd
}

// complete parses the flags of the manifests.
func (o *installOptions) complete() error {
	m := &o.manifests
	m.Namespace, m.Image, m.StorageClass, m.Readers = o.namespace, o.image, o.storageClass, o.readers
	if isRelease(o.env.Version) {
		m.Tag = o.env.Version
	}
	if o.retention != "" {
		days, err := strconv.Atoi(strings.TrimSuffix(o.retention, "d"))
		if err != nil || days < 1 {
			return invalidf("--retention %q: want a number of days like 30d", o.retention)
		}
		m.RetentionDays = days
	}
	if o.storage != "" {
		size, err := resource.ParseQuantity(o.storage)
		if err != nil || size.Sign() <= 0 {
			return invalidf("--storage %q: want a size like 200Gi", o.storage)
		}
		m.Storage = &size
	}
	if o.configFile != "" {
		var err error
		if m.Config, err = os.ReadFile(o.configFile); err != nil {
			return invalidf("--config: %v", err)
		}
	}
	if o.openShift {
		m.Overlays = append(m.Overlays, install.OpenShift)
	}
	if o.mcp {
		m.Overlays = append(m.Overlays, install.MCP)
	}
	return nil
}

// validate rejects contradictions.
func (o *installOptions) validate() error {
	if err := o.validateNoFile("install"); err != nil {
		return err
	}
	switch {
	case o.dryRun != "none" && o.dryRun != "server":
		return invalidf("--dry-run=%s: want none or server", o.dryRun)
	case o.retention != "" && o.configFile != "":
		return invalidf("--retention and --config can't be combined: set retentionDays in the file")
	default:
		return o.validateInstallation()
	}
}

// validateInstallation rejects flags of the connection that have no meaning for
// the installation of a recorder.
func (c *connection) validateInstallation() error {
	switch {
	case c.url != "":
		return invalidf("--recorder-url is for a recorder that exists: " +
			"the manifests are for the cluster of the kubeconfig")
	case *c.config.Namespace != "":
		return invalidf("--namespace is that of objects: give the recorder's with --recorder-namespace")
	default:
		return nil
	}
}

// recorderNamespace returns the namespace of the manifests.
func (c *connection) recorderNamespace() string { return cmp.Or(c.namespace, install.DefaultNamespace) }

// isRelease reports whether images of a version are published: it is a semantic
// version, and not that of a commit or of a modified build.
func isRelease(v string) bool {
	parsed, err := version.ParseSemantic(v)
	ofCommit := regexp.MustCompile(`\d{14}-[0-9a-f]{12}$|-snapshot\.`)
	return err == nil && strings.HasPrefix(v, "v") && parsed.BuildMetadata() == "" && !ofCommit.MatchString(v)
}

// run prints or applies the manifests.
func (o *installOptions) run(ctx context.Context, _ []string) error {
	m, err := install.Build(o.manifests)
	if err != nil {
		if o.configFile != "" && history.CodeOf(err) == history.Invalid {
			return withAdvice("Change the file, or start from deploy/base/resources.yaml.", "--config: %v", err)
		}
		return err
	}
	if !isRelease(o.env.Version) && o.image == "" {
		o.env.note(fmt.Sprintf("Warning: this program is a development version (%s), which has no image of its own. "+
			"Give one with --image.", cmp.Or(o.env.Version, "unknown")))
	}
	if !o.apply && o.dryRun == "none" {
		if _, err := o.env.Out.Write(m.YAML); err != nil {
			return err
		}
		if terminalWidth(o.env.Out) > 0 {
			o.env.note("Nothing was changed. Apply this with --apply, or pipe it into: kubectl apply -f -")
		}
		return nil
	}
	return o.applyManifests(ctx, m)
}

// applyManifests applies the manifests, or prints what that would change.
func (o *installOptions) applyManifests(ctx context.Context, m *install.Manifests) error {
	if o.env.progress != nil && !o.env.noEscapes {
		o.env.progress.begin("Asking the API server…")
		defer o.env.progress.end()
	}
	cluster, config, err := o.cluster()
	if err != nil {
		return err
	}
	defer o.env.suspendProgress()()
	changes, err := cluster.Plan(ctx, m.Objects, o.force)
	if err != nil {
		return withInstallHint(err)
	}
	if o.dryRun == "server" {
		return o.writePlan(changes)
	}
	o.noteForeign(changes)
	for _, change := range changes {
		if change.Foreign {
			continue
		}
		result, err := cluster.Apply(ctx, change, o.force)
		if err != nil {
			return withInstallHint(err)
		}
		if err := o.env.line("%s %s", install.NameOf(change.Object), result); err != nil {
			return err
		}
	}
	if !o.wait {
		return nil
	}
	return o.await(ctx, cluster, config)
}

// cluster returns the cluster of the kubeconfig.
func (c *connection) cluster() (*install.Cluster, *rest.Config, error) {
	config, err := c.apiConfig()
	if err != nil {
		return nil, nil, withAdvice("Give a kubeconfig with --kubeconfig.", "no cluster configured: %v", err)
	}
	config.WarningHandler = &warnings{env: &c.env}
	mapper, err := c.config.ToRESTMapper()
	if err != nil {
		return nil, nil, err
	}
	discovered, err := c.config.ToDiscoveryClient()
	if err != nil {
		return nil, nil, err
	}
	cluster, err := install.NewCluster(config, mapper, discovered)
	return cluster, config, err
}

// apiConfig returns the configuration for requests to the API server. While
// they are sent, the progress must be suspended, because they may prompt.
func (c *connection) apiConfig() (*rest.Config, error) {
	plain, err := c.config.ToRawKubeConfigLoader().ClientConfig()
	if err != nil {
		return nil, err
	}
	c.prepareLogin(plain) // first, because the configuration below depends on it
	config, err := c.config.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	c.prepareLogin(config)
	return config, nil
}

// writePlan writes one line for each object.
func (o *installOptions) writePlan(changes []install.Change) error {
	unchecked := 0
	for _, change := range changes {
		if change.Unchecked {
			unchecked++
		}
		if err := o.env.line("%s %s (server dry run)", install.NameOf(change.Object), change.Result); err != nil {
			return err
		}
	}
	o.noteForeign(changes)
	if unchecked > 0 {
		o.env.note(fmt.Sprintf("Namespace %s does not exist yet. Of %s in it, only your rights were checked.",
			o.recorderNamespace(), plural(unchecked, "object")))
	}
	return nil
}

// noteForeign writes that a namespace is left as it is.
func (o *installOptions) noteForeign(changes []install.Change) {
	for _, change := range changes {
		if change.Foreign {
			o.env.note("Namespace " + change.Object.GetName() + " exists already, and is left as it is.")
		}
	}
}

// line writes a line of data.
func (e *Environment) line(format string, args ...any) error {
	e.endProgress()
	_, err := io.WriteString(e.Out, fmt.Sprintf(format, args...)+"\n")
	return err
}

// await waits until the recorder is ready. Meanwhile it shows why it is not: on
// a terminal in the progress line, otherwise as notes.
func (o *installOptions) await(ctx context.Context, cluster *install.Cluster, config *rest.Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, errNotReady)
	defer cancel()
	start := o.env.Now()
	if o.env.progress != nil && !o.env.noEscapes {
		o.env.progress.begin("Waiting for the recorder…")
	}
	problem := kube.Pod{}
	for {
		ready, err := cluster.IsReady(ctx, o.recorderNamespace())
		switch {
		case err == nil && ready:
			return o.env.line("recorder in namespace %s ready after %s", o.recorderNamespace(),
				o.env.Now().Sub(start).Round(time.Second))
		case history.CodeOf(err) == history.Forbidden:
			return withAdvice("The manifests are applied. Leave out the waiting with --wait=false.",
				"can't wait for the recorder: %v", err)
		}
		if now := o.notReady(ctx, config); now.Problem != "" && now.Problem != problem.Problem {
			problem = now
			o.showProblem(problem)
		}
		select {
		case <-time.After(waitInterval):
		case <-ctx.Done():
			return o.notReadyError(ctx, problem)
		}
	}
}

// errNotReady is the cause of a context that ended because the recorder was not
// ready in time.
var errNotReady = errors.New("not ready")

// notReady returns a pod of the recorder that is not ready.
func (o *installOptions) notReady(ctx context.Context, config *rest.Config) kube.Pod {
	found, err := kube.Inspect(ctx, kube.Options{
		Options: client.Options{UserAgent: o.userAgent()}, RESTConfig: config, Namespace: o.recorderNamespace(),
	})
	if err != nil || len(found.Pods) == 0 {
		return kube.Pod{}
	}
	return found.Pods[0]
}

// showProblem shows why a pod is not ready.
func (o *installOptions) showProblem(pod kube.Pod) {
	if text := pod.Name + ": " + pod.Problem; terminalWidth(o.env.ErrOut) > 0 {
		o.env.progress.replace("Waiting for the recorder… " + text)
	} else {
		o.env.note("Waiting for pod " + text)
	}
}

// notReadyError returns the error of a recorder that is not ready in time. If
// the waiting is interrupted, it writes a note, because that error is not
// printed.
func (o *installOptions) notReadyError(ctx context.Context, pod kube.Pod) error {
	message, evidence := "the recorder is not ready after "+o.timeout.String(), "get pods,events"
	if pod.Problem != "" {
		message, evidence = message+": pod "+pod.Name+": "+pod.Problem, evidenceCommand(pod.Evidence)
	}
	advice := "The manifests are applied, and it may still start. See why it has not with: kubectl -n " +
		o.recorderNamespace() + " " + evidence
	if !errors.Is(context.Cause(ctx), errNotReady) {
		o.env.note("Interrupted: the recorder is not ready yet. " + advice)
		return ctx.Err()
	}
	return withAdvice(advice, "%s", message)
}

// withInstallHint adds advice to the API server's rejection of an object.
func withInstallHint(err error) error {
	if other, ok := install.IsElsewhere(err); ok {
		return history.WithHint(err, "Use that one with --recorder-namespace "+other+", or remove it first with: "+
			"kubectl watchhistory uninstall --recorder-namespace "+other)
	}
	hint := ""
	switch reason := apierrors.ReasonForError(err); {
	case history.CodeOf(err) == history.Forbidden && reason != metav1.StatusReasonUnauthorized:
		hint = "An administrator of the cluster can apply what this prints: kubectl watchhistory install"
	case reason == metav1.StatusReasonConflict:
		hint = "Another program manages these fields. Take them over with --force-conflicts."
	case reason == metav1.StatusReasonInvalid && strings.Contains(err.Error(), "StatefulSet"):
		hint = "The volume of a recorder can't be changed later. Give the same --storage and --storage-class as before."
	case history.CodeOf(err) == history.Unauthorized:
		hint = hintLogin
	case history.CodeOf(err) == history.Unavailable:
		hint = hintAPIServer
	}
	if hint == "" {
		return err
	}
	return history.WithHint(err, hint)
}
