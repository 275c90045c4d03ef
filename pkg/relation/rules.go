package relation

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The groups of the table.
const (
	admissionGroup  = "admissionregistration.k8s.io"
	appsGroup       = "apps"
	autoscaling     = "autoscaling"
	extensionsGroup = "apiextensions.k8s.io"
	gatewayGroup    = "gateway.networking.k8s.io"
	networkingGroup = "networking.k8s.io"
	rbacGroup       = "rbac.authorization.k8s.io"
	storageGroup    = "storage.k8s.io"
)

// in returns resources of one group.
func in(group string, plurals ...string) (all []schema.GroupResource) {
	for _, plural := range plurals {
		all = append(all, schema.GroupResource{Group: group, Resource: plural})
	}
	return all
}

// resource returns one resource.
func resource(group, plural string) schema.GroupResource { return in(group, plural)[0] }

// routes are the kinds of routes of the Gateway API.
func routes() []schema.GroupResource {
	return in(gatewayGroup, "httproutes", "grpcroutes", "tlsroutes", "tcproutes", "udproutes")
}

// workloads are the resources that have a pod template, and pods.
func workloads() []schema.GroupResource {
	return slices.Concat(
		in("", "pods", "podtemplates", "replicationcontrollers"),
		in(appsGroup, "deployments", "statefulsets", "daemonsets", "replicasets"),
		in("batch", "jobs", "cronjobs"),
	)
}

// All returns the table of rules.
func All() Rules {
	return slices.Concat(general(), ofPods(), ofStorage(), ofNetwork(), ofPolicies(), ofServers(), ofConventions())
}

// general returns the rules that are not about one field of Kubernetes.
func general() Rules {
	return Rules{
		{Name: Owner, find: func(f *finder, o value) {
			for owner := range o.field("metadata", "ownerReferences").elements() {
				uid := owner.field("uid").text()
				if !isName(uid) {
					continue // the garbage collector needs it
				}
				f.refer(owner.field("name"), Reference{
					Group: groupOf(owner.field("apiVersion").text()), Kind: owner.field("kind").text(),
					Namespace: f.object.Namespace, UID: types.UID(uid),
				})
			}
		}},
		{
			Name: "scaleTarget", To: workloads(), ToCustom: true,
			From: slices.Concat(in(autoscaling, "horizontalpodautoscalers"),
				in("autoscaling.k8s.io", "verticalpodautoscalers"), in("keda.sh", "scaledobjects")),
			find: func(f *finder, o value) {
				deployment := schema.GroupKind{Group: appsGroup, Kind: "Deployment"}
				for _, name := range []string{"scaleTargetRef", "targetRef"} {
					if target := o.field("spec", name); target.exists() {
						f.typed(target, deployment)
					}
				}
			},
		},
		{
			Name: "roleRef", From: in(rbacGroup, "rolebindings", "clusterrolebindings"),
			To: in(rbacGroup, "roles", "clusterroles"),
			find: func(f *finder, o value) {
				switch name := o.field("roleRef", "name"); o.field("roleRef", "kind").text() {
				case "ClusterRole":
					f.global(name, resource(rbacGroup, "clusterroles"))
				case "Role":
					f.local(name, resource(rbacGroup, "roles"), false)
				}
			},
		},
		{
			Name: "subject", From: in(rbacGroup, "rolebindings", "clusterrolebindings"),
			To: in("", "serviceaccounts"), Across: true,
			find: func(f *finder, o value) {
				for subject := range o.field("subjects").elements() {
					if subject.field("kind").text() == "ServiceAccount" {
						f.in(subject, resource("", "serviceaccounts"))
					}
				}
			},
		},
		{
			Name: "aggregation", From: in(rbacGroup, "clusterroles"), To: in(rbacGroup, "clusterroles"), Selects: true,
			find: func(f *finder, o value) {
				for selector := range o.field("aggregationRule", "clusterRoleSelectors").elements() {
					by := selector.labelSelector()
					f.choose(selector, resource(rbacGroup, "clusterroles"), history.ClusterScoped, by)
				}
			},
		},
		{
			Name: "secret", From: in("", "serviceaccounts"), To: in("", "secrets"),
			find: func(f *finder, o value) {
				for secret := range o.field("secrets").elements() {
					f.local(secret.field("name"), resource("", "secrets"), false)
				}
			},
		},
	}
}

