package daemon

import (
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

// Config holds the recorder's settings, checked and complete. [ParseConfig]
// reads its YAML form, which docs/configuration.md describes.
//
// A Config that is in force is never changed. A new one replaces it as a whole.
type Config struct {
	// DiscoverCRDs means that the objects of every CRD are recorded.
	DiscoverCRDs bool
	// DiscoverAll means that every kind is recorded that the API server can
	// list and watch, except the kinds that are denied by default.
	DiscoverAll bool
	// StoragePath is the database's directory.
	StoragePath string
	// RetentionDays is how long versions are kept. At least 1.
	RetentionDays int
	// SyncWrites means that a commit returns only after it is synced to disk.
	SyncWrites bool
	// MaxStorage limits the database's files, in bytes. The oldest day is
	// dropped when they exceed 9/10 of it. 0 means no limit.
	MaxStorage int64
	// BindAddress is the IP address that the REST API listens on.
	BindAddress string
	// ServerPort is the port of the REST API. 0 means any free port.
	ServerPort int
	// MaxQueryLimit is the largest number of records in one answer. At least 1.
	MaxQueryLimit int
	// MaxConcurrentQueries is how many queries run at once. 0 means that it
	// depends on the number of processors.
	MaxConcurrentQueries int
	// QueryTimeoutSeconds bounds one query, without sending its answer.
	QueryTimeoutSeconds int
	// MaxQueryRate is how many queries per second one client may send. 0 means
	// no limit.
	MaxQueryRate int
	// MaxConnections is how many connections may be open.
	MaxConnections int
	// Resources are recorded by name, whether or not they are discovered.
	Resources []history.Resource
	// Rules define which values are redacted, and which versions are ignored.
	Rules recorder.Rules
}

// Retention returns how long versions are kept.
func (c *Config) Retention() time.Duration { return time.Duration(c.RetentionDays) * 24 * time.Hour }

// Address returns the host:port that the REST API listens on.
func (c *Config) Address() string { return net.JoinHostPort(c.BindAddress, strconv.Itoa(c.ServerPort)) }

// lists reports whether the configuration names the resource.
func (c *Config) lists(r schema.GroupResource) bool { return contains(c.Resources, r) }

// contains reports whether a list contains the resource, in any version.
func contains(resources []history.Resource, r schema.GroupResource) bool {
	return slices.ContainsFunc(resources, func(l history.Resource) bool { return l.GroupResource() == r })
}

// records reports whether the resource is recorded if the cluster serves it:
// because the configuration names it, or because it is discovered.
func (c *Config) records(r schema.GroupResource) bool {
	return c.lists(r) || c.discovers(r) && !slices.Contains(c.excluded(), r)
}

// recordedAs returns the resource under whose name the objects are recorded.
// Two groups serve the same Events. The first of them that the configuration
// lists is used for both.
func (c *Config) recordedAs(r schema.GroupResource) schema.GroupResource {
	if !history.IsEventResource(r) {
		return r
	}
	for _, l := range c.Resources {
		if history.IsEventResource(l.GroupResource()) {
			return l.GroupResource()
		}
	}
	return r
}

// excluded returns the resources that a rule ignores as a whole.
func (c *Config) excluded() (all []schema.GroupResource) {
	for _, rule := range c.Rules.Ignore {
		if rule.Whole() {
			all = append(all, rule.Resource)
		}
	}
	return all
}

// rules returns the configured rules, with the redactions that hold in every
// configuration.
func (c *Config) rules() recorder.Rules {
	rules := c.Rules
	rules.Redact = slices.Concat(defaultRedactions(), rules.Redact)
	return rules
}

// targets returns the targets of the watchers.
func (c *Config) targets() watcher.Targets {
	return watcher.Targets{
		Resources: c.Resources, DiscoverCRDs: c.DiscoverCRDs, DiscoverAll: c.DiscoverAll,
		Denied: denied, Excluded: c.excluded(),
	}
}

// storeOptions returns the store's settings.
func (c *Config) storeOptions(logger *slog.Logger) store.Options {
	return store.Options{Retention: c.Retention(), MaxBytes: c.MaxStorage, NoSync: !c.SyncWrites, Logger: logger}
}

// fixedIn returns the names of the fields that differ from the other
// configuration and that are read only when the recorder starts.
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
		{"maxConcurrentQueries", c.MaxConcurrentQueries != other.MaxConcurrentQueries},
		{"queryTimeoutSeconds", c.QueryTimeoutSeconds != other.QueryTimeoutSeconds},
		{"maxQueryRate", c.MaxQueryRate != other.MaxQueryRate},
		{"maxConnections", c.MaxConnections != other.MaxConnections},
	} {
		if f.differs {
			fields = append(fields, f.name)
		}
	}
	return fields
}
