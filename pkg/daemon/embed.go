package daemon

import (
	"context"
	"net/http"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// The methods below are for a program that embeds a daemon. They are safe for
// concurrent use until [Daemon.Close].

// Handler returns the handler of the REST API, which needs no listener.
func (d *Daemon) Handler() http.Handler { return d.handler }

// Log returns the database. The daemon owns it.
func (d *Daemon) Log() *store.Store { return d.store }

// Watches returns the states of the watchers, and those of discovery and of the
// watch of the CRDs if they are not in sync. Until they are, resources may be
// missing.
func (d *Daemon) Watches() (states, troubles []watcher.Status) {
	troubles = d.watchers.Troubles() // before the states, which discovery completes
	return d.watchers.States(), troubles
}

// Gaps returns the gaps since a time, including those of resources that are not
// observed at the moment.
func (d *Daemon) Gaps(ctx context.Context, since time.Time) ([]history.Gap, error) {
	return d.log.Gaps(ctx, nil, since, time.Time{})
}

// Unrecorded returns the resources that are served and not recorded now.
func (d *Daemon) Unrecorded() []history.UnrecordedResource { return d.unrecorded() }