// ofPods returns the rules of what pods, and the templates of pods, use.
func ofPods() Rules {
	secrets, configMaps := in("", "secrets"), in("", "configmaps")
	rule := func(name string, to []schema.GroupResource, find func(f *finder, spec value)) Rule {
		return Rule{Name: name, From: workloads(), Custom: true, To: to, find: func(f *finder, o value) {
			find(f, podSpec(f.object, o))
		}}
	}
	// one is a rule about one field that names a cluster-scoped object.
	one := func(name, field, group, plural string) Rule {
		return rule(name, in(group, plural), func(f *finder, spec value) {
			f.global(spec.field(field), resource(group, plural))
		})
	}
	imagePullSecrets := func(f *finder, of value) {
		for secret := range of.field("imagePullSecrets").elements() {
			f.local(secret.field("name"), resource("", "secrets"), false)
		}
	}
	return Rules{
		rule("env", slices.Concat(configMaps, secrets), func(f *finder, spec value) {
			for container := range containers(spec) {
				for variable := range container.field("env").elements() {
					from := variable.field("valueFrom")
					f.optional(from.field("configMapKeyRef"), "name", configMaps[0])
					f.optional(from.field("secretKeyRef"), "name", secrets[0])
				}
			}
		}),
		rule("envFrom", slices.Concat(configMaps, secrets), func(f *finder, spec value) {
			for container := range containers(spec) {
				for source := range container.field("envFrom").elements() {
					f.optional(source.field("configMapRef"), "name", configMaps[0])
					f.optional(source.field("secretRef"), "name", secrets[0])
				}
			}
		}),
		rule("volume", slices.Concat(configMaps, secrets), func(f *finder, spec value) {
			for volume := range spec.field("volumes").elements() {
				f.optional(volume.field("configMap"), "name", configMaps[0])
				f.optional(volume.field("secret"), "secretName", secrets[0])
				f.optional(volume.field("azureFile"), "secretName", secrets[0])
				f.optional(volume.field("csi", "nodePublishSecretRef"), "name", secrets[0])
				drivers := []string{"cephfs", "cinder", "flexVolume", "iscsi", "rbd", "scaleIO", "storageos"}
				for _, driver := range drivers {
					f.optional(volume.field(driver, "secretRef"), "name", secrets[0])
				}
			}
		}),
		rule("projected", slices.Concat(configMaps, secrets), func(f *finder, spec value) {
			for volume := range spec.field("volumes").elements() {
				for source := range volume.field("projected", "sources").elements() {
					f.optional(source.field("configMap"), "name", configMaps[0])
					f.optional(source.field("secret"), "name", secrets[0])
				}
			}
		}),
		rule("imagePullSecret", secrets, imagePullSecrets),
		{Name: "imagePullSecret", From: in("", "serviceaccounts"), To: secrets, find: imagePullSecrets},
		rule("serviceAccount", in("", "serviceaccounts"), func(f *finder, spec value) {
			name := spec.field("serviceAccountName")
			if name.text() == "" {
				name = spec.field("serviceAccount") // the former name of the field
			}
			f.local(name, resource("", "serviceaccounts"), false)
		}),
		{Name: "serviceAccount", From: secrets, To: in("", "serviceaccounts"), find: func(f *finder, o value) {
			name := o.field("metadata", "annotations", "kubernetes.io/service-account.name")
			f.local(name, resource("", "serviceaccounts"), false)
		}},
		rule("claim", in("", "persistentvolumeclaims"), func(f *finder, spec value) {
			for volume := range spec.field("volumes").elements() {
				name := volume.field("persistentVolumeClaim", "claimName")
				f.local(name, resource("", "persistentvolumeclaims"), false)
			}
		}),
		rule("resourceClaim", in("resource.k8s.io", "resourceclaims", "resourceclaimtemplates"),
			func(f *finder, spec value) {
				for claim := range spec.field("resourceClaims").elements() {
					f.local(claim.field("resourceClaimName"), resource("resource.k8s.io", "resourceclaims"), false)
					template := claim.field("resourceClaimTemplateName")
					f.local(template, resource("resource.k8s.io", "resourceclaimtemplates"), false)
				}
			}),
		one("node", "nodeName", "", "nodes"),
		one("priorityClass", "priorityClassName", "scheduling.k8s.io", "priorityclasses"),
		one("runtimeClass", "runtimeClassName", "node.k8s.io", "runtimeclasses"),
		rule("storageClass", in(storageGroup, "storageclasses"), func(f *finder, spec value) {
			for volume := range spec.field("volumes").elements() {
				class := volume.field("ephemeral", "volumeClaimTemplate", "spec", "storageClassName")
				f.global(class, resource(storageGroup, "storageclasses"))
			}
		}),
	}
}

