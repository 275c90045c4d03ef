package relation_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/relation"
)

// ruleCase is an object of the namespace shop, unless it is cluster-scoped, and
// its relations as [texts] writes them.
type ruleCase struct {
	name     string
	resource string // "plural.group"; with a slash before it, it is cluster-scoped
	json     string
	want     []string
}

func (c ruleCase) object() relation.Object {
	plural, cluster := strings.CutPrefix(c.resource, "/")
	plural, group, _ := strings.Cut(plural, ".")
	o := relation.Object{Group: group, Resource: plural, Namespace: "shop", Name: "it", JSON: []byte(c.json)}
	if cluster {
		o.Namespace = ""
	}
	return o
}

// texts returns relations as text: references as "rule type namespace/name
// path", and selections as "rule type in namespace: labels path".
func texts(found relation.Found) (all []string) {
	for _, r := range found.References {
		name := r.Name
		if r.Namespace != "" {
			name = r.Namespace + "/" + name
		}
		kind := r.Resource + r.Kind
		if r.Group != "" {
			kind += "." + r.Group
		}
		text := fmt.Sprintf("%s %s %s %s", r.Rule, kind, name, r.Path)
		if r.UID != "" {
			text += " uid=" + string(r.UID)
		}
		if r.Optional {
			text += " optional"
		}
		all = append(all, text)
	}
	for _, s := range found.Selections {
		kind := s.Resource
		if s.Group != "" {
			kind += "." + s.Group
		}
		text := fmt.Sprintf("%s %s in %q: %q %s", s.Rule, kind, s.Namespace, s.Labels, s.Path)
		if s.Namespaces != nil {
			text += fmt.Sprintf(" namespaces=%q", s.Namespaces)
		}
		if s.Namespaced {
			text += " namespaced"
		}
		if s.Whole {
			text += " whole"
		}
		all = append(all, text)
	}
	return all
}

// podSpec is a pod's specification with everything that a rule is about.
const podSpec = `{
	"nodeName":"node-1","priorityClassName":"high","runtimeClassName":"gvisor",
	"serviceAccountName":"web","serviceAccount":"web",
	"imagePullSecrets":[{"name":"registry"},{}],
	"initContainers":[{"name":"init","envFrom":[{"configMapRef":{"name":"init-env"}}]}],
	"containers":[{"name":"app",
		"env":[
			{"name":"PLAIN","value":"x"},
			{"name":"HOST","valueFrom":{"configMapKeyRef":{"name":"web-config","key":"host"}}},
			{"name":"PASSWORD","valueFrom":{"secretKeyRef":{"name":"db","key":"password","optional":true}}},
			{"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}}],
		"envFrom":[{"secretRef":{"name":"env"}},{"configMapRef":{"name":"maybe","optional":true}}]}],
	"ephemeralContainers":[{"name":"debug","env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"debug"}}}]}],
	"resourceClaims":[{"name":"gpu","resourceClaimName":"gpu-1"},{"name":"tpl","resourceClaimTemplateName":"gpu"}],
	"volumes":[
		{"name":"config","configMap":{"name":"files"}},
		{"name":"certs","secret":{"secretName":"certs","optional":true}},
		{"name":"share","azureFile":{"secretName":"azure","shareName":"a"}},
		{"name":"csi","csi":{"driver":"d","nodePublishSecretRef":{"name":"csi"}}},
		{"name":"rbd","rbd":{"secretRef":{"name":"ceph"}}},
		{"name":"all","projected":{"sources":[{"configMap":{"name":"part"}},{"secret":{"name":"half","optional":true}},
			{"serviceAccountToken":{"path":"token"}}]}},
		{"name":"data","persistentVolumeClaim":{"claimName":"data"}},
		{"name":"scratch","ephemeral":{"volumeClaimTemplate":{"spec":{"storageClassName":"fast"}}}},
		{"name":"tmp","emptyDir":{}}]}`

