package daemon

import (
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// DefaultConfig returns the configuration of a recorder without a file.
func DefaultConfig() Config {
	return Config{
		DiscoverCRDs: true,
		DiscoverAll:  true,

		RecordCatalogue: true,

		StoragePath:   "/data/watch-events",
		RetentionDays: 14,
		SyncWrites:    true,
		BindAddress:   "127.0.0.1",
		ServerPort:    8080,
		SecurePort:    NoPort,
		DebugPort:     NoPort,
		MaxQueryLimit: 1000,

		QueryTimeoutSeconds: 30,
		MaxQueryRate:        100,
		MaxConnections:      512,
		MaxStreams:          128,

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
			{
				Group: "networking.k8s.io", Version: "v1", Kind: "NetworkPolicy",
				Plural: "networkpolicies", Namespaced: true,
			},
		},
	}
}

// defaultRedactions returns redactions that hold in every configuration. They
// hide fields of well-known kinds that contain credentials in plain text.
func defaultRedactions() []recorder.Redaction {
	routes := schema.GroupResource{Group: openShiftRoutesGroup, Resource: "routes"}
	builds := schema.GroupResource{Group: openShiftBuildsGroup, Resource: "buildconfigs"}
	kubeadm := func(plural, spec string) recorder.Redaction {
		return recorder.Redaction{
			Resource: schema.GroupResource{Group: "bootstrap.cluster.x-k8s.io", Resource: plural},
			Paths: []string{
				spec + ".joinConfiguration.discovery.bootstrapToken.token",
				spec + ".initConfiguration.bootstrapTokens[*].token",
				spec + ".initConfiguration.certificateKey", spec + ".joinConfiguration.controlPlane.certificateKey",
				spec + ".users[*].passwd",
			},
		}
	}
	return []recorder.Redaction{
		{Resource: routes, Paths: []string{"spec.tls.key"}},
		{Resource: builds, Paths: []string{
			"spec.triggers[*].github.secret", "spec.triggers[*].gitlab.secret",
			"spec.triggers[*].bitbucket.secret", "spec.triggers[*].generic.secret",
		}},
		kubeadm("kubeadmconfigs", "spec"),
		kubeadm("kubeadmconfigtemplates", "spec.template.spec"),
	}
}
