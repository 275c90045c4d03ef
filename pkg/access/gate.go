package access

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access/internal/outage"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Options configure a [Gate].
type Options struct {
	Logger *slog.Logger // default: discards
	// Now is the clock of the caches. Default: [time.Now].
	Now func() time.Time
	// Path returns the path that a request is routed by. Default: the path of
	// its URL. It must be the one that the handler behind the gate uses.
	Path func(*http.Request) string
	// Open are the paths that need no identity.
	Open []string
	// Optional are paths that need no identity, each with another path. Callers
	// who may get that one as a non-resource URL are passed on. All others are
	// the zero Caller, also if the API server can't be asked.
	Optional map[string]string
	// NonResource are the paths that need the right to get them as a
	// non-resource URL.
	NonResource []string
	// Certificates parses whose client certificates are trusted. Nil: none are.
	Certificates CertificateParser
	// Fail writes the answer to a request that is refused. It is required.
	Fail func(http.ResponseWriter, *http.Request, error)
}

// CertificateParser returns the authenticator of requests with a client
// certificate, from the data of the ConfigMap in which the API server publishes
// whose certificates it trusts. Package clientcert has one.
type CertificateParser func(data map[string]string) (authenticator.Request, error)

// admissionTimeout bounds how long a request waits for its admission. It is
// longer than one request to the API server, which reports more precisely.
const admissionTimeout = requestTimeout + 5*time.Second

// The rate limits of each client. They only protect the API server from a flood
// of tokens, because its own limits depend on the recorder's other requests.
const (
	clientQPS   = 200
	clientBurst = 400
)

// Gate admits requests: it establishes the identity of their callers. It is
// safe for concurrent use.
type Gate struct {
	options Options
	tokens  *tokens
	trust   *trust
	reviews *reviewer
}

// New returns a gate that asks this cluster through a client with the
// credentials of the configuration. The caller owns the client. New does not
// connect.
func New(cluster *rest.Config, client *http.Client, o Options) (*Gate, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Path == nil {
		o.Path = func(r *http.Request) string { return r.URL.Path }
	}
	config := rest.CopyConfig(cluster)
	config.RateLimiter, config.QPS, config.Burst = nil, clientQPS, clientBurst
	// Each client has a rate limiter of its own. So a flood of invalid tokens
	// does not delay the reviews of valid callers.
	authentication, err := authenticationclient.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	// Package query bounds the reviews of a question that are made at once.
	unlimited := rest.CopyConfig(config)
	unlimited.QPS = -1
	authorization, err := authorizationclient.NewForConfigAndClient(unlimited, client)
	if err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	core, err := corev1client.NewForConfigAndClient(config, client)
	if err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	objects, err := metadata.NewForConfigAndClient(metadata.ConfigFor(config), client)
	if err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	log := outage.NewLog(o.Logger)
	namespaces := newNamespaces(objects, log, o.Now)
	return &Gate{
		options: o,
		tokens:  newTokens(authentication.TokenReviews(), log, o.Now),
		trust:   newTrust(core, o.Certificates, log, o.Now),
		reviews: newReviewer(authorization, namespaces, log, o.Now),
	}, nil
}

// Handler returns a handler that passes admitted requests to next, with the
// caller in their context. All others are refused by Options.Fail.
func (g *Gate) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := g.options.Path(r)
		if slices.Contains(g.options.Open, path) {
			next.ServeHTTP(w, r.WithContext(With(r.Context(), &Caller{})))
			return
		}
		if other, optional := g.options.Optional[path]; optional {
			caller, err := g.admit(r, other)
			if err != nil {
				g.options.Logger.DebugContext(r.Context(), "caller not identified", "path", r.URL.Path, "err", err)
				caller = &Caller{}
			}
			next.ServeHTTP(w, r.WithContext(With(r.Context(), caller)))
			return
		}
		caller, err := g.admit(r, path)
		if err != nil {
			g.refuse(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(With(r.Context(), caller)))
	})
}

