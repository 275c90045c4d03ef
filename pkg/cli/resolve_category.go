package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/restore"
)

// categories are those of the types of Kubernetes itself. The catalogue does
// not contain categories.
var categories = map[string][]string{ //nolint:gochecknoglobals // a constant table
	"all": {
		"pods", "replicationcontrollers", "services", "daemonsets.apps", "deployments.apps", "replicasets.apps",
		"statefulsets.apps", "horizontalpodautoscalers.autoscaling", "cronjobs.batch", "jobs.batch",
	},
	"api-extensions": {
		"mutatingwebhookconfigurations.admissionregistration.k8s.io",
		"validatingadmissionpolicies.admissionregistration.k8s.io",
		"validatingadmissionpolicybindings.admissionregistration.k8s.io",
		"validatingwebhookconfigurations.admissionregistration.k8s.io",
		"customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io",
	},
}

// recordedCategory returns the recorded types of a category without asking the
// cluster: those of Kubernetes, and those whose definitions were recorded.
// Unlike in [resolver.category], a type of that name takes precedence, because
// the definitions are large.
func (s *session) recordedCategory(ctx context.Context, name string) (found []resourceType, err error) {
	matches, err := s.types.matches(ctx, name)
	if err != nil || len(matches) > 0 || strings.Contains(name, ".") {
		return nil, err
	}
	for _, r := range s.types.catalogue {
		if slices.Contains(categories[name], r.GroupResource().String()) {
			found = append(found, resourceType{Group: r.Group, Plural: r.Plural, Namespaced: r.Namespaced})
		}
	}
	if recorded, err := s.types.isRecorded(ctx, restore.Definitions.String()); err != nil || !recorded {
		return found, err
	}
	definitions, err := s.state(ctx, []client.StateQuery{{
		Namespace: history.ClusterScoped, Resources: []string{restore.Definitions.String()},
	}})
	if err != nil {
		return nil, err
	}
	for _, o := range definitions.objects {
		spec, _ := o.Body["spec"].(map[string]any)
		names, _ := spec["names"].(map[string]any)
		of, _ := names["categories"].([]any)
		t := resourceType{
			Group: textAt(spec, "group"), Plural: textAt(names, "plural"), Namespaced: spec["scope"] == "Namespaced",
		}
		if slices.Contains(of, any(name)) {
			found = append(found, t)
		}
	}
	return found, nil
}