// podSpec returns the pod's specification in a pod or in an object that makes
// pods. It is absent in other objects.
func podSpec(o Object, object value) value {
	switch (schema.GroupResource{Group: o.Group, Resource: o.Resource}) {
	case resource("", "pods"):
		return object.field("spec")
	case resource("", "podtemplates"):
		return object.field("template", "spec")
	case resource("batch", "cronjobs"):
		return object.field("spec", "jobTemplate", "spec", "template", "spec")
	}
	spec := object.field("spec", "template", "spec")
	if _, pods := spec.field("containers").data.([]any); !pods {
		return value{}
	}
	return spec
}

// containers returns all containers of a pod's specification.
func containers(spec value) func(yield func(value) bool) {
	return func(yield func(value) bool) {
		for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
			for container := range spec.field(list).elements() {
				if !yield(container) {
					return
				}
			}
		}
	}
}

// optional adds a reference to an object that the source may declare optional.
func (f *finder) optional(source value, name string, r schema.GroupResource) {
	f.local(source.field(name), r, source.field("optional").isTrue())
}

// ofStorage returns the rules of claims and volumes.
func ofStorage() Rules {
	claims, volumes := resource("", "persistentvolumeclaims"), resource("", "persistentvolumes")
	classes := resource(storageGroup, "storageclasses")
	return Rules{
		{
			Name: "volumeName", To: []schema.GroupResource{volumes},
			From: slices.Concat([]schema.GroupResource{claims}, in(storageGroup, "volumeattachments")),
			find: func(f *finder, o value) {
				f.global(o.field("spec", "volumeName"), volumes)
				f.global(o.field("spec", "source", "persistentVolumeName"), volumes)
			},
		},
		{
			Name: "claimRef", From: []schema.GroupResource{volumes}, To: []schema.GroupResource{claims}, Across: true,
			find: func(f *finder, o value) { f.in(o.field("spec", "claimRef"), claims) },
		},
		{
			Name: "storageClass",
			From: slices.Concat([]schema.GroupResource{claims, volumes}, in(appsGroup, "statefulsets")),
			To:   []schema.GroupResource{classes},
			find: func(f *finder, o value) {
				f.global(o.field("spec", "storageClassName"), classes)
				for template := range o.field("spec", "volumeClaimTemplates").elements() {
					f.global(template.field("spec", "storageClassName"), classes)
				}
			},
		},
		{
			Name: "dataSource", From: []schema.GroupResource{claims}, Across: true, ToCustom: true,
			To: slices.Concat([]schema.GroupResource{claims}, in("snapshot.storage.k8s.io", "volumesnapshots")),
			find: func(f *finder, o value) {
				source := o.field("spec", "dataSourceRef")
				if !source.exists() {
					source = o.field("spec", "dataSource")
				}
				f.typed(source, schema.GroupKind{})
			},
		},
		{
			Name: "volume", From: []schema.GroupResource{volumes}, To: in("", "secrets"), Across: true,
			find: func(f *finder, o value) {
				for driver, source := range o.field("spec").members() {
					for name, secret := range source.members() {
						if driver != "claimRef" && strings.HasSuffix(strings.ToLower(name), "secretref") {
							f.in(secret, resource("", "secrets"))
						}
					}
				}
			},
		},
		{
			Name: "node", From: in(storageGroup, "volumeattachments"), To: in("", "nodes"),
			find: func(f *finder, o value) { f.global(o.field("spec", "nodeName"), resource("", "nodes")) },
		},
	}
}

