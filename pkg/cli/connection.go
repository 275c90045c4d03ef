package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the ways to log in that a kubeconfig can name
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// direct is the value of --connect that reaches the recorder by its URL. The others are those of package kube.
const direct = "direct"

// discoveryPatience bounds a discovery request where the recorder is reached without the cluster, which may be gone.
const discoveryPatience = 5 * time.Second

// loginPatience bounds a discovery request together with a login that it may need.
const loginPatience = time.Hour

// connection is how to reach the cluster and its recorder; all commands share its flags.
type connection struct {
	env       Environment
	config    *genericclioptions.ConfigFlags
	url       string
	namespace string // the recorder's
	mode      string

	found      string // the namespace in which the recorder was found; empty with a URL
	unattended bool   // nobody answers prompts
}

func newConnection(env Environment) *connection {
	c := &connection{env: env, config: genericclioptions.NewConfigFlags(true)}
	c.config.WithWarningPrinter(genericiooptions.IOStreams{ErrOut: &warnings{env: &c.env}})
	c.config.WrapConfigFn = c.discovering
	return c
}

// discovering prepares a configuration for discovery.
func (c *connection) discovering(cfg *rest.Config) *rest.Config {
	cfg.UserAgent = c.userAgent()
	cfg.WarningHandler = rest.NoWarnings{} // they are not about what is asked here
	patience := cfg.Timeout
	switch {
	case patience > 0:
	case c.url != "":
		patience = discoveryPatience
	default:
		patience = kube.DefaultAPITimeout
	}
	kube.Limit(cfg, patience, kube.MaxDiscovery, c.env.display())
	cfg.Timeout = loginPatience // or the library would limit it to less
	return cfg
}

func (c *connection) addFlags(root *cobra.Command) {
	fs := root.PersistentFlags()
	c.config.AddFlags(fs)
	fs.StringVar(&c.url, "recorder-url", "", "URL of the recorder, where it is not to be reached through the API server.")
	fs.StringVar(&c.namespace, "recorder-namespace", "", "Namespace of the recorder (default: "+kube.DefaultNamespace+", or else where there is one).")
	fs.StringVar(&c.mode, "connect", string(kube.Auto), "How to reach the recorder: auto, port-forward, proxy or direct.")
	c.completeFlags(root)
	_ = root.RegisterFlagCompletionFunc("connect", cobra.FixedCompletions(
		[]string{string(kube.Auto), string(kube.PortForward), string(kube.Proxy), direct}, cobra.ShellCompDirectiveNoFileComp))
}

func (c *connection) userAgent() string { return "kubectl-watchhistory/" + c.env.Version }

// session is an open connection, and what is asked through it.
type session struct {
	*client.Client

	types     resolver
	namespace history.NamespaceScope // the objects'
}

// open connects to the recorder. Close the session after use.
func (c *connection) open(ctx context.Context) (*session, error) {
	if err := c.validateRoute(); err != nil {
		return nil, err
	}
	timeout, err := clientcmd.ParseTimeout(*c.config.Timeout)
	if err != nil {
		return nil, invalidf("--request-timeout %q is no duration: want one like 30s", *c.config.Timeout)
	}
	opts := client.Options{UserAgent: c.userAgent(), Now: c.env.Now, Timeout: timeout}
	cluster, err := c.config.ToRawKubeConfigLoader().ClientConfig()
	switch {
	case err == nil:
		c.prepareLogin(cluster)
	case c.url == "":
		return nil, invalidf("no cluster to ask: %v; give a kubeconfig with --kubeconfig, or a recorder with --recorder-url", err)
	}
	recorder, err := c.connect(ctx, cluster, opts)
	if err != nil {
		return nil, err
	}
	c.env.ahead = func() time.Duration {
		ahead, _ := recorder.ClockAhead()
		return ahead
	}
	s := &session{Client: recorder}
	s.types = resolver{
		mapper:    c.config.ToRESTMapper,
		discovery: c.config.ToDiscoveryClient,
		recorded:  recorder.Resources,
		env:       &c.env,
	}
	if s.namespace, err = c.objectNamespace(); err != nil {
		_ = recorder.Close()
		return nil, err
	}
	return s, nil
}

// validateRoute rejects contradictions between --connect and --recorder-url.
func (c *connection) validateRoute() error {
	switch mode := kube.Mode(c.mode); {
	case c.mode == direct && c.url == "":
		return invalidf("--connect=direct needs --recorder-url")
	case (mode == kube.PortForward || mode == kube.Proxy) && c.url != "":
		return invalidf("--connect=%s and --recorder-url exclude each other", c.mode)
	case mode != "" && mode != kube.Auto && mode != kube.PortForward && mode != kube.Proxy && c.mode != direct:
		return invalidf("--connect=%s is unknown: want auto, port-forward, proxy or direct", c.mode)
	default:
		return nil
	}
}

// connect connects to the recorder by its URL if there is one, and otherwise through the cluster.
func (c *connection) connect(ctx context.Context, cluster *rest.Config, opts client.Options) (*client.Client, error) {
	if c.url != "" {
		return client.New(c.url, opts)
	}
	found, err := kube.Connect(ctx, kube.Options{
		Options: opts, RESTConfig: cluster, Mode: kube.Mode(c.mode), Namespace: c.namespace,
		Display: c.env.display(), Warn: func(text string) { c.env.note("Warning: " + text) },
	})
	if err != nil {
		return nil, err
	}
	c.found = found.Namespace
	return found.Client, nil
}

// prepareLogin notes whether a person may have to log in, and keeps a plugin from asking if there is nobody to answer.
func (c *connection) prepareLogin(cluster *rest.Config) {
	c.env.logsIn = cluster.ExecProvider != nil || cluster.AuthProvider != nil
	if plugin := cluster.ExecProvider; plugin != nil && c.unattended {
		cluster.ExecProvider = plugin.DeepCopy()
		cluster.ExecProvider.StdinUnavailable = true
	}
}

// objectNamespace is that of --namespace or, as with kubectl, of the kubeconfig's context.
func (c *connection) objectNamespace() (history.NamespaceScope, error) {
	if *c.config.Namespace != "" {
		return history.ParseNamespaceScope(*c.config.Namespace), nil
	}
	namespace, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", invalidf("no namespace: %v; give one with --namespace", err)
	}
	return history.ParseNamespaceScope(namespace), nil
}

// with runs ask with an open session, and shows on a terminal that it takes its time, until there is something to write.
func (c *connection) with(ctx context.Context, ask func(*session) error) error {
	if c.env.waiting != nil && !c.env.plain { // it is erased with an escape sequence
		c.env.waiting.begin("Asking the recorder…")
		defer c.env.waiting.end()
	}
	s, err := c.open(ctx)
	if err != nil {
		return c.withHint(err)
	}
	defer s.Close()
	err = ask(s)
	c.env.warnOfSkew()
	return c.withHint(err)
}
