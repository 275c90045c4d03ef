package daemon

import (
	"context"
	"log/slog"
	"time"
)

// pruneEvery is how often days that are over are looked for, and the files are measured.
const pruneEvery = time.Minute

// pruner is what is asked of the log: to drop what is over.
type pruner interface {
	Prune(ctx context.Context) error
}

// prune prunes the log at once and then every minute, until ctx ends. Recording goes on where that fails: what is written can't be
// lost by it, only take up room for longer.
func prune(ctx context.Context, log pruner, logger *slog.Logger) error {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		if err := log.Prune(ctx); err != nil && ctx.Err() == nil {
			logger.ErrorContext(ctx, "history is not dropped, and takes up room until it is", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
