package daemon

import (
	"cmp"
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
// The current Config is never changed. A new one replaces it.
type Config struct {
	// DiscoverCRDs means that the objects of every CRD are recorded.
	DiscoverCRDs bool
	// DiscoverAll means that every kind is recorded that the API server can
	// list and watch, except the kinds that are denied by default.
	DiscoverAll bool
	// RecordCatalogue means that the documents in which the API server
	// describes what it serves are recorded, and the CRDs, even if they are not
	// discovered.
	RecordCatalogue bool
	// StoragePath is the database's directory.
	StoragePath string
	// RetentionDays is how long versions are kept. At least 1.
	RetentionDays int
	// SyncWrites means that a commit returns only after it is synced to disk.
	SyncWrites bool
	// MaxStorage limits the database's files, in bytes. The oldest day is
	// dropped when they exceed 9/10 of it. 0 means no limit.
	MaxStorage int64
	// BindAddress is the IP address that the REST API listens on without TLS.
	BindAddress string
	// ServerPort is the port of the REST API without TLS. 0 means any free
	// port, and [NoPort] that there is no such listener.
	ServerPort int
	// SecureBindAddress is the IP address of the secure listener. "" means
	// BindAddress.
	SecureBindAddress string
	// SecurePort is the port of the secure listener: the REST API with TLS,
	// for callers whom the cluster identifies. 0 means any free port, and
	// [NoPort] that there is no such listener.
	SecurePort int
	// DebugPort is the port for profiles of the process, on a loopback address.
	// 0 means any free port, and [NoPort] that there is no such listener.
	DebugPort int
	// TLSCertFile and TLSKeyFile contain the secure listener's certificate and
	// key. If they are "", the recorder makes a certificate.
	TLSCertFile, TLSKeyFile string
	// TLSCAFile contains the authorities of TLSCertFile. They are published for
	// clients. "" means that clients have them.
	TLSCAFile string
	// Namespace is the namespace that the recorder runs in, or "" outside of a
	// cluster. It is not a field of the file.
	Namespace string
	// WatchNamespace is the only namespace whose objects are recorded, next to
	// the cluster-scoped ones that may be read. "" means all. It is not a field
	// of the file.
	WatchNamespace string
	// Embedded means that the daemon is a part of another program, which reads
	// it by [Daemon.Handler] and [Daemon.Log]: there is no socket for commands.
	// It is not a field of the file.
	Embedded bool
	// MaxQueryLimit is the largest number of records in one answer. At least 1.
	MaxQueryLimit int
	// EarlierNamespaces applies rights in a namespace also to the objects of
	// earlier namespaces of the same name.
	EarlierNamespaces bool
	// Anonymous limits what the listener without TLS shows.
	Anonymous Anonymous
	// AllowedHosts are further DNS names, in lower case, by which clients reach
	// the REST API.
	AllowedHosts []string
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
	// MaxStreams is how many streams of records may be open.
	MaxStreams int
	// Resources are recorded by name, whether or not they are discovered.
	Resources []history.Resource
	// Rules define which values are redacted, and which versions are ignored.
	Rules recorder.Rules
}

// Anonymous is what callers without an identity may read, on the listener
// without TLS: the objects that are in one of the scopes and are of one of the
// resources. An empty list means all.
type Anonymous struct {
	Scopes    []history.NamespaceScope // namespaces, or [history.ClusterScoped]
	Resources []schema.GroupResource
}

// isLimited reports whether something may not be read.
func (a *Anonymous) isLimited() bool { return len(a.Scopes)+len(a.Resources) > 0 }

// Retention returns how long versions are kept.
func (c *Config) Retention() time.Duration { return time.Duration(c.RetentionDays) * 24 * time.Hour }

// NoPort is the port of a listener that is off.
const NoPort = -1

// Address returns the host:port that the REST API listens on without TLS.
func (c *Config) Address() string { return net.JoinHostPort(c.BindAddress, strconv.Itoa(c.ServerPort)) }

// SecureAddress returns the host:port of the secure listener.
func (c *Config) SecureAddress() string {
	return net.JoinHostPort(cmp.Or(c.SecureBindAddress, c.BindAddress), strconv.Itoa(c.SecurePort))
}

// DebugAddress returns the host:port of the debug listener.
func (c *Config) DebugAddress() string {
	return net.JoinHostPort(debugAddress, strconv.Itoa(c.DebugPort))
}

// checkListeners returns an error if nothing would be served, or if a file of
// the secure listener's certificate is missing.
func (c *Config) checkListeners() error {
	switch {
	case c.ServerPort == NoPort && c.SecurePort == NoPort:
		return history.Errorf(history.Invalid,
			"serverPort (SERVER_PORT) and securePort (SECURE_PORT) are both off: nothing could be queried")
	case (c.TLSCertFile == "") != (c.TLSKeyFile == ""):
		return history.Errorf(history.Invalid,
			"tlsCertFile (TLS_CERT_FILE) and tlsKeyFile (TLS_KEY_FILE): want both or none of them")
	case c.TLSCAFile != "" && c.TLSCertFile == "":
		return history.Errorf(history.Invalid, "tlsCAFile (TLS_CA_FILE): want it only with tlsCertFile (TLS_CERT_FILE)")
	case c.TLSCertFile != "" && c.SecurePort == NoPort:
		return history.Errorf(history.Invalid,
			"tlsCertFile (TLS_CERT_FILE): want it only with securePort (SECURE_PORT)")
	}
	return nil
}

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

// excluded returns the resources that a rule ignores completely.
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
	t := watcher.Targets{
		Resources: c.Resources, DiscoverCRDs: c.DiscoverCRDs, DiscoverAll: c.DiscoverAll,
		Denied: denied, Excluded: c.excluded(), Documents: c.RecordCatalogue,
	}
	if c.RecordCatalogue {
		t.Discovered = append(t.Discovered, definitions())
	}
	return t
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
		{"secureBindAddress", c.SecureBindAddress != other.SecureBindAddress},
		{"securePort", c.SecurePort != other.SecurePort},
		{"debugPort", c.DebugPort != other.DebugPort},
		{"tlsCertFile", c.TLSCertFile != other.TLSCertFile},
		{"tlsKeyFile", c.TLSKeyFile != other.TLSKeyFile},
		{"tlsCAFile", c.TLSCAFile != other.TLSCAFile},
		{"earlierNamespaces", c.EarlierNamespaces != other.EarlierNamespaces},
		{"maxConcurrentQueries", c.MaxConcurrentQueries != other.MaxConcurrentQueries},
		{"queryTimeoutSeconds", c.QueryTimeoutSeconds != other.QueryTimeoutSeconds},
		{"maxQueryRate", c.MaxQueryRate != other.MaxQueryRate},
		{"maxConnections", c.MaxConnections != other.MaxConnections},
		{"maxStreams", c.MaxStreams != other.MaxStreams},
	} {
		if f.differs {
			fields = append(fields, f.name)
		}
	}
	return fields
}
