package daemon

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access"
	"github.com/watchhistory/watchhistory/pkg/admin"
	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// Daemon is a recorder that is ready to run. It owns its ports, its socket and
// its database.
type Daemon struct {
	logger     *slog.Logger
	program    string       // the program's name and version
	startTime  time.Time    // when New was called
	listener   net.Listener // without TLS; nil if it is off
	secure     *secure      // nil if it is off
	debug      net.Listener // for profiles; nil if it is off
	client     *http.Client // of the cluster, for what is asked because of a request
	namespaces *access.Namespaces
	store      *store.Store
	recorder   *recorder.Recorder
	watchers   *watcher.Set
	log        *observed
	handler    http.Handler
	socket     net.Listener                // for the commands of pkg/admin; nil if it can't be opened
	follow     func(context.Context) error // follows the configuration's source; nil if there is none
	metrics    *metrics
	stopping   chan struct{} // closed when Run begins to stop

	clientCertificates access.CertificateParser // nil: none are accepted

	// started is the configuration that New was called with. The fields of
	// [Config.fixedIn] never change.
	started Config
	// config is the current configuration, except for these fields.
	config atomic.Pointer[Config]
	// redacted are the current redactions. They include those of resources that
	// are no longer recorded. Only the goroutine of follow uses it.
	redacted []recorder.Redaction
	ignored  gap.Ignored // resources that a former configuration ignored, until they are recorded again
}

// Option changes a daemon before it opens its ports.
type Option func(*Daemon)

// WithClientCertificates accepts callers with the client certificates that the
// parser trusts.
func WithClientCertificates(parse access.CertificateParser) Option {
	return func(d *Daemon) { d.clientCertificates = parse }
}

// New opens the ports and then the database. The caller runs the daemon or
// closes it.
//
// New does not wait for the cluster, because history must be available during
// an outage.
func New(
	ctx context.Context, c Config, cluster *rest.Config, logger *slog.Logger, options ...Option,
) (_ *Daemon, err error) {
	d := &Daemon{
		logger: logger, started: c, program: cluster.UserAgent, redacted: c.rules().Redact, metrics: newMetrics(),
		stopping: make(chan struct{}), startTime: time.Now().UTC(),
	}
	for _, set := range options {
		set(d)
	}
	d.config.Store(&c)
	d.metrics.setReloaded(true)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.client, err = rest.HTTPClientFor(cluster); err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	if d.namespaces, err = access.NewNamespaces(cluster, d.client, logger); err != nil {
		return nil, err
	}
	if err = d.listen(ctx, c, cluster); err != nil {
		return nil, err
	}
	if d.store, err = store.Open(c.StoragePath, c.storeOptions(logger)); err != nil {
		return nil, storageError(err)
	}
	if !c.Embedded {
		if d.socket, err = admin.Listen(ctx, c.StoragePath); err != nil {
			logger.WarnContext(ctx,
				"admin socket not available: backup, verify and export work only while the recorder is stopped",
				"err", err)
		}
	}
	d.recorder = recorder.New(d.store, recorder.Options{
		Logger: logger, RedactionKey: d.store.RedactionKey(),
		// Only streams call Scope, and none is opened before d.watchers is set.
		Scope:      func(group, kind string) (namespaced, known bool) { return d.watchers.Scope(group, kind) },
		Registerer: d.metrics.registry,
	})
	if err = d.recorder.SetRules(c.rules()); err != nil {
		return nil, err
	}
	if d.watchers, err = d.newWatchers(c, cluster); err != nil {
		return nil, err
	}
	d.log = newObserved(d.store, d.watchers, d.recorder.RetryError)
	d.handler = d.newHandler(ctx)
	logger.InfoContext(ctx, "recording", "cluster", cluster.Host, "storage", c.StoragePath,
		"retention", c.Retention(), "address", d.Address(), "secure_address", d.SecureAddress(),
		"debug_address", d.DebugAddress())
	return d, nil
}

// newWatchers returns the watchers. They connect to the cluster when they run.
func (d *Daemon) newWatchers(c Config, cluster *rest.Config) (*watcher.Set, error) {
	set, err := watcher.NewSet(cluster, watcher.SetOptions{
		Options: watcher.Options{
			Logger: d.logger, OnChange: d.metrics.countChange, Namespace: c.WatchNamespace,
		},
		Targets: c.targets(), Open: d.open, Documents: d.recorder.Documents(),
	})
	if err != nil {
		return nil, history.Errorf(history.Invalid, "kubeconfig is invalid: %v", err)
	}
	return set, nil
}