// ofPodSpec returns the relations of podSpec at a path.
func ofPodSpec(path string) []string {
	all := []string{
		"env configmaps shop/web-config .containers[name=app].env[name=HOST].valueFrom.configMapKeyRef.name",
		"env secrets shop/db .containers[name=app].env[name=PASSWORD].valueFrom.secretKeyRef.name optional",
		"env configmaps shop/debug .ephemeralContainers[name=debug].env[name=A].valueFrom.configMapKeyRef.name",
		"envFrom configmaps shop/init-env .initContainers[name=init].envFrom[0].configMapRef.name",
		"envFrom secrets shop/env .containers[name=app].envFrom[0].secretRef.name",
		"envFrom configmaps shop/maybe .containers[name=app].envFrom[1].configMapRef.name optional",
		"volume configmaps shop/files .volumes[name=config].configMap.name",
		"volume secrets shop/certs .volumes[name=certs].secret.secretName optional",
		"volume secrets shop/azure .volumes[name=share].azureFile.secretName",
		"volume secrets shop/csi .volumes[name=csi].csi.nodePublishSecretRef.name",
		"volume secrets shop/ceph .volumes[name=rbd].rbd.secretRef.name",
		"projected configmaps shop/part .volumes[name=all].projected.sources[0].configMap.name",
		"projected secrets shop/half .volumes[name=all].projected.sources[1].secret.name optional",
		"imagePullSecret secrets shop/registry .imagePullSecrets[name=registry].name",
		"serviceAccount serviceaccounts shop/web .serviceAccountName",
		"claim persistentvolumeclaims shop/data .volumes[name=data].persistentVolumeClaim.claimName",
		"resourceClaim resourceclaims.resource.k8s.io shop/gpu-1 .resourceClaims[name=gpu].resourceClaimName",
		"resourceClaim resourceclaimtemplates.resource.k8s.io shop/gpu " +
			".resourceClaims[name=tpl].resourceClaimTemplateName",
		"node nodes node-1 .nodeName",
		"priorityClass priorityclasses.scheduling.k8s.io high .priorityClassName",
		"runtimeClass runtimeclasses.node.k8s.io gvisor .runtimeClassName",
		"storageClass storageclasses.storage.k8s.io fast " +
			".volumes[name=scratch].ephemeral.volumeClaimTemplate.spec.storageClassName",
	}
	for i, text := range all {
		all[i] = strings.Replace(text, " .", " "+path+".", 1)
	}
	return all
}

// ruleCases returns at least one case for each rule.
func ruleCases() []ruleCase {
	return slices.Concat(podCases(), generalCases(), storageCases(), networkCases(), policyCases(), serverCases(),
		conventionCases())
}

func podCases() (cases []ruleCase) {
	for _, resource := range []string{
		"deployments.apps", "statefulsets.apps", "daemonsets.apps", "replicasets.apps", "jobs.batch",
		"replicationcontrollers", "rollouts.argoproj.io",
	} {
		cases = append(cases, ruleCase{
			"template of " + resource, resource, `{"spec":{"template":{"spec":` + podSpec + `}}}`,
			ofPodSpec("spec.template.spec"),
		})
	}
	return append(cases,
		ruleCase{"pod", "pods", `{"spec":` + podSpec + `}`, ofPodSpec("spec")},
		ruleCase{"pod template", "podtemplates", `{"template":{"spec":` + podSpec + `}}`, ofPodSpec("template.spec")},
		ruleCase{
			"cron job", "cronjobs.batch", `{"spec":{"jobTemplate":{"spec":{"template":{"spec":` + podSpec + `}}}}}`,
			ofPodSpec("spec.jobTemplate.spec.template.spec"),
		},
		ruleCase{
			"custom resource without containers", "certificates.cert-manager.io",
			`{"spec":{"template":{"spec":{"nodeName":"a","imagePullSecrets":[{"name":"x"}]}}}}`, nil,
		},
		ruleCase{"other kind with a template", "configmaps", `{"spec":{"template":{"spec":` + podSpec + `}}}`, nil},
		ruleCase{
			"deprecated serviceAccount", "pods", `{"spec":{"serviceAccountName":"","serviceAccount":"old"}}`,
			[]string{"serviceAccount serviceaccounts shop/old spec.serviceAccount"},
		},
	)
}

