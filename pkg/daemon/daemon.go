package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// Daemon is a recorder that is ready to run: its port is open and its database is its own.
type Daemon struct {
	logger   *slog.Logger
	listener net.Listener
	store    *store.Store
	recorder *recorder.Recorder
	watchers *watcher.Set
	server   *http.Server
}

// New opens the port and the database and reaches the cluster, in this order: what fails at once is tried first. Its
// errors say what to do. The caller runs the daemon or closes it.
func New(ctx context.Context, c Config, cluster *rest.Config, logger *slog.Logger) (_ *Daemon, err error) {
	d := &Daemon{logger: logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if d.listener, err = listen(ctx, c.Address()); err != nil {
		return nil, err
	}
	if d.store, err = store.Open(c.StoragePath, store.Options{Retention: c.Retention(), Logger: logger}); err != nil {
		return nil, err
	}
	serverVersion, err := reach(ctx, cluster)
	if err != nil {
		return nil, err
	}
	d.recorder = recorder.New(d.store, recorder.Options{Logger: logger, RedactionKey: d.store.RedactionKey()})
	if err = d.recorder.SetRules(c.Rules); err != nil {
		return nil, err
	}
	if d.watchers, err = d.newWatchers(c, cluster); err != nil {
		return nil, err
	}
	log := &observed{d.store, d.watchers.States}
	d.server = newServer(api.New(query.New(log, query.Options{Omissions: func() []history.Omission { return c.Rules.Ignore }}), api.Options{
		Logger:   logger,
		MaxLimit: func() int { return c.MaxQueryLimit },
		Ready:    d.watchers.Ready,
		States:   d.states,
		Metrics:  d.metrics(func() []history.Gap { return log.open(context.WithoutCancel(ctx)) }),
	}), logger)
	logger.InfoContext(ctx, "recording",
		"cluster", cluster.Host, "server", serverVersion, "storage", c.StoragePath, "retention", c.Retention(), "address", d.Address())
	return d, nil
}

func (d *Daemon) newWatchers(c Config, cluster *rest.Config) (*watcher.Set, error) {
	return watcher.NewSet(cluster, watcher.SetOptions{
		Options: watcher.Options{Logger: d.logger, OnChange: d.explain},
		Targets: watcher.Targets{Resources: c.Resources, DiscoverCRDs: c.DiscoverCRDs, Excluded: c.excluded()},
		Open: func(ctx context.Context, r history.Resource) (watcher.Sink, error) {
			return d.recorder.Stream(ctx, r)
		},
	})
}

// Address returns the host:port that the REST API listens on.
func (d *Daemon) Address() string { return d.listener.Addr().String() }

// Run records and serves until ctx ends, and then returns nil, or until a part fails. Either way it stops the parts in
// order, writes what was accepted, and closes the database. It is called once.
func (d *Daemon) Run(ctx context.Context) error {
	p := newPipeline(ctx)
	p.start("write", d.recorder.Run)
	p.start("watch", d.watchers.Run)
	p.start("serve", func(ctx context.Context) error { return serve(ctx, d.server, d.listener) })
	p.wait(ctx)
	d.logger.InfoContext(ctx, "stopping")
	err := errors.Join(p.stop(), d.Close())
	d.logger.InfoContext(ctx, "stopped")
	return err
}

// Close gives back the port and the database of a daemon that does not run. It may be called again.
func (d *Daemon) Close() error {
	var errs []error
	if d.listener != nil {
		if err := d.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close the port: %w", err))
		}
		d.listener = nil
	}
	if d.store != nil {
		if err := d.store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close the database: %w", err))
		}
		d.store = nil
	}
	return errors.Join(errs...)
}

// states tells the API what is recorded and what is waited for.
func (d *Daemon) states() []v1.Resource {
	statuses := d.watchers.States()
	resources := make([]v1.Resource, len(statuses))
	for i, s := range statuses {
		r := s.Resource
		resources[i] = v1.Resource{
			Group: r.Group, Version: r.Version, Plural: r.Plural, Singular: r.Singular, Kind: r.Kind,
			ShortNames: r.ShortNames, Namespaced: r.Namespaced, State: s.State.String(), Reason: s.Reason,
		}
	}
	return resources
}