// ofNetwork returns the rules of Services, and of what leads to them.
func ofNetwork() Rules {
	services, pods := resource("", "services"), resource("", "pods")
	secret, gateway := schema.GroupKind{Kind: "Secret"}, schema.GroupKind{Group: gatewayGroup, Kind: "Gateway"}
	ingresses, gateways := in(networkingGroup, "ingresses"), in(gatewayGroup, "gateways")
	classParameters := func(f *finder, o value, field string) {
		if parameters := o.field("spec", field); parameters.exists() {
			f.typed(parameters, schema.GroupKind{})
		}
	}
	return Rules{
		{
			Name: "selector", From: in("", "services"), To: in("", "pods"), Selects: true,
			find: func(f *finder, o value) {
				// A Service without a selector, or with an empty one, selects
				// no pods: others write its endpoints.
				selector := o.field("spec", "selector")
				set := selector.labelSet()
				if len(set) == 0 || o.field("spec", "type").text() == "ExternalName" {
					return
				}
				by, err := labels.ValidatedSelectorFromSet(set)
				if err == nil {
					f.choose(selector, pods, history.ScopeOf(f.object.Namespace), by)
				}
			},
		},
		{
			Name: "backend", From: ingresses, To: in("", "services"), ToCustom: true, find: func(f *finder, o value) {
				backend := func(of value) {
					f.local(of.field("service", "name"), services, false)
					if of.field("resource").exists() {
						f.typed(of.field("resource"), schema.GroupKind{})
					}
				}
				backend(o.field("spec", "defaultBackend"))
				for rule := range o.field("spec", "rules").elements() {
					for path := range rule.field("http", "paths").elements() {
						backend(path.field("backend"))
					}
				}
			},
		},
		{
			Name: "backend", From: routes(), To: in("", "services"), ToCustom: true, Across: true,
			find: func(f *finder, o value) {
				service := schema.GroupKind{Kind: "Service"}
				for rule := range o.field("spec", "rules").elements() {
					for backend := range rule.field("backendRefs").elements() {
						f.typed(backend, service)
					}
					for filter := range rule.field("filters").elements() {
						if mirror := filter.field("requestMirror", "backendRef"); mirror.exists() {
							f.typed(mirror, service)
						}
					}
				}
			},
		},
		{
			Name: "backend", From: in("apiregistration.k8s.io", "apiservices"), To: in("", "services"), Across: true,
			find: func(f *finder, o value) { f.in(o.field("spec", "service"), services) },
		},
		{
			Name: "parent", From: routes(), ToCustom: true, Across: true,
			To: slices.Concat(gateways, in("", "services")),
			find: func(f *finder, o value) {
				for parent := range o.field("spec", "parentRefs").elements() {
					f.typed(parent, gateway)
				}
			},
		},
		{
			Name: "gatewayClass", From: gateways, To: in(gatewayGroup, "gatewayclasses"),
			find: func(f *finder, o value) {
				f.global(o.field("spec", "gatewayClassName"), resource(gatewayGroup, "gatewayclasses"))
			},
		},
		{
			Name: "ingressClass", From: ingresses, To: in(networkingGroup, "ingressclasses"),
			find: func(f *finder, o value) {
				f.global(o.field("spec", "ingressClassName"), resource(networkingGroup, "ingressclasses"))
			},
		},
		{
			Name: "parameters", Across: true, To: in("", "configmaps"), ToCustom: true,
			From: slices.Concat(in(networkingGroup, "ingressclasses"), in(gatewayGroup, "gatewayclasses")),
			find: func(f *finder, o value) {
				classParameters(f, o, "parameters")
				classParameters(f, o, "parametersRef")
			},
		},
		{
			Name: "tls", From: ingresses, To: in("", "secrets"), find: func(f *finder, o value) {
				for tls := range o.field("spec", "tls").elements() {
					f.local(tls.field("secretName"), resource("", "secrets"), false)
				}
			},
		},
		{
			Name: "tls", From: gateways, To: in("", "secrets"), ToCustom: true, Across: true,
			find: func(f *finder, o value) {
				for listener := range o.field("spec", "listeners").elements() {
					for certificate := range listener.field("tls", "certificateRefs").elements() {
						f.typed(certificate, secret)
					}
				}
			},
		},
	}
}

