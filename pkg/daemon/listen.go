package daemon

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access"
	"github.com/watchhistory/watchhistory/pkg/access/serving"
	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// serviceName is the name of the Service in front of the recorder.
const serviceName = "watchhistory-recorder"

// secure is the secure listener: the REST API with TLS, for callers whom the
// cluster identifies.
type secure struct {
	listener     net.Listener
	gate         *access.Gate
	certificates *serving.Certificates
}

// listen opens the ports of the configuration.
func (d *Daemon) listen(ctx context.Context, c Config, cluster *rest.Config) (err error) {
	if c.ServerPort != NoPort {
		d.listener, err = listen(ctx, c.Address(), "serverPort (SERVER_PORT)", "bindAddress (BIND_ADDRESS)")
		if err != nil {
			return err
		}
	}
	if c.SecurePort != NoPort {
		if d.secure, err = d.newSecure(ctx, c, cluster); err != nil {
			return err
		}
	}
	if c.DebugPort != NoPort {
		d.debug, err = listen(ctx, c.DebugAddress(), "debugPort (DEBUG_PORT)", "debugPort (DEBUG_PORT)")
	}
	return err
}

// listen opens an address. The settings are those that select it.
func listen(ctx context.Context, address, portSetting, addressSetting string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, listenError(address, portSetting, addressSetting, err)
	}
	return l, nil
}

// newSecure opens the secure listener.
func (d *Daemon) newSecure(ctx context.Context, c Config, cluster *rest.Config) (*secure, error) {
	gate, err := access.New(cluster, d.client, access.Options{
		Logger: d.logger, Path: api.Path, Fail: api.WriteError, Certificates: d.clientCertificates,
		Open:        []string{v1.HealthPath, v1.LivezPath, v1.OpenAPIPath},
		NonResource: []string{v1.MetricsPath},
		Optional:    map[string]string{v1.ReadyzPath: v1.MetricsPath},
	})
	if err != nil {
		return nil, err
	}
	certificates, err := serving.New(ctx, cluster, d.client, serving.Options{
		CertFile: c.TLSCertFile, KeyFile: c.TLSKeyFile, CAFile: c.TLSCAFile,
		Service: serviceName, Namespace: c.Namespace, Logger: d.logger,
	})
	if err != nil {
		return nil, certificateError(err)
	}
	listener, err := listen(ctx, c.SecureAddress(), "securePort (SECURE_PORT)",
		"secureBindAddress (SECURE_BIND_ADDRESS)")
	if err != nil {
		return nil, err
	}
	return &secure{listener: listener, gate: gate, certificates: certificates}, nil
}

// certificateError adds the settings to an error about a file of package
// serving.
func certificateError(err error) error {
	if history.CodeOf(err) != history.Internal {
		return err
	}
	return &history.Error{
		Code: history.Invalid, Message: err.Error(), Err: err,
		Hint: "Check tlsCertFile (TLS_CERT_FILE), tlsKeyFile (TLS_KEY_FILE) and tlsCAFile (TLS_CA_FILE). " +
			"Without them, the recorder makes a certificate.",
	}
}

// serve serves the handler to admitted callers until ctx ends.
func (s *secure) serve(ctx context.Context, handler http.Handler, connections int, logger *slog.Logger) error {
	server := api.NewServer(s.gate.Handler(handler), api.ServerOptions{Connections: connections}, logger)
	server.TLSConfig = s.certificates.TLSConfig()
	return serve(ctx, server, tls.NewListener(s.listener, server.TLSConfig))
}

// caller returns the caller of a request. It is nil if the request arrived on
// the listener without TLS, and the configuration does not limit what every
// client may read there.
func (d *Daemon) caller(ctx context.Context) query.Authorizer {
	if c := access.From(ctx); c != nil {
		return c
	}
	c := d.config.Load()
	if !c.Anonymous.isLimited() {
		return nil
	}
	a := &access.Anonymous{Scopes: c.Anonymous.Scopes, Resources: c.Anonymous.Resources}
	if !d.started.EarlierNamespaces {
		a.Existing = d.namespaces
	}
	return a
}

// showsDetails reports whether a request may read which resources are not in
// sync: on the secure listener only with the right that [access.Options]
// requires, and on the other one unless the configuration limits it.
func (d *Daemon) showsDetails(ctx context.Context) bool {
	if c := access.From(ctx); c != nil {
		return c.Name() != ""
	}
	return !d.config.Load().Anonymous.isLimited()
}

// limited returns a handler that refuses requests on the listener without TLS
// if the configuration limits what they may read. Metrics name all resources.
func (d *Daemon) limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if access.From(r.Context()) == nil && d.config.Load().Anonymous.isLimited() {
			api.WriteError(w, r, history.Errorf(history.Forbidden,
				"metrics are not shown on this port: the configuration limits it (anonymous)"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// readmit returns an error if the caller of a request would not be admitted any
// more.
func readmit(ctx context.Context) error {
	if c := access.From(ctx); c != nil {
		return c.Readmit(ctx)
	}
	return nil
}

// client returns the name for the limits of a caller, or "" if the caller is
// not known. Users and hosts can't have the same name.
func client(r *http.Request) string {
	if c := access.From(r.Context()); c != nil && c.Name() != "" {
		return "user " + c.Name()
	}
	return ""
}

// userName returns the name of a caller for the access log, or "" if the caller
// is not known.
func userName(ctx context.Context) string {
	if c := access.From(ctx); c != nil {
		return c.Name()
	}
	return ""
}

// isOwnHost reports whether a name is one of the recorder's: those of its
// Service, and those of the configuration.
func (d *Daemon) isOwnHost(name string) bool {
	if slices.Contains(d.config.Load().AllowedHosts, name) || name == serviceName {
		return true
	}
	namespace := d.started.Namespace
	if namespace == "" {
		return false
	}
	service := serviceName + "." + namespace
	return slices.Contains([]string{service, service + ".svc", service + ".svc.cluster.local"}, name)
}