func generalCases() []ruleCase {
	return []ruleCase{
		{
			"owners", "pods",
			`{"metadata":{"ownerReferences":[
				{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web-1","uid":"u1","controller":true},
				{"apiVersion":"v1","kind":"Node","name":"node-1","uid":"u2"},
				{"apiVersion":"v1","kind":"Node","name":"without-uid"},
				{"apiVersion":"v1","kind":"","name":"without-kind","uid":"u3"},
				null, 7, "x", {"kind":7,"name":["a"],"uid":{}}]}}`,
			[]string{
				"owner ReplicaSet.apps shop/web-1 metadata.ownerReferences[name=web-1].name uid=u1",
				"owner Node shop/node-1 metadata.ownerReferences[name=node-1].name uid=u2",
			},
		},
		{
			"HPA", "horizontalpodautoscalers.autoscaling",
			`{"spec":{"scaleTargetRef":{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db"}}}`,
			[]string{"scaleTarget StatefulSet.apps shop/db spec.scaleTargetRef.name"},
		},
		{
			"VPA", "verticalpodautoscalers.autoscaling.k8s.io",
			`{"spec":{"targetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"web"}}}`,
			[]string{"scaleTarget Deployment.apps shop/web spec.targetRef.name"},
		},
		{
			"KEDA without a kind", "scaledobjects.keda.sh", `{"spec":{"scaleTargetRef":{"name":"web"}}}`,
			[]string{"scaleTarget Deployment.apps shop/web spec.scaleTargetRef.name"},
		},
		{
			"RoleBinding of a Role", "rolebindings.rbac.authorization.k8s.io",
			`{"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"system:reader"},
			"subjects":[{"kind":"ServiceAccount","name":"web","namespace":"other"},
				{"kind":"ServiceAccount","name":"own"},
				{"kind":"User","name":"jane"},{"kind":"Group","name":"dev"},{"kind":"ServiceAccount","name":"a/b"}]}`,
			[]string{
				"roleRef roles.rbac.authorization.k8s.io shop/system:reader roleRef.name",
				"subject serviceaccounts other/web subjects[name=web].name",
				"subject serviceaccounts shop/own subjects[name=own].name",
			},
		},
		{
			"ClusterRoleBinding", "/clusterrolebindings.rbac.authorization.k8s.io",
			`{"roleRef":{"kind":"ClusterRole","name":"view"},
			"subjects":[{"kind":"ServiceAccount","name":"web","namespace":"shop"},
				{"kind":"ServiceAccount","name":"lost"}]}`,
			[]string{
				"roleRef clusterroles.rbac.authorization.k8s.io view roleRef.name",
				"subject serviceaccounts shop/web subjects[name=web].name",
			},
		},
		{
			"aggregated ClusterRole", "/clusterroles.rbac.authorization.k8s.io",
			`{"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"to":"view"}},{"matchLabels":{"to":7}}]}}`,
			[]string{
				`aggregation clusterroles.rbac.authorization.k8s.io in "-": "to=view" ` +
					`aggregationRule.clusterRoleSelectors[0]`,
			},
		},
		{
			"ServiceAccount", "serviceaccounts",
			`{"secrets":[{"name":"token"}],"imagePullSecrets":[{"name":"registry"}]}`,
			[]string{
				"secret secrets shop/token secrets[name=token].name",
				"imagePullSecret secrets shop/registry imagePullSecrets[name=registry].name",
			},
		},
		{
			"token", "secrets",
			`{"type":"kubernetes.io/service-account-token",
			"metadata":{"annotations":{"kubernetes.io/service-account.name":"web"}}}`,
			[]string{
				`serviceAccount serviceaccounts shop/web metadata.annotations["kubernetes.io/service-account.name"]`,
			},
		},
		{
			"redacted name", "secrets",
			`{"metadata":{"annotations":{"kubernetes.io/service-account.name":
				"hmac-sha256:0123456789abcdef0123456789abcdef"}}}`,
			nil,
		},
	}
}

