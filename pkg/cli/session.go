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
)

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

	unattended bool // nobody answers prompts
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
		patience = client.DefaultAPITimeout
	}
	client.Limit(cfg, patience, client.MaxDiscovery, c.env.display())
	cfg.Timeout = loginPatience // or the library would limit it to less
	return cfg
}

func (c *connection) addFlags(root *cobra.Command) {
	fs := root.PersistentFlags()
	c.config.AddFlags(fs)
	fs.StringVar(&c.url, "recorder-url", "", "URL of the recorder, where it is not to be reached through the API server.")
	fs.StringVar(&c.namespace, "recorder-namespace", "", "Namespace of the recorder (default: "+client.DefaultNamespace+", or else where there is one).")
	fs.StringVar(&c.mode, "connect", string(client.Auto), "How to reach the recorder: auto, port-forward, proxy or direct.")
	c.completeFlags(root)
	_ = root.RegisterFlagCompletionFunc("connect", cobra.FixedCompletions(
		[]string{string(client.Auto), string(client.PortForward), string(client.Proxy), string(client.Direct)}, cobra.ShellCompDirectiveNoFileComp))
}

func (c *connection) userAgent() string { return "kubectl-watchhistory/" + c.env.Version }

// session is an open connection, and what is asked through it.
type session struct {
	*client.Client

	types     resolver
	namespace string // the objects'
}

// open connects to the recorder. Close the session after use.
func (c *connection) open(ctx context.Context) (*session, error) {
	opts := client.ConnectOptions{
		Options: client.Options{UserAgent: c.userAgent(), Now: c.env.Now},
		Mode:    client.Mode(c.mode), URL: c.url, Namespace: c.namespace,
	}
	timeout, err := clientcmd.ParseTimeout(*c.config.Timeout)
	if err != nil {
		return nil, invalidf("--request-timeout %q is no duration: want one like 30s", *c.config.Timeout)
	}
	opts.Timeout = timeout
	cluster, err := c.config.ToRawKubeConfigLoader().ClientConfig()
	switch {
	case err == nil:
		c.prepareLogin(cluster)
	case c.url == "":
		return nil, invalidf("no cluster to ask: %v; give a kubeconfig with --kubeconfig, or a recorder with --recorder-url", err)
	}
	if c.url == "" {
		opts.RESTConfig = cluster
	}
	opts.Display = c.env.display()
	opts.Warn = func(text string) { c.env.note("Warning: " + text) }
	recorder, err := client.Connect(ctx, opts)
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

// prepareLogin notes whether a person may have to log in, and keeps a plugin from asking if there is nobody to answer.
func (c *connection) prepareLogin(cluster *rest.Config) {
	c.env.logsIn = cluster.ExecProvider != nil || cluster.AuthProvider != nil
	if plugin := cluster.ExecProvider; plugin != nil && c.unattended {
		cluster.ExecProvider = plugin.DeepCopy()
		cluster.ExecProvider.StdinUnavailable = true
	}
}

// objectNamespace is that of --namespace or, as with kubectl, of the kubeconfig's context.
func (c *connection) objectNamespace() (string, error) {
	if *c.config.Namespace != "" {
		return *c.config.Namespace, nil
	}
	namespace, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", invalidf("no namespace: %v; give one with --namespace", err)
	}
	return namespace, nil
}

// with runs ask with an open session, and shows on a terminal that it takes its time, until there is something to write.
func (c *connection) with(ctx context.Context, ask func(*session) error) error {
	if c.env.waiting != nil && !c.env.plain { // it is erased with an escape sequence
		c.env.waiting.begin("Asking the recorder…")
		defer c.env.waiting.end()
	}
	s, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	err = ask(s)
	c.env.warnOfSkew()
	return err
}
