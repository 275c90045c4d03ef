package daemon

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// discoverMode is the value of the field discover: which resources are recorded
// in addition to those that the configuration names.
type discoverMode string

const (
	discoverAll  discoverMode = "all"
	discoverCRDs discoverMode = "crds"
	discoverNone discoverMode = "none"
)

// UnmarshalYAML implements [yaml.Unmarshaler].
func (m *discoverMode) UnmarshalYAML(node *yaml.Node) error {
	mode := discoverMode(node.Value)
	if node.Tag != strTag || !slices.Contains([]discoverMode{discoverAll, discoverCRDs, discoverNone}, mode) {
		return valueErrorf(node, "want %s, %s or %s, got %q", discoverAll, discoverCRDs, discoverNone, node.Value)
	}
	*m = mode
	return nil
}

// setDiscovery sets which resources the configuration discovers.
//
// discoverCRDs is older than discover and keeps its meaning. A file that has
// resources, or discoverCRDs: false, and no discover records only those
// resources and, by default, the objects of CRDs.
func (f *configFile) setDiscovery(c *Config, at *layout) error {
	listed := f.Resources != nil
	mode, crds := f.Discover, f.DiscoverCRDs
	switch {
	case mode == nil && crds == nil:
		c.DiscoverAll = !listed
	case mode == nil:
		c.DiscoverCRDs, c.DiscoverAll = bool(*crds), bool(*crds) && !listed
	case crds != nil && bool(*crds) != (*mode != discoverNone):
		return at.errorf("discover", "%s contradicts discoverCRDs on line %d", *mode, at.line("discoverCRDs"))
	default:
		c.DiscoverCRDs, c.DiscoverAll = *mode != discoverNone, *mode == discoverAll
	}
	return nil
}

// The API groups of more than one denial or redaction.
const (
	coordinationGroup    = "coordination.k8s.io"
	discoveryGroup       = "discovery.k8s.io"
	openShiftOAuthGroup  = "oauth.openshift.io"
	openShiftRoutesGroup = "route.openshift.io"
	openShiftBuildsGroup = "build.openshift.io"
	rancherGroup         = "management.cattle.io"
	rancherAPIGroup      = "ext.cattle.io"
	gardenerGroup        = "core.gardener.cloud"
)

// The reasons of denials, as the catalogue shows them.
const (
	holdsCredentials = "its objects are credentials"
	renewedAlways    = "its objects are renewed every few seconds"
	followsPods      = "its objects repeat which pods are ready"
	heldElsewhere    = "its objects are recorded from another group"
	measured         = "its objects are measurements"
)

// denial is a resource that is not recorded unless the configuration names it.
type denial struct {
	group  string
	plural string // "*" means the whole group
	reason string
}

// denials returns the resources that are not recorded by default.
// docs/configuration.md has the same list. A resource that a CRD defines is
// denied only if it contains credentials.
func denials() []denial {
	return []denial{
		{coordinationGroup, "leases", renewedAlways},
		{coordinationGroup, "leasecandidates", renewedAlways},
		{"", "endpoints", followsPods},
		{discoveryGroup, "endpointslices", followsPods},
		{"metrics.k8s.io", "*", measured},
		{"custom.metrics.k8s.io", "*", measured},
		{"external.metrics.k8s.io", "*", measured},
		{"stats.antrea.io", "*", measured},
		{"controlplane.antrea.io", "*", followsPods},
		{"extensions", "*", heldElsewhere},
		{"projectcalico.org", "*", heldElsewhere},
		{"authorization.openshift.io", "*", heldElsewhere},
		{"project.openshift.io", "*", heldElsewhere},
		{"quota.openshift.io", "appliedclusterresourcequotas", heldElsewhere},

		{openShiftOAuthGroup, "oauthaccesstokens", holdsCredentials},
		{openShiftOAuthGroup, "oauthauthorizetokens", holdsCredentials},
		{openShiftOAuthGroup, "useroauthaccesstokens", holdsCredentials},
		{openShiftOAuthGroup, "oauthclients", holdsCredentials},
		{gardenerGroup, "internalsecrets", holdsCredentials},
		{gardenerGroup, "shootstates", holdsCredentials},
		{rancherGroup, "tokens", holdsCredentials},
		{rancherGroup, "clusterregistrationtokens", holdsCredentials},
		{rancherGroup, "authconfigs", holdsCredentials},
		{rancherGroup, "users", holdsCredentials},
		{rancherAPIGroup, "tokens", holdsCredentials},
		{rancherAPIGroup, "kubeconfigs", holdsCredentials},
		{"dex.coreos.com", "*", holdsCredentials},
		{"types.kubefed.io", "federatedsecrets", holdsCredentials},
	}
}

// denied returns why a discovered resource is not recorded by default, or "" if
// it is recorded. defined reports whether a CRD defines the resource.
func denied(r schema.GroupResource, defined bool) string {
	for _, d := range denials() {
		if d.group != r.Group || d.plural != "*" && d.plural != r.Resource || defined && d.reason != holdsCredentials {
			continue
		}
		return "not recorded by default, because " + d.reason + "; the configuration's field include adds it"
	}
	return ""
}

// coreKinds returns the plurals of the core group that can be listed and
// watched. No other API server or CRD can add to this group, so any other
// plural without a group is a typing error.
func coreKinds() []string {
	return []string{
		"configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes",
		"persistentvolumeclaims", "persistentvolumes",
		"pods", "podtemplates", "replicationcontrollers", "resourcequotas", "secrets", "serviceaccounts", "services",
	}
}

// definitions returns the resource of the CRDs, which belong to the catalogue.
func definitions() schema.GroupResource {
	return schema.GroupResource{Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"}
}

// discovers reports whether a resource that the configuration does not name is
// recorded if the cluster serves it.
func (c *Config) discovers(r schema.GroupResource) bool {
	switch {
	case c.RecordCatalogue && r == definitions():
		return true
	case c.DiscoverAll && r.Group == "":
		return slices.Contains(coreKinds(), r.Resource) && denied(r, false) == ""
	case c.DiscoverAll:
		return denied(r, false) == ""
	default:
		return c.discoversCRD(r)
	}
}

// discoversCRD reports whether the resource is recorded if a CRD defines it.
// The group of a CRD always contains a dot.
func (c *Config) discoversCRD(r schema.GroupResource) bool {
	return c.DiscoverCRDs && strings.Contains(r.Group, ".") && denied(r, true) == ""
}