func storageCases() []ruleCase {
	return []ruleCase{
		{
			"claim", "persistentvolumeclaims",
			`{"spec":{"volumeName":"pv-1","storageClassName":"fast",
			"dataSource":{"apiGroup":"snapshot.storage.k8s.io","kind":"VolumeSnapshot","name":"old"}}}`,
			[]string{
				"volumeName persistentvolumes pv-1 spec.volumeName",
				"storageClass storageclasses.storage.k8s.io fast spec.storageClassName",
				"dataSource VolumeSnapshot.snapshot.storage.k8s.io shop/old spec.dataSource.name",
			},
		},
		{
			"claim from another namespace", "persistentvolumeclaims",
			`{"spec":{"storageClassName":"","dataSource":{"kind":"PersistentVolumeClaim","name":"x"},
			"dataSourceRef":{"kind":"PersistentVolumeClaim","name":"data","namespace":"prod"}}}`,
			[]string{"dataSource PersistentVolumeClaim prod/data spec.dataSourceRef.name"},
		},
		{
			"volume", "/persistentvolumes",
			`{"spec":{"storageClassName":"fast","claimRef":{"namespace":"shop","name":"data","uid":"u"},
			"csi":{"driver":"d","nodeStageSecretRef":{"name":"csi","namespace":"kube-system"}},
			"rbd":{"secretRef":{"name":"no-namespace"}}}}`,
			[]string{
				"claimRef persistentvolumeclaims shop/data spec.claimRef.name",
				"storageClass storageclasses.storage.k8s.io fast spec.storageClassName",
				"volume secrets kube-system/csi spec.csi.nodeStageSecretRef.name",
			},
		},
		{
			"claim templates", "statefulsets.apps",
			`{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"data"},"spec":{"storageClassName":"fast"}}]}}`,
			[]string{
				"storageClass storageclasses.storage.k8s.io fast spec.volumeClaimTemplates[0].spec.storageClassName",
			},
		},
		{
			"attachment", "/volumeattachments.storage.k8s.io",
			`{"spec":{"attacher":"d","nodeName":"node-1","source":{"persistentVolumeName":"pv-1"}}}`,
			[]string{
				"volumeName persistentvolumes pv-1 spec.source.persistentVolumeName",
				"node nodes node-1 spec.nodeName",
			},
		},
	}
}

