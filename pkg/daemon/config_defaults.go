package daemon

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// The API groups of the lists below.
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

// Why a resource is not recorded by default.
const (
	holdsCredentials = "its objects are credentials"
	renewedAlways    = "its objects are renewed every few seconds"
	followsPods      = "its objects repeat which pods are ready"
	heldElsewhere    = "its objects are those of another group"
	measured         = "its objects are measurements"
)

// denial is a resource, or with the plural "*" a whole group, that is not
// recorded unless the configuration names it.
type denial struct {
	group, plural string
	reason        string
}

// denials returns what is not recorded by default. docs/operations.md lists it
// too. What CRDs define is denied only if it holds credentials.
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

// denied returns why a resource that is only discovered is not recorded; "" if
// it is. defined reports whether a CRD defines it.
func denied(r schema.GroupResource, defined bool) string {
	for _, d := range denials() {
		if d.group != r.Group || d.plural != "*" && d.plural != r.Resource || defined && d.reason != holdsCredentials {
			continue
		}
		return "left out by default, because " + d.reason + "; the configuration's field include takes it in"
	}
	return ""
}

// coreKinds are the plurals of the core group that can be recorded. No other
// group may add to them, so that any other plural without a group is a mistake.
func coreKinds() []string {
	return []string{
		"configmaps", "endpoints", "events", "limitranges", "namespaces", "nodes", "persistentvolumeclaims", "persistentvolumes",
		"pods", "podtemplates", "replicationcontrollers", "resourcequotas", "secrets", "serviceaccounts", "services",
	}
}

// discovers reports whether a resource that the configuration does not name is
// recorded if the cluster serves it. The group of a CRD has a dot.
func (c *Config) discovers(r schema.GroupResource) bool {
	switch {
	case c.DiscoverAll && r.Group == "":
		return slices.Contains(coreKinds(), r.Resource) && denied(r, false) == ""
	case c.DiscoverAll:
		return denied(r, false) == ""
	default:
		return c.mayDefine(r)
	}
}

// mayDefine reports whether the resource is recorded if a CRD defines it.
func (c *Config) mayDefine(r schema.GroupResource) bool {
	return c.DiscoverCRDs && strings.Contains(r.Group, ".") && denied(r, true) == ""
}

// credentials are fields of well-known kinds that hold credentials in the clear.
// They are hidden in every configuration, as the values of Secrets are.
func credentials() []recorder.Redaction {
	routes := schema.GroupResource{Group: openShiftRoutesGroup, Resource: "routes"}
	builds := schema.GroupResource{Group: openShiftBuildsGroup, Resource: "buildconfigs"}
	kubeadm := func(plural, spec string) recorder.Redaction {
		return recorder.Redaction{
			Resource: schema.GroupResource{Group: "bootstrap.cluster.x-k8s.io", Resource: plural},
			Paths: []string{
				spec + ".joinConfiguration.discovery.bootstrapToken.token", spec + ".initConfiguration.bootstrapTokens[*].token",
				spec + ".initConfiguration.certificateKey", spec + ".joinConfiguration.controlPlane.certificateKey",
				spec + ".users[*].passwd",
			},
		}
	}
	return []recorder.Redaction{
		{Resource: routes, Paths: []string{"spec.tls.key"}},
		{Resource: builds, Paths: []string{
			"spec.triggers[*].github.secret", "spec.triggers[*].gitlab.secret", "spec.triggers[*].bitbucket.secret", "spec.triggers[*].generic.secret",
		}},
		kubeadm("kubeadmconfigs", "spec"),
		kubeadm("kubeadmconfigtemplates", "spec.template.spec"),
	}
}

// rules returns the configured rules and those that hold in every configuration.
func (c *Config) rules() recorder.Rules {
	rules := c.Rules
	rules.Redact = slices.Concat(credentials(), rules.Redact)
	return rules
}