// refuse writes the answer to a request that is not admitted.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, err error) {
	g.options.Logger.DebugContext(r.Context(), "request refused", "path", r.URL.Path, "err", err)
	if history.CodeOf(err) == history.Unauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="watchhistory"`)
		if r.ProtoMajor == 2 { // HTTP/2 is expensive, so that clients without an identity don't keep a connection
			w.Header().Set("Connection", "close")
		}
	}
	g.options.Fail(w, r, err)
}

// admit returns the caller of a request. The path is that of Options.Path.
func (g *Gate) admit(r *http.Request, path string) (*Caller, error) {
	ctx, cancel := context.WithTimeout(r.Context(), admissionTimeout)
	defer cancel()
	sent := &http.Request{Header: r.Header.Clone(), TLS: r.TLS} // with the credentials, which are removed below
	of, err := g.identify(ctx, r)
	if err != nil {
		return nil, err
	}
	if slices.Contains(g.options.NonResource, path) {
		switch allowed, err := g.reviews.path(ctx, &of, path); {
		case err != nil:
			return nil, err
		case !allowed:
			return nil, history.Errorf(history.Forbidden, "user %q may not get the path %s", of.GetName(), path)
		}
	}
	return &Caller{user: of, reviews: g.reviews, readmit: func(ctx context.Context) (asker, error) {
		ctx, cancel := context.WithTimeout(ctx, admissionTimeout)
		defer cancel()
		return g.identify(ctx, &http.Request{Header: sent.Header.Clone(), TLS: sent.TLS})
	}}, nil
}

// identify returns the user of a request: the one that its credentials
// identify, or the one that it impersonates. It reads only the headers and the
// TLS state of the request.
func (g *Gate) identify(ctx context.Context, r *http.Request) (asker, error) {
	u, err := g.authenticate(ctx, r)
	if err != nil {
		return asker{}, err
	}
	if u, err = g.impersonate(ctx, u, r.Header); err != nil {
		return asker{}, err
	}
	return newAsker(u)
}

// authenticate returns the user of a request: the one that the front proxy
// names, that of the client certificate, or that of the bearer token. A later
// credential is used if an earlier one is missing or invalid.
//
// If no credential is valid and one could not be checked, the error is
// [history.Unavailable].
func (g *Gate) authenticate(ctx context.Context, r *http.Request) (user.Info, error) {
	var reason string
	var unchecked error
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		u, err := g.byCertificate(ctx, r)
		switch {
		case u != nil:
			return identified(u)
		case err != nil:
			unchecked = err
		default:
			reason = "the cluster does not accept the client certificate for this request"
		}
	}
	if token := bearerToken(r.Header); token != "" {
		u, accepted, err := g.tokens.identify(ctx, token)
		switch {
		case accepted && err == nil:
			r.Header.Del("Authorization")
			return identified(u)
		case err != nil:
			unchecked = cmp.Or(unchecked, err)
		default:
			reason = "the bearer token is invalid or expired"
		}
	}
	if unchecked != nil {
		return nil, unchecked
	}
	return nil, history.Errorf(history.Unauthorized, "not authenticated: %s",
		cmp.Or(reason, "send a bearer token or a client certificate of the cluster"))
}

// identified returns the user, unless it is the anonymous one, which a front
// proxy may name.
func identified(u user.Info) (user.Info, error) {
	if u.GetName() == user.Anonymous || slices.Contains(u.GetGroups(), user.AllUnauthenticated) {
		return nil, history.Errorf(history.Unauthorized, "not authenticated: anonymous users have no access")
	}
	return u, nil
}

// byCertificate returns the user of a request with a client certificate, or nil
// if the cluster does not accept it.
func (g *Gate) byCertificate(ctx context.Context, r *http.Request) (user.Info, error) {
	if g.options.Certificates == nil {
		return nil, nil //nolint:nilnil // documented
	}
	a, err := g.trust.authenticator(ctx)
	if err != nil {
		return nil, err
	}
	// An error means that the certificate is invalid.
	response, ok, err := a.AuthenticateRequest(r)
	if err != nil || !ok {
		return nil, nil //nolint:nilerr,nilnil // documented
	}
	return response.User, nil
}

// bearerToken returns the token of the Authorization header, or "".
func bearerToken(h http.Header) string {
	scheme, token, _ := strings.Cut(strings.TrimSpace(h.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}