func networkCases() []ruleCase {
	const gateway = ".gateway.networking.k8s.io"
	return []ruleCase{
		{
			"Service", "services", `{"spec":{"selector":{"app":"web","tier":"front"}}}`,
			[]string{`selector pods in "shop": "app=web,tier=front" spec.selector`},
		},
		{"Service with an empty selector", "services", `{"spec":{"selector":{}}}`, nil},
		{"Service with null as its selector", "services", `{"spec":{"selector":null}}`, nil},
		{"Service without a selector", "services", `{"spec":{"type":"ClusterIP"}}`, nil},
		{"Service with a number", "services", `{"spec":{"selector":{"app":"web","n":7}}}`, nil},
		{"Service with an invalid label", "services", `{"spec":{"selector":{"app":"not a label"}}}`, nil},
		{"external Service", "services", `{"spec":{"type":"ExternalName","selector":{"app":"web"}}}`, nil},
		{
			"Ingress", "ingresses.networking.k8s.io",
			`{"spec":{"ingressClassName":"nginx","defaultBackend":{"service":{"name":"default","port":{"number":80}}},
			"tls":[{"hosts":["a"],"secretName":"cert"},{"hosts":["b"]}],
			"rules":[{"host":"a","http":{"paths":[{"path":"/","backend":{"service":{"name":"web"}}},
				{"path":"/s","backend":{"resource":{"apiGroup":"k8s.example.com","kind":"Bucket","name":"static"}}}
				]}},{}]}}`,
			[]string{
				"backend services shop/default spec.defaultBackend.service.name",
				"backend services shop/web spec.rules[0].http.paths[0].backend.service.name",
				"backend Bucket.k8s.example.com shop/static spec.rules[0].http.paths[1].backend.resource.name",
				"ingressClass ingressclasses.networking.k8s.io nginx spec.ingressClassName",
				"tls secrets shop/cert spec.tls[0].secretName",
			},
		},
		{
			"HTTPRoute", "httproutes" + gateway,
			`{"spec":{"parentRefs":[{"name":"public","namespace":"infra"},{"group":"","kind":"Service","name":"mesh"}],
			"rules":[{"backendRefs":[{"name":"web","port":80},{"group":"net.example.com","kind":"Pool","name":"p"}],
				"filters":[{"requestMirror":{"backendRef":{"name":"copy","namespace":"test"}}}]}]}}`,
			[]string{
				"backend Service shop/web spec.rules[0].backendRefs[name=web].name",
				"backend Pool.net.example.com shop/p spec.rules[0].backendRefs[name=p].name",
				"backend Service test/copy spec.rules[0].filters[0].requestMirror.backendRef.name",
				"parent Gateway.gateway.networking.k8s.io infra/public spec.parentRefs[name=public].name",
				"parent Service shop/mesh spec.parentRefs[name=mesh].name",
			},
		},
		{
			"GRPCRoute", "grpcroutes" + gateway, `{"spec":{"rules":[{"backendRefs":[{"name":"web"}]}]}}`,
			[]string{"backend Service shop/web spec.rules[0].backendRefs[name=web].name"},
		},
		{
			"Gateway", "gateways" + gateway,
			`{"spec":{"gatewayClassName":"istio","listeners":[{"name":"https","tls":{"certificateRefs":[
				{"name":"cert"},{"kind":"Secret","group":"","name":"shared","namespace":"certs"}]}},{"name":"http"}]}}`,
			[]string{
				"gatewayClass gatewayclasses.gateway.networking.k8s.io istio spec.gatewayClassName",
				"tls Secret shop/cert spec.listeners[name=https].tls.certificateRefs[name=cert].name",
				"tls Secret certs/shared spec.listeners[name=https].tls.certificateRefs[name=shared].name",
			},
		},
		{
			"GatewayClass", "/gatewayclasses" + gateway,
			`{"spec":{"parametersRef":{"group":"","kind":"ConfigMap","name":"options","namespace":"infra"}}}`,
			[]string{"parameters ConfigMap infra/options spec.parametersRef.name"},
		},
		{
			"IngressClass", "/ingressclasses.networking.k8s.io",
			`{"spec":{"parameters":{"apiGroup":"k8s.example.com","kind":"Options","name":"shared"}}}`,
			[]string{"parameters Options.k8s.example.com shared spec.parameters.name"},
		},
		{
			"APIService", "/apiservices.apiregistration.k8s.io",
			`{"spec":{"service":{"name":"metrics","namespace":"kube-system"}}}`,
			[]string{"backend services kube-system/metrics spec.service.name"},
		},
		{"local APIService", "/apiservices.apiregistration.k8s.io", `{"spec":{"service":null}}`, nil},
	}
}

