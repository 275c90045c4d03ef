package daemon

import (
	"fmt"
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

// Config is what the recorder is told. Its file form is described in docs/operations.md.
type Config struct {
	DiscoverCRDs  bool               // record every CRD's objects too
	DiscoverAll   bool               // record every other kind too that can be recorded and is not denied by default
	StoragePath   string             // the database's directory
	RetentionDays int                // how long versions are kept, at least 1
	SyncWrites    bool               // a version counts as recorded only once it is on the disk
	MaxStorage    int64              // bytes of the database's files, past nine tenths of which the oldest day is dropped; 0: no limit
	BindAddress   string             // the IP address that the REST API listens on
	ServerPort    int                // its port; 0 takes a free one
	MaxQueryLimit int                // the most records in one answer, at least 1
	Resources     []history.Resource // what to record
	Rules         recorder.Rules     // what of it is hidden, and what is left out
}

// DefaultConfig returns what is recorded, kept and served where nothing else is said.
func DefaultConfig() Config {
	return Config{
		DiscoverCRDs:  true,
		DiscoverAll:   true,
		StoragePath:   "/data/watch-events",
		RetentionDays: 14,
		SyncWrites:    true,
		BindAddress:   "127.0.0.1",
		ServerPort:    8080,
		MaxQueryLimit: 1000,
		Resources: []history.Resource{
			{Version: "v1", Kind: "Pod", Plural: "pods", Namespaced: true},
			{Version: "v1", Kind: "Node", Plural: "nodes"},
			{Version: "v1", Kind: "Service", Plural: "services", Namespaced: true},
			{Version: "v1", Kind: "ConfigMap", Plural: "configmaps", Namespaced: true},
			{Version: "v1", Kind: "Secret", Plural: "secrets", Namespaced: true},
			{Version: "v1", Kind: "PersistentVolumeClaim", Plural: "persistentvolumeclaims", Namespaced: true},
			{Version: "v1", Kind: "PersistentVolume", Plural: "persistentvolumes"},
			{Version: "v1", Kind: "Event", Plural: "events", Namespaced: true},
			{Version: "v1", Kind: "Namespace", Plural: "namespaces"},
			{Group: "apps", Version: "v1", Kind: "Deployment", Plural: "deployments", Namespaced: true},
			{Group: "apps", Version: "v1", Kind: "ReplicaSet", Plural: "replicasets", Namespaced: true},
			{Group: "apps", Version: "v1", Kind: "StatefulSet", Plural: "statefulsets", Namespaced: true},
			{Group: "apps", Version: "v1", Kind: "DaemonSet", Plural: "daemonsets", Namespaced: true},
			{Group: "batch", Version: "v1", Kind: "Job", Plural: "jobs", Namespaced: true},
			{Group: "batch", Version: "v1", Kind: "CronJob", Plural: "cronjobs", Namespaced: true},
			{Group: "networking.k8s.io", Version: "v1", Kind: "Ingress", Plural: "ingresses", Namespaced: true},
			{Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy", Plural: "networkpolicies", Namespaced: true},
		},
	}
}

// lists tells whether the resource is one of those to record by name.
func (c *Config) lists(r schema.GroupResource) bool { return lists(c.Resources, r) }

func lists(all []history.Resource, r schema.GroupResource) bool {
	return slices.ContainsFunc(all, func(l history.Resource) bool { return l.GroupResource() == r })
}

// records tells whether the resource is recorded where the cluster serves it: by name, or because it is discovered.
func (c *Config) records(r schema.GroupResource) bool {
	return c.lists(r) || c.discovers(r) && !slices.Contains(c.excluded(), r)
}

// recordedAs returns the resource under whose name the objects are recorded: those of Events are served by two groups, and the
// first that is listed stands for both.
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

// excluded returns the resources that are left out as a whole.
func (c *Config) excluded() (all []schema.GroupResource) {
	for _, o := range c.Rules.Ignore {
		if o.Whole() {
			all = append(all, o.Resource)
		}
	}
	return all
}

func (c *Config) targets() watcher.Targets {
	return watcher.Targets{
		Resources: c.Resources, DiscoverCRDs: c.DiscoverCRDs, DiscoverAll: c.DiscoverAll, Denied: denied, Excluded: c.excluded(),
	}
}

// Retention returns how long versions are kept.
func (c Config) Retention() time.Duration { return time.Duration(c.RetentionDays) * 24 * time.Hour }

func (c *Config) storage(logger *slog.Logger) store.Options {
	return store.Options{Retention: c.Retention(), MaxBytes: c.MaxStorage, NoSync: !c.SyncWrites, Logger: logger}
}

// Address returns the host:port to listen on.
func (c Config) Address() string { return net.JoinHostPort(c.BindAddress, strconv.Itoa(c.ServerPort)) }

func parsePort(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 65535 {
		return 0, fmt.Errorf("want a port from 0 (any free one) to 65535, got %q", s)
	}
	return n, nil
}

func parseAddress(s string) (string, error) {
	if net.ParseIP(s) == nil {
		return "", fmt.Errorf("want an IP address such as 127.0.0.1 or 0.0.0.0, got %q", s)
	}
	return s, nil
}
