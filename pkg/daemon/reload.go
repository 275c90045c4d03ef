package daemon

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// Follow makes [Daemon.Run] apply each change of the source, as described for
// [Source.Follow]. Call it before Run.
func (d *Daemon) Follow(source *Source, interval time.Duration, signals <-chan os.Signal) {
	d.follow = func(ctx context.Context) error {
		source.Follow(ctx, interval, signals, func(c Config, err error) bool { return d.reload(ctx, c, err) })
		return nil
	}
}

// reload applies a configuration, unless err is the error of reading it. It
// reports whether it has applied the configuration. Otherwise the current one
// is kept.
func (d *Daemon) reload(ctx context.Context, c Config, err error) bool {
	if err == nil {
		err = d.configure(ctx, c)
	}
	if err != nil {
		d.logger.ErrorContext(ctx, "configuration rejected, keeping the current one", "err", err)
	}
	d.metrics.setReloaded(err == nil)
	return err == nil
}

// configure applies everything that does not require a restart, and logs what
// does.
//
// It sets the rules before the resources. Otherwise a new resource could be
// recorded without the rules that redact it.
func (d *Daemon) configure(ctx context.Context, c Config) error {
	rules := c.rules()
	rules.Redact = slices.Concat(rules.Redact, outdatedRedactions(d.redacted, &c))
	if err := d.recorder.SetRules(rules); err != nil {
		return err
	}
	d.redacted = rules.Redact
	d.rememberIgnored(ctx)
	d.config.Store(&c)
	d.namespaces.Granted() // to callers without an identity
	d.watchers.Configure(c.targets())
	d.logger.InfoContext(ctx, "configuration applied", "resources", len(c.Resources),
		"discover_crds", c.DiscoverCRDs, "discover_all", c.DiscoverAll, "record_catalogue", c.RecordCatalogue,
		"redact", len(c.Rules.Redact), "ignore", len(c.Rules.Ignore), "symptoms", len(c.Rules.Symptoms),
		"max_query_limit", c.MaxQueryLimit)
	for _, field := range d.started.fixedIn(&c) {
		d.logger.WarnContext(ctx, "changed field requires a restart", "field", field)
	}
	return nil
}

// outdatedRedactions returns the current redactions whose resources are no
// longer recorded.
//
// They stay active until a configuration records the resource again. Its
// watcher stops some time after the configuration has changed, possibly after
// the next change, and must redact until then.
func outdatedRedactions(inForce []recorder.Redaction, c *Config) (all []recorder.Redaction) {
	for _, r := range inForce {
		if !c.records(r.Resource) {
			all = append(all, r)
		}
	}
	return all
}