func policyCases() []ruleCase {
	return []ruleCase{
		{
			"budget", "poddisruptionbudgets.policy",
			`{"spec":{"selector":{"matchLabels":{"app":"web"},
			"matchExpressions":[{"key":"tier","operator":"In","values":["b","a"]}]}}}`,
			[]string{`disruption pods in "shop": "app=web,tier in (a,b)" spec.selector`},
		},
		{
			"budget with an empty selector", "poddisruptionbudgets.policy", `{"spec":{"selector":{}}}`,
			[]string{`disruption pods in "shop": "" spec.selector`},
		},
		{"budget without a selector", "poddisruptionbudgets.policy", `{"spec":{"minAvailable":1}}`, nil},
		{"budget with null", "poddisruptionbudgets.policy", `{"spec":{"selector":null}}`, nil},
		{
			"budget with an unknown operator", "poddisruptionbudgets.policy",
			`{"spec":{"selector":{"matchExpressions":[{"key":"a","operator":"Near"}]}}}`, nil,
		},
		{"budget with a list", "poddisruptionbudgets.policy", `{"spec":{"selector":["app"]}}`, nil},
		{
			"network policy", "networkpolicies.networking.k8s.io",
			`{"spec":{"podSelector":{"matchLabels":{"app":"db"}}}}`,
			[]string{`networkPolicy pods in "shop": "app=db" spec.podSelector`},
		},
		{
			"network policy with an empty selector", "networkpolicies.networking.k8s.io", `{"spec":{"podSelector":{}}}`,
			[]string{`networkPolicy pods in "shop": "" spec.podSelector`},
		},
		{
			"network policy without a selector", "networkpolicies.networking.k8s.io",
			`{"spec":{"policyTypes":["Egress"]}}`,
			[]string{`networkPolicy pods in "shop": "" `},
		},
		{"network policy with a number", "networkpolicies.networking.k8s.io", `{"spec":{"podSelector":7}}`, nil},
		{"network policy without a spec", "networkpolicies.networking.k8s.io", `{"spec":[]}`, nil},
		{
			"quota", "resourcequotas", `{"spec":{"hard":{"pods":"10"}}}`,
			[]string{
				`quota pods in "shop": ""  whole`,
				`quota persistentvolumeclaims in "shop": ""  whole`,
			},
		},
		{
			"limit range", "limitranges", `{"spec":{"limits":[]}}`,
			[]string{
				`limitRange pods in "shop": ""  whole`,
				`limitRange persistentvolumeclaims in "shop": ""  whole`,
			},
		},
	}
}

func serverCases() []ruleCase {
	return []ruleCase{
		{
			"webhooks", "/mutatingwebhookconfigurations.admissionregistration.k8s.io",
			`{"webhooks":[{"name":"a.example.com","clientConfig":{"service":{"name":"hook","namespace":"infra"}},
				"namespaceSelector":{"matchLabels":{"inject":"on"}},"objectSelector":{"matchLabels":{"app":"web"}},
				"rules":[{"apiGroups":["apps",""],"resources":["deployments","pods/exec"],"scope":"Namespaced"}]},
				{"name":"b.example.com","clientConfig":{"url":"https://b"},
				"rules":[{"apiGroups":["*"],"resources":["*/*"],"scope":"Cluster"},
					{"apiGroups":[7],"resources":["pods"]}]},
				{"name":"c.example.com","objectSelector":{"matchLabels":7},
				"rules":[{"apiGroups":["*"],"resources":["*"]}]},
				{"name":"d.example.com","namespaceSelector":[],"rules":[{"apiGroups":["*"],"resources":["*"]}]}]}`,
			[]string{
				"webhook services infra/hook webhooks[name=a.example.com].clientConfig.service.name",
				`admission deployments.apps in "": "app=web" webhooks[name=a.example.com].rules[0].resources[0] ` +
					`namespaces="inject=on" namespaced whole`,
				`admission deployments in "": "app=web" webhooks[name=a.example.com].rules[0].resources[0] ` +
					`namespaces="inject=on" namespaced whole`,
				`admission *.* in "-": "" webhooks[name=b.example.com].rules[0].resources[0] whole`,
			},
		},
		{
			"definition", "/customresourcedefinitions.apiextensions.k8s.io",
			`{"spec":{"group":"example.com","names":{"plural":"widgets","kind":"Widget"},
			"conversion":{"webhook":{"clientConfig":{"service":{"name":"conv","namespace":"infra"}}}}}}`,
			[]string{
				"webhook services infra/conv spec.conversion.webhook.clientConfig.service.name",
				`definition widgets.example.com in "": "" spec.names.plural`,
			},
		},
		{
			"policy binding", "/validatingadmissionpolicybindings.admissionregistration.k8s.io",
			`{"spec":{"policyName":"replicas"}}`,
			[]string{"policy validatingadmissionpolicies.admissionregistration.k8s.io replicas spec.policyName"},
		},
	}
}

