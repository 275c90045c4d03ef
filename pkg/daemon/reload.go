package daemon

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// reload is the outcome of the last change of the configuration, the start included.
type reload struct {
	at time.Time
	ok bool
}

// Follow lets [Daemon.Run] keep to the source of the daemon's configuration, as in [Source.Follow]. It is called before Run.
func (d *Daemon) Follow(source *Source, every time.Duration, signals <-chan os.Signal) {
	d.follow = func(ctx context.Context) error {
		source.Follow(ctx, every, signals, func(c Config, err error) bool { return d.reload(ctx, c, err) })
		return nil
	}
}

// reload takes up a configuration as a whole, or leaves the one in force that is.
func (d *Daemon) reload(ctx context.Context, c Config, err error) bool {
	if err == nil {
		err = d.configure(ctx, c)
	}
	if err != nil {
		d.logger.ErrorContext(ctx, "configuration is refused, and what was in force stays in force", "err", err)
	}
	d.reloaded.Store(&reload{at: time.Now(), ok: err == nil})
	return err == nil
}

// configure takes up what can be taken up without a restart, and says what can't. Rules come before resources, so that nothing is
// recorded without those that hide something of it.
func (d *Daemon) configure(ctx context.Context, c Config) error {
	rules := c.rules()
	rules.Redact = slices.Concat(rules.Redact, parting(d.redacted, &c))
	if err := d.recorder.SetRules(rules); err != nil {
		return err
	}
	d.redacted = rules.Redact
	d.rememberIgnored(ctx)
	d.config.Store(&c)
	d.watchers.Configure(c.targets())
	d.logger.InfoContext(ctx, "configuration is taken up", "resources", len(c.Resources), "discover_crds", c.DiscoverCRDs, "discover_all", c.DiscoverAll,
		"redact", len(c.Rules.Redact), "ignore", len(c.Rules.Ignore), "max_query_limit", c.MaxQueryLimit)
	for _, field := range d.started.fixedIn(&c) {
		d.logger.WarnContext(ctx, "a changed field takes a restart", "field", field)
	}
	return nil
}

// parting returns those of the redactions in force that are of resources that are recorded no longer. Their watchers end later
// than that, maybe after the next configuration, so these redactions stay until a configuration records the resource again.
func parting(inForce []recorder.Redaction, now *Config) (all []recorder.Redaction) {
	for _, r := range inForce {
		if !now.records(r.Resource) {
			all = append(all, r)
		}
	}
	return all
}

// fixedIn returns the fields of another configuration that differ and can't be taken up.
func (c *Config) fixedIn(other *Config) (fields []string) {
	for _, f := range []struct {
		name    string
		differs bool
	}{
		{"storagePath", c.StoragePath != other.StoragePath},
		{"retentionDays", c.RetentionDays != other.RetentionDays},
		{"syncWrites", c.SyncWrites != other.SyncWrites},
		{"maxStorage", c.MaxStorage != other.MaxStorage},
		{"bindAddress", c.BindAddress != other.BindAddress},
		{"serverPort", c.ServerPort != other.ServerPort},
	} {
		if f.differs {
			fields = append(fields, f.name)
		}
	}
	return fields
}
