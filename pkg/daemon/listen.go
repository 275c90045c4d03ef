package daemon

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"slices"

	utilnet "k8s.io/apimachinery/pkg/util/net"
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
// cluster knows.
type secure struct {
	listener     net.Listener
	client       *http.Client // of the cluster
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
		if d.secure, err = newSecure(ctx, c, cluster, d.logger); err != nil {
			return err
		}
	}
	return nil
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
func newSecure(ctx context.Context, c Config, cluster *rest.Config, logger *slog.Logger) (*secure, error) {
	client, err := rest.HTTPClientFor(cluster)
	if err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	gate, err := access.New(cluster, client, access.Options{
		Logger: logger, Path: api.Path, Fail: api.WriteError,
		Open:        []string{v1.HealthPath, v1.LivezPath, v1.ReadyzPath},
		NonResource: []string{v1.MetricsPath},
	})
	if err != nil {
		return nil, err
	}
	certificates, err := serving.New(ctx, cluster, client, serving.Options{
		CertFile: c.TLSCertFile, KeyFile: c.TLSKeyFile, CAFile: c.TLSCAFile,
		Service: serviceName, Namespace: c.Namespace, Logger: logger,
	})
	if err != nil {
		return nil, certificateError(err)
	}
	listener, err := listen(ctx, c.SecureAddress(), "securePort (SECURE_PORT)",
		"secureBindAddress (SECURE_BIND_ADDRESS)")
	if err != nil {
		return nil, err
	}
	return &secure{listener: listener, client: client, gate: gate, certificates: certificates}, nil
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

// close closes the listener and the connections to the API server.
func (s *secure) close() error {
	utilnet.CloseIdleConnectionsFor(s.client.Transport)
	return s.listener.Close()
}

// serve serves the handler to admitted callers until ctx ends.
func (s *secure) serve(ctx context.Context, handler http.Handler, connections int, logger *slog.Logger) error {
	server := api.NewServer(s.gate.Handler(handler), api.ServerOptions{Connections: connections}, logger)
	server.TLSConfig = s.certificates.TLSConfig()
	return serve(ctx, server, tls.NewListener(s.listener, server.TLSConfig))
}

// caller returns the caller of a request, or nil if it arrived on the listener
// without TLS, where every client may read everything.
func caller(ctx context.Context) query.Authorizer {
	if c := access.From(ctx); c != nil {
		return c
	}
	return nil
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
