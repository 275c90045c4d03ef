package cli

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // the authentication providers of kubeconfigs
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// direct is the value of --connect that reaches the recorder by its URL.
// Package kube has the other values.
const direct = "direct"

// discoveryTimeout limits a discovery request if the recorder is reached by
// URL. The cluster may no longer exist then.
const discoveryTimeout = 5 * time.Second

// loginTimeout limits a discovery request together with an interactive login.
const loginTimeout = time.Hour

// connection contains the flags with which all commands reach the cluster and
// its recorder.
type connection struct {
	env       Environment
	config    *genericclioptions.ConfigFlags
	url       string
	caFile    string // with the recorder's certificate authorities
	sendLogin bool   // send the kubeconfig's credentials to the URL
	namespace string // of the recorder
	mode      string
	noPager   bool   // write to the terminal
	file      string // with the history, instead of a recorder's

	foundIn        string // the namespace in which the recorder was found; empty with a URL
	named          bool   // the namespace is an argument: no note about those of the file
	route          route  // to the recorder, after it was connected
	nonInteractive bool   // no user can answer prompts

	recorded recordedScope // of a file
}

// route is how a recorder is reached.
type route struct {
	mode       string // of --connect, without auto
	secure     bool   // with TLS
	identified bool   // the recorder receives the user's credentials
}

// newConnection returns a connection whose flags are not parsed yet. All
// commands of a command line share it.
func newConnection(env Environment) *connection {
	c := &connection{env: env, config: genericclioptions.NewConfigFlags(true)}
	c.config.WithWarningPrinter(genericiooptions.IOStreams{ErrOut: &warnings{env: &c.env}})
	c.config.WrapConfigFn = c.configureDiscovery
	return c
}

// configureDiscovery prepares a client configuration for discovery.
//
// The timeout of a request excludes the login before it. The timeout of the
// configuration would include the login, so it is replaced by [loginTimeout].
func (c *connection) configureDiscovery(cfg *rest.Config) *rest.Config {
	cfg.UserAgent = c.userAgent()
	cfg.WarningHandler = rest.NoWarnings{} // they concern discovery, not the query
	timeout := cfg.Timeout
	switch {
	case timeout > 0:
	case c.url != "":
		timeout = discoveryTimeout
	default:
		timeout = kube.DefaultAPITimeout
	}
	kube.Limit(cfg, timeout, kube.MaxDiscovery, c.env.display())
	cfg.Timeout = loginTimeout // without it, the discovery client sets a shorter one
	return cfg
}

// addFlags adds the flags of kubectl and of the connection to all commands.
func (c *connection) addFlags(root *cobra.Command) {
	fs := root.PersistentFlags()
	c.config.AddFlags(fs)
	fs.StringVar(&c.url, "recorder-url", "", "URL of the recorder, if it is not reached through the API server.")
	fs.StringVar(&c.caFile, "recorder-ca", "",
		"File with the certificate authorities of the recorder (default: those in the recorder's ConfigMap "+
			kube.AuthoritiesName+" or, with --recorder-url, those of the system).")
	fs.BoolVar(&c.sendLogin, "send-credentials", false,
		"Send the kubeconfig's credentials to the recorder at --recorder-url, which must be an https URL. "+
			"A recorder that is reached through the API server receives them if it supports TLS.")
	fs.StringVar(&c.namespace, "recorder-namespace", "",
		"Namespace of the recorder (default: "+kube.DefaultNamespace+", otherwise any namespace with a recorder).")
	fs.StringVar(&c.mode, "connect", string(kube.Auto),
		"How to reach the recorder: auto, port-forward, proxy or direct.")
	fs.StringVarP(&c.file, "filename", "f", "",
		"Read the history from a file instead of a recorder: one that record or 'watchhistory-recorder export' wrote. "+
			"- means stdin.")
	fs.BoolVar(&c.noPager, "no-pager", false, "Do not show output in a pager if it is longer than the screen.")
	c.completeFlags(root)
	_ = root.RegisterFlagCompletionFunc("connect", cobra.FixedCompletions(
		[]string{string(kube.Auto), string(kube.PortForward), string(kube.Proxy), direct},
		cobra.ShellCompDirectiveNoFileComp))
}

// userAgent returns the program's name and version.
func (c *connection) userAgent() string { return "kubectl-watchhistory/" + c.env.Version }

// session is an open connection to a recorder. It must be used by one goroutine
// at a time, because its resolver must, and it must be closed.
type session struct {
	*client.Client

	types     resolver
	namespace history.NamespaceScope // of the objects
	recorded  *recordedScope         // of a file; nil: a recorder answers

	restricted bool // the user may read less than one of the queries was about
}

// Events is [client.Client.Events]. It notes whether the page is restricted.
func (s *session) Events(ctx context.Context, q client.EventsQuery) (*client.EventsPage, error) {
	page, err := s.Client.Events(ctx, q)
	s.restricted = s.restricted || err == nil && page.Restricted
	return page, err
}

// Object is [client.Client.Object]. It notes whether the page is restricted.
func (s *session) Object(ctx context.Context, q client.ObjectQuery) (*client.ObjectPage, error) {
	page, err := s.Client.Object(ctx, q)
	s.restricted = s.restricted || err == nil && page.Restricted
	return page, err
}