// newHandler returns the handler of the REST API. What depends on the
// configuration is read for each request.
func (d *Daemon) newHandler(ctx context.Context) http.Handler {
	service := query.New(d.log, query.Options{
		IgnoreRules: func() []history.IgnoreRule { return d.config.Load().Rules.Ignore },
		Symptoms:    d.recorder.Symptoms,
		Served:      d.watchers.Served,
		Unrecorded:  d.unrecorded,
		LastRead: func(ctx context.Context) (time.Time, error) {
			read, err := d.store.Checkpoint(ctx, history.Documents())
			return read.Time, err
		},

		EarlierNamespaces: d.started.EarlierNamespaces,
		Feed:              d.store,
	})
	d.metrics.collect(d.store, func() []history.Gap { return d.log.live.Open(context.WithoutCancel(ctx)) })
	return api.New(service, api.Options{
		Logger:   d.logger,
		MaxLimit: func() int { return d.config.Load().MaxQueryLimit },
		Missing:  d.missing,
		Refused:  d.recorder.RetryError,
		Details:  d.showsDetails,
		States:   d.states,
		Metrics:  d.limited(d.metrics.handler()),
		Recorder: v1.Recorder{
			Version: versionOf(d.program), Started: d.startTime, RetentionDays: d.started.RetentionDays,
		},
		Caller:  d.caller,
		User:    userName,
		Host:    d.isOwnHost,
		Client:  client,
		Recheck: readmit,

		CursorKey: d.store.RedactionKey(),
		Streams:   d.started.MaxStreams,
		Stopping:  d.stopping,

		Concurrency: d.started.MaxConcurrentQueries,
		Timeout:     time.Duration(d.started.QueryTimeoutSeconds) * time.Second,
		Rate:        cmp.Or(float64(d.started.MaxQueryRate), api.NoRate),
		Registerer:  d.metrics.registry,
	})
}

// Address returns the host:port that the REST API listens on without TLS, or ""
// if that is off.
func (d *Daemon) Address() string { return addressOf(d.listener) }

// DebugAddress returns the host:port of the debug listener, or "" if that is
// off.
func (d *Daemon) DebugAddress() string { return addressOf(d.debug) }

// addressOf returns the host:port of a listener, or "" for nil.
func addressOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// SecureAddress returns the host:port of the secure listener, or "" if that is
// off.
func (d *Daemon) SecureAddress() string {
	if d.secure == nil {
		return ""
	}
	return d.secure.listener.Addr().String()
}

// Authorities returns the certificate authorities of the secure listener, as
// PEM. It is nil if that is off or if they are unknown.
func (d *Daemon) Authorities() []byte {
	if d.secure == nil {
		return nil
	}
	return d.secure.certificates.Authorities()
}

// Run records and serves until ctx ends, and then returns nil, or until a
// component fails. In both cases it stops the components in order, commits the
// accepted records, and closes the database. It must be called once.
func (d *Daemon) Run(ctx context.Context) error {
	err := errors.Join(d.Record(ctx), d.Close())
	d.logger.InfoContext(ctx, "stopped")
	return err
}

// Record is Run without closing the database, so that the caller can read it
// afterwards. The caller must call [Daemon.Close].
func (d *Daemon) Record(ctx context.Context) error {
	c := newComponents(ctx)
	c.start("write", d.recorder.Run)
	c.start("prune", func(ctx context.Context) error { return prune(ctx, d.store, d.logger) })
	c.start("watch", d.watchers.Run)
	if d.follow != nil {
		c.start("follow the configuration", d.follow)
	}
	if d.listener != nil {
		c.start("serve", func(ctx context.Context) error {
			return serve(ctx,
				api.NewServer(d.handler, api.ServerOptions{Connections: d.started.MaxConnections}, d.logger),
				d.listener)
		})
	}
	if s := d.secure; s != nil {
		c.start("provide certificates", s.certificates.Run)
		c.start("serve with TLS", func(ctx context.Context) error {
			return s.serve(ctx, d.handler, d.started.MaxConnections, d.logger)
		})
	}
	if d.debug != nil {
		c.start("serve profiles", func(ctx context.Context) error {
			return serve(ctx, newDebugServer(d.logger), d.debug)
		})
	}
	if d.socket != nil {
		c.start("serve the socket", func(ctx context.Context) error {
			return serve(ctx, admin.NewServer(d.store, d.program, d.logger), d.socket)
		})
	}
	c.wait(ctx)
	d.logger.InfoContext(ctx, "stopping")
	close(d.stopping) // a server that stops waits for its streams
	return c.stop()
}

// Close closes the ports, the socket and the database of a daemon that does not
// run. It may be called more than once.
func (d *Daemon) Close() error {
	var errs []error
	if d.secure != nil {
		if err := d.secure.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close %s: %w", d.SecureAddress(), err))
		}
	}
	for _, l := range []net.Listener{d.listener, d.debug, d.socket} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close %s: %w", l.Addr(), err))
		}
	}
	d.listener, d.secure, d.debug, d.socket = nil, nil, nil, nil
	if d.client != nil {
		utilnet.CloseIdleConnectionsFor(d.client.Transport)
	}
	if d.store != nil {
		if err := d.store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the database: %w", err))
		}
		d.store = nil
	}
	return errors.Join(errs...)
}