// ofPolicies returns the rules of what applies to pods.
func ofPolicies() Rules {
	pods := resource("", "pods")
	// whole is a rule about a whole resource of the namespace.
	whole := func(name, plural string, to ...string) Rule {
		return Rule{
			Name: name, From: in("", plural), To: in("", to...), Selects: true,
			find: func(f *finder, _ value) {
				for _, plural := range to {
					f.add(value{}, Selection{
						Resource: plural, Namespace: history.ScopeOf(f.object.Namespace),
						Labels: labels.Everything(), Whole: true,
					})
				}
			},
		}
	}
	return Rules{
		{
			// An absent selector selects nothing, and an empty one all pods of
			// the namespace.
			Name: "disruption", From: in("policy", "poddisruptionbudgets"), To: in("", "pods"), Selects: true,
			find: func(f *finder, o value) {
				selector := o.field("spec", "selector")
				f.choose(selector, pods, history.ScopeOf(f.object.Namespace), selector.labelSelector())
			},
		},
		{
			// An absent selector is an empty one, which selects all pods of the
			// namespace.
			Name: "networkPolicy", From: in(networkingGroup, "networkpolicies"), To: in("", "pods"), Selects: true,
			find: func(f *finder, o value) {
				if _, is := o.field("spec").data.(map[string]any); !is {
					return
				}
				selector := o.field("spec", "podSelector")
				by := selector.labelSelector()
				if !selector.exists() {
					by = labels.Everything()
				}
				f.choose(selector, pods, history.ScopeOf(f.object.Namespace), by)
			},
		},
		whole("quota", "resourcequotas", "pods", "persistentvolumeclaims"),
		whole("limitRange", "limitranges", "pods", "persistentvolumeclaims"),
	}
}

// ofServers returns the rules of what extends the API server.
func ofServers() Rules {
	services := resource("", "services")
	configurations := in(admissionGroup, "validatingwebhookconfigurations", "mutatingwebhookconfigurations")
	definitions := in(extensionsGroup, "customresourcedefinitions")
	return Rules{
		{
			Name: "webhook", From: configurations, To: in("", "services"), Across: true,
			find: func(f *finder, o value) {
				for webhook := range o.field("webhooks").elements() {
					f.in(webhook.field("clientConfig", "service"), services)
				}
			},
		},
		{
			Name: "webhook", From: definitions, To: in("", "services"), Across: true,
			find: func(f *finder, o value) {
				f.in(o.field("spec", "conversion", "webhook", "clientConfig", "service"), services)
			},
		},
		{
			Name: "admission", From: configurations, Across: true, Selects: true, find: func(f *finder, o value) {
				for webhook := range o.field("webhooks").elements() {
					for rule := range webhook.field("rules").elements() {
						admit(f, webhook, rule)
					}
				}
			},
		},
		{
			Name: "definition", From: definitions, ToCustom: true, Across: true, Selects: true,
			Only: schema.GroupResource.String,
			find: func(f *finder, o value) {
				plural, group := o.field("spec", "names", "plural"), o.field("spec", "group").text()
				if isName(plural.text()) && isName(group) {
					to := schema.GroupResource{Group: group, Resource: plural.text()}
					f.choose(plural, to, history.AllNamespaces, labels.Everything())
				}
			},
		},
		{
			Name: "policy", From: in(admissionGroup, "validatingadmissionpolicybindings"),
			To: in(admissionGroup, "validatingadmissionpolicies"),
			find: func(f *finder, o value) {
				f.global(o.field("spec", "policyName"), resource(admissionGroup, "validatingadmissionpolicies"))
			},
		},
	}
}

// admit adds the selections of one rule of a webhook, without those of
// subresources.
func admit(f *finder, webhook, rule value) {
	s := Selection{Labels: selectorOr(webhook.field("objectSelector")), Whole: true}
	if s.Labels == nil {
		return
	}
	if selector := webhook.field("namespaceSelector"); selector.exists() {
		if s.Namespaces = selector.labelSelector(); s.Namespaces == nil {
			return
		}
	}
	switch rule.field("scope").text() {
	case "Cluster":
		s.Namespace = history.ClusterScoped
	case "Namespaced":
		s.Namespaced = true
	}
	for group := range rule.field("apiGroups").elements() {
		for plural := range rule.field("resources").elements() {
			s.Group, s.Resource = group.text(), plural.text()
			if s.Resource == "*/*" {
				s.Resource = every
			}
			if _, is := group.data.(string); is && isType(s.Group) && isName(s.Resource) {
				f.add(plural, s)
			}
		}
	}
}

// selectorOr returns the selector of a LabelSelector. An absent one selects
// everything. It returns nil if the selector is not valid.
func selectorOr(v value) labels.Selector {
	if !v.exists() {
		return labels.Everything()
	}
	return v.labelSelector()
}