// open connects to the recorder, or opens a file. The caller must close the
// session.
func (c *connection) open(ctx context.Context) (*session, error) {
	if err := c.validateRoute(); err != nil {
		return nil, err
	}
	timeout, err := clientcmd.ParseTimeout(*c.config.Timeout)
	if err != nil {
		return nil, invalidf("--request-timeout %q is not a duration: want one like 30s", *c.config.Timeout)
	}
	opts := client.Options{
		UserAgent: c.userAgent(), Now: c.env.Now,
		Timeout: max(timeout, 0), RetryWait: max(timeout, 0), OnRetry: c.env.showRetry,
	}
	if c.file != "" {
		return c.openFile(ctx, opts)
	}
	cluster, err := c.config.ToRawKubeConfigLoader().ClientConfig()
	switch {
	case err == nil:
		c.prepareLogin(cluster)
	case c.url == "" || c.sendLogin: // otherwise the cluster is needed for discovery only
		return nil, withAdvice("Give a kubeconfig with --kubeconfig, or a recorder with --recorder-url.",
			"no cluster configured: %v", err)
	}
	recorder, err := c.connect(ctx, cluster, opts)
	if err != nil {
		return nil, err
	}
	c.followClock(recorder)
	s := &session{Client: recorder}
	s.types = resolver{
		mapper:        c.config.ToRESTMapper,
		discovery:     c.config.ToDiscoveryClient,
		readCatalogue: recorder.Resources,
		env:           &c.env,
	}
	if s.namespace, err = c.objectNamespace(); err != nil {
		_ = recorder.Close()
		return nil, err
	}
	return s, nil
}

// followClock makes the recorder's clock that of relative times. The offset is
// measured with the first answer, so it is read when needed.
func (c *connection) followClock(recorder *client.Client) {
	c.env.clockOffset = func() time.Duration {
		offset, _ := recorder.ClockOffset()
		return offset
	}
}

// validateRoute rejects contradictions between the flags of the connection.
func (c *connection) validateRoute() error {
	secure := strings.HasPrefix(strings.ToLower(c.url), "https://")
	switch mode := kube.Mode(c.mode); {
	case c.file != "":
		return c.validateFile()
	case c.sendLogin && !secure:
		return invalidf("--send-credentials needs --recorder-url with an https URL")
	case c.caFile != "" && c.url != "" && !secure:
		return invalidf("--recorder-ca needs an https URL in --recorder-url")
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

// connect connects to the recorder by its URL if there is one, and otherwise
// through the cluster. Only with a URL may cluster be nil. The caller must
// close the client.
func (c *connection) connect(ctx context.Context, cluster *rest.Config, opts client.Options) (*client.Client, error) {
	o := kube.Options{
		Options: opts, RESTConfig: cluster, Mode: kube.Mode(c.mode), Namespace: c.namespace,
		Display: c.env.display(), Warn: func(text string) { c.env.note("Warning: " + text) },
	}
	if c.caFile != "" {
		var err error
		if o.Authorities, err = os.ReadFile(c.caFile); err != nil {
			return nil, invalidf("--recorder-ca: %v", err)
		}
	}
	if c.url != "" {
		if !c.sendLogin {
			o.RESTConfig = nil
		}
		c.route = route{direct, strings.HasPrefix(strings.ToLower(c.url), "https://"), c.sendLogin}
		return kube.Direct(c.url, o)
	}
	found, err := kube.Connect(ctx, o)
	if err != nil {
		return nil, err
	}
	c.foundIn = found.Namespace
	c.route = route{string(found.Mode), found.Authenticated, found.Authenticated}
	return found.Client, nil
}

// prepareLogin notes whether a credential plugin may prompt. It prevents
// prompts if no user can answer them.
func (c *connection) prepareLogin(cluster *rest.Config) {
	c.env.mayLogIn = cluster.ExecProvider != nil || cluster.AuthProvider != nil
	if plugin := cluster.ExecProvider; plugin != nil && c.nonInteractive {
		cluster.ExecProvider = plugin.DeepCopy()
		cluster.ExecProvider.StdinUnavailable = true
	}
}

// objectNamespace returns the namespace of --namespace, of a file about one
// namespace or, as kubectl does, of the kubeconfig's context.
func (c *connection) objectNamespace() (history.NamespaceScope, error) {
	if *c.config.Namespace != "" {
		return history.ParseNamespaceScope(*c.config.Namespace), c.recorded.check(*c.config.Namespace)
	}
	if c.recorded.namespace != "" {
		return history.ScopeOf(c.recorded.namespace), nil
	}
	namespace, _, err := c.config.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return "", withAdvice("Give one with --namespace.", "no namespace: %v", err)
	}
	return history.ParseNamespaceScope(namespace), nil
}

// withSession calls query with an open session, and closes it. On a terminal it
// shows progress until there is output, and a pager if the output is longer
// than the screen.
//
// Errors get hints here, where all of them pass. The warning about clocks
// follows the query, because the offset is measured with the first response.
func (c *connection) withSession(ctx context.Context, query func(*session) error) error {
	if c.env.progress != nil && !c.env.noEscapes { // it is erased by an escape sequence
		c.env.progress.begin(progressText)
		defer c.env.progress.end()
	}
	s, err := c.open(ctx)
	if err != nil {
		return c.withHint(err)
	}
	defer s.Close()
	err = c.inPager(func() error {
		if c.file == "" { // a file's clock stands at its end
			defer c.env.warnOfSkew()
			return query(s)
		}
		if err := query(s); err != nil {
			return err
		}
		return c.noteNamespaces(ctx, s)
	})
	return c.withHint(err)
}
