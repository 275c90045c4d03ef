package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/admin"
	"github.com/watchhistory/watchhistory/pkg/api"
	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// Daemon is a recorder that is ready to run: its port is open and its database is its own.
type Daemon struct {
	logger   *slog.Logger
	program  string // that this is, with its version
	listener net.Listener
	store    *store.Store
	recorder *recorder.Recorder
	watchers *watcher.Set
	log      *observed
	server   *http.Server
	socket   net.Listener                // for the commands of pkg/admin; nil where it can't be opened
	follow   func(context.Context) error // keeps to the configuration's source; nil: it stays as it is

	started  Config
	config   atomic.Pointer[Config] // in force, as far as it can be without a restart
	reloaded atomic.Pointer[reload]
	redacted []recorder.Redaction // in force, those of resources that are recorded no longer included; for who follows the source
	failures failures
	ignored  gap.Ignored // resources that a former configuration ignored, until they are recorded again
}

// New opens the port and the database, in this order: what fails at once is tried first. Its errors say what to do. It does not
// wait for the cluster: an outage is when history is wanted most. The caller runs the daemon or closes it.
func New(ctx context.Context, c Config, cluster *rest.Config, logger *slog.Logger) (_ *Daemon, err error) {
	d := &Daemon{logger: logger, started: c, program: cluster.UserAgent, redacted: c.rules().Redact}
	d.config.Store(&c)
	d.reloaded.Store(&reload{at: time.Now(), ok: true})
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.listener, err = listen(ctx, c.Address()); err != nil {
		return nil, err
	}
	if d.store, err = store.Open(c.StoragePath, c.storage(logger)); err != nil {
		return nil, err
	}
	if d.socket, err = admin.Listen(ctx, c.StoragePath); err != nil {
		logger.WarnContext(ctx, "backup, verify and export work only while the recorder is stopped, for want of a socket", "err", err)
	}
	d.recorder = recorder.New(d.store, recorder.Options{
		Logger: logger, RedactionKey: d.store.RedactionKey(),
		// No stream is opened before the watchers are there.
		Scope: func(group, kind string) (namespaced, known bool) { return d.watchers.Scope(group, kind) },
	})
	if err = d.recorder.SetRules(c.rules()); err != nil {
		return nil, err
	}
	if d.watchers, err = d.newWatchers(c, cluster); err != nil {
		return nil, err
	}
	d.log = newObserved(d.store, d.watchers, d.recorder.Refused)
	d.server = api.NewServer(d.newHandler(ctx), api.Patience{}, logger)
	logger.InfoContext(ctx, "recording", "cluster", cluster.Host, "storage", c.StoragePath, "retention", c.Retention(), "address", d.Address())
	return d, nil
}

func (d *Daemon) newWatchers(c Config, cluster *rest.Config) (*watcher.Set, error) {
	set, err := watcher.NewSet(cluster, watcher.SetOptions{
		Options: watcher.Options{Logger: d.logger, OnChange: d.failures.countChange}, Targets: c.targets(), Open: d.open,
	})
	if err != nil {
		return nil, history.Errorf(history.Invalid, "the kubeconfig does not tell how to reach the cluster: %v", err)
	}
	return set, nil
}

func (d *Daemon) newHandler(ctx context.Context) http.Handler {
	service := query.New(d.log, query.Options{
		Omissions: func() []history.IgnoreRule { return d.config.Load().Rules.Ignore },
		Served:    d.watchers.Served,
		Absent:    d.unrecorded,
	})
	return api.New(service, api.Options{
		Logger:   d.logger,
		MaxLimit: func() int { return d.config.Load().MaxQueryLimit },
		Missing:  d.missing,
		Refused:  d.recorder.Refused,
		States:   d.states,
		Metrics:  d.metrics(func() []history.Gap { return d.log.live.Open(context.WithoutCancel(ctx)) }),
	})
}

// Address returns the host:port that the REST API listens on.
func (d *Daemon) Address() string { return d.listener.Addr().String() }

// Run records and serves until ctx ends, and then returns nil, or until a part fails. Either way it stops the parts in
// order, writes what was accepted, and closes the database. It is called once.
func (d *Daemon) Run(ctx context.Context) error {
	p := newPipeline(ctx)
	p.start("write", d.recorder.Run)
	p.start("prune", func(ctx context.Context) error { return prune(ctx, d.store, d.logger) })
	p.start("watch", d.watchers.Run)
	if d.follow != nil {
		p.start("follow the configuration", d.follow)
	}
	p.start("serve", func(ctx context.Context) error { return serve(ctx, d.server, d.listener) })
	if d.socket != nil {
		p.start("serve the socket", func(ctx context.Context) error {
			return serve(ctx, admin.NewServer(d.store, d.program, d.logger), d.socket)
		})
	}
	p.wait(ctx)
	d.logger.InfoContext(ctx, "stopping")
	err := errors.Join(p.stop(), d.Close())
	d.logger.InfoContext(ctx, "stopped")
	return err
}

// Close gives back the port, the socket and the database of a daemon that does not run. It may be called again.
func (d *Daemon) Close() error {
	var errs []error
	for _, l := range []net.Listener{d.listener, d.socket} {
		if l == nil {
			continue
		}
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close %s: %w", l.Addr(), err))
		}
	}
	d.listener, d.socket = nil, nil
	if d.store != nil {
		if err := d.store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the database: %w", err))
		}
		d.store = nil
	}
	return errors.Join(errs...)
}