func conventionCases() []ruleCase {
	return []ruleCase{
		{
			"names", "databases.example.com",
			`{"spec":{"secretName":"a","tls":{"caSecretName":"b"},"configMapName":"c","serviceAccountName":"d",
				"storageClassName":"e","volumes":[{"claimName":"f"},{"persistentVolumeClaimName":"g"}]}}`,
			[]string{
				"reference secrets shop/a spec.secretName optional",
				"reference secrets shop/b spec.tls.caSecretName optional",
				"reference configmaps shop/c spec.configMapName optional",
				"reference serviceaccounts shop/d spec.serviceAccountName optional",
				"reference storageclasses.storage.k8s.io e spec.storageClassName optional",
				"reference persistentvolumeclaims shop/f spec.volumes[0].claimName optional",
				"reference persistentvolumeclaims shop/g spec.volumes[1].persistentVolumeClaimName optional",
			},
		},
		{
			"references without a kind", "databases.example.com",
			`{"spec":{"secretRef":{"name":"a"},"passwordSecretRef":{"name":"b","key":"k"},
				"env":[{"valueFrom":{"secretKeyRef":{"name":"c","key":"k"}}},
					{"valueFrom":{"configMapKeyRef":{"name":"d"}}}],
				"configMapRefs":[{"name":"e"},{"name":"f","namespace":"other"}],
				"serviceRef":{"name":"g"},"clusterRef":{"name":"h"}},"data":{"secretRef":{"name":"i"}}}`,
			[]string{
				"reference secrets shop/a spec.secretRef.name optional",
				"reference secrets shop/b spec.passwordSecretRef.name optional",
				"reference secrets shop/c spec.env[0].valueFrom.secretKeyRef.name optional",
				"reference configmaps shop/d spec.env[1].valueFrom.configMapKeyRef.name optional",
				"reference configmaps shop/e spec.configMapRefs[name=e].name optional",
				"reference configmaps other/f spec.configMapRefs[name=f].name optional",
				"reference services shop/g spec.serviceRef.name optional",
				"reference Cluster.example.com shop/h spec.clusterRef.name optional",
				"reference secrets shop/i data.secretRef.name optional",
			},
		},
		{
			"references with a kind", "kustomizations.kustomize.toolkit.fluxcd.io",
			`{"spec":{"sourceRef":{"kind":"GitRepository","name":"a","namespace":"flux"},
				"healthChecks":[{"apiVersion":"apps/v1","kind":"Deployment","name":"b","namespace":"web"}],
				"postBuild":{"substituteFrom":[{"kind":"ConfigMap","name":"c"},{"kind":"Secret","name":"d"}]},
				"issuerRef":{"name":"e","kind":"Issuer","group":"cert-manager.io"},
				"target":{"apiGroup":"example.com","kind":"Database","name":"f"}}}`,
			[]string{
				"reference GitRepository.kustomize.toolkit.fluxcd.io flux/a spec.sourceRef.name optional",
				"reference deployments.apps web/b spec.healthChecks[name=b].name optional",
				"reference configmaps shop/c spec.postBuild.substituteFrom[name=c].name optional",
				"reference secrets shop/d spec.postBuild.substituteFrom[name=d].name optional",
				"reference Issuer.cert-manager.io shop/e spec.issuerRef.name optional",
				"reference Database.example.com shop/f spec.target.name optional",
			},
		},
		{
			"cluster-scoped", "/clusterissuers.cert-manager.io",
			`{"spec":{"secretName":"a","storageClassName":"b","secretRef":{"name":"c","namespace":"infra"},
				"classRef":{"name":"d"}}}`,
			[]string{
				"reference storageclasses.storage.k8s.io b spec.storageClassName optional",
				"reference secrets infra/c spec.secretRef.name optional",
				"reference Class.cert-manager.io d spec.classRef.name optional",
			},
		},
		{
			"no references", "databases.example.com",
			`{"metadata":{"annotations":{"secretName":"a"},"secretRef":{"name":"a"}},"status":{"secretName":"b",
				"secretRef":{"name":"b"}},"kind":"Database","apiVersion":"example.com/v1",
				"spec":{"secretName":7,"secret":"c","configName":"d","serviceName":"e","hostName":"f","name":"g",
				"secrets":[{"name":"h"}],"parameters":[{"kind":"string","name":"i"}],"ref":{"kind":"Secret"},
				"secretRef":{"key":"j"},"Ref":{"name":"k"},"fieldRef":{"fieldPath":"spec.x"},
				"target":{"apiVersion":"v1","kind":"Pod","name":"l"},
				"template":{"apiVersion":"v1","kind":"Secret","metadata":{"name":"m"}},
				"claimName":"hmac-sha256:0123456789abcdef0123456789abcdef"}}`,
			nil,
		},
		{"built-in kind", "configmaps", `{"data":{"secretName":"a"},"spec":{"secretRef":{"name":"b"}}}`, nil},
	}
}

func TestRules_FindRelations(t *testing.T) {
	rules := relation.All()
	for _, c := range ruleCases() {
		found := rules.Of(c.object(), 1000)
		got, want := texts(found), slices.Clone(c.want)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if !found.Complete {
			t.Errorf("%s: got an incomplete result, want a complete one", c.name)
		}
	}
}

func TestRules_HaveTestCases(t *testing.T) {
	cases := ruleCases()
	for i, rule := range relation.All() {
		alone := relation.Rules{rule}
		if !slices.ContainsFunc(cases, func(c ruleCase) bool { return len(texts(alone.Of(c.object(), 1000))) > 0 }) {
			t.Errorf("rule %d %q: got no test case with a relation, want one", i, rule.Name)
		}
		// Every resource of the rule is one that some case is about.
		for _, from := range rule.From {
			about := func(c ruleCase) bool {
				o := c.object()
				return o.Group == from.Group && o.Resource == from.Resource
			}
			untested := []string{"tlsroutes", "tcproutes", "udproutes", "validatingwebhookconfigurations"}
			if !slices.ContainsFunc(cases, about) && !slices.Contains(untested, from.Resource) {
				t.Errorf("rule %d %q: got no test case of %s, want one", i, rule.Name, from)
			}
		}
	}
}

func TestRules_AreDocumented(t *testing.T) {
	const page = "../../docs/api.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range relation.All() {
		if !strings.Contains(string(text), "`"+rule.Name+"`") {
			t.Errorf("%s: got no rule %s, want all of them", page, rule.Name)
		}
	}
}

func TestRules_LeadWhereTheySay(t *testing.T) {
	for i, rule := range relation.All() {
		if rule.Name == "" || len(rule.From) == 0 && rule.Name != relation.Owner && !rule.Custom {
			t.Errorf("rule %d %q: got no name or no resources, want both", i, rule.Name)
		}
		for _, c := range ruleCases() {
			found := relation.Rules{rule}.Of(c.object(), 1000)
			if rule.Selects && len(found.References) > 0 || !rule.Selects && len(found.Selections) > 0 {
				t.Errorf("%s: got %v of rule %q with Selects=%t", c.name, texts(found), rule.Name, rule.Selects)
			}
			for _, r := range found.References {
				if r.Namespace != "" && r.Namespace != c.object().Namespace && !rule.Across {
					t.Errorf("%s: got namespace %q of rule %q, want Across", c.name, r.Namespace, rule.Name)
				}
				to := func(resource string) bool {
					return slices.ContainsFunc(rule.To, func(r2 groupResource) bool {
						return r2.Group == r.Group && r2.Resource == resource
					})
				}
				if len(rule.To) > 0 && r.Resource != "" && !to(r.Resource) {
					t.Errorf("%s: got %q.%q of %q, want one of %v", c.name, r.Resource, r.Group, rule.Name, rule.To)
				}
			}
			for _, s := range found.Selections {
				to := groupResource{Group: s.Group, Resource: s.Resource}
				if len(rule.To) > 0 && !rule.ToCustom && !slices.Contains(rule.To, to) {
					t.Errorf("%s: got %q.%q of %q, want one of %v", c.name, s.Resource, s.Group, rule.Name, rule.To)
				}
			}
		}
	}
}
