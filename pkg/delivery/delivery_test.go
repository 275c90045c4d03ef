package delivery_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/delivery"
	"github.com/watchhistory/watchhistory/pkg/history"
)

const commit = "7f3c2d1e0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d"

// by returns managers by their names, divided by commas. One may have a
// /subresource.
func by(names string) (managers []history.Manager) {
	if names == "" {
		return nil
	}
	for name := range strings.SplitSeq(names, ",") {
		name, subresource, _ := strings.Cut(name, "/")
		managers = append(managers, history.Manager{Name: name, Subresource: subresource})
	}
	return managers
}

// deployment returns the Deployment shop/api with labels and annotations.
func deployment(labels, annotations string) string {
	return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"api","namespace":"shop",` +
		`"labels":{` + labels + `},"annotations":{` + annotations + `}},"spec":{},"status":{"history":7}}`
}

const (
	helmLabels      = `"app.kubernetes.io/managed-by":"Helm","helm.sh/chart":"api-1.2.4_2"`
	helmAnnotations = `"meta.helm.sh/release-name":"api","meta.helm.sh/release-namespace":"shop"`
	kustomization   = `"kustomize.toolkit.fluxcd.io/name":"apps","kustomize.toolkit.fluxcd.io/namespace":"flux-system"`
	tracking        = `"argocd.argoproj.io/tracking-id":"api:apps/Deployment:shop/api"`

	releaseSecret = `{"apiVersion":"v1","kind":"Secret","type":"helm.sh/release.v1",` +
		`"metadata":{"name":"sh.helm.release.v1.api.v3","namespace":"shop",` +
		`"labels":{"name":"api","owner":"helm","status":"deployed","version":"3"}}}`
	fluxHelmRelease = `{"apiVersion":"helm.toolkit.fluxcd.io/v2","kind":"HelmRelease",` +
		`"metadata":{"name":"api","namespace":"shop"},"status":{"history":[{"chartName":"api","chartVersion":` +
		`"1.2.4",` +
		`"status":"deployed","version":3},{"chartName":"api","chartVersion":"1.2.3","status":"superseded",` +
		`"version":2}]}}`
)

// applied returns a Kustomization that applied a revision.
func applied(revision string) string {
	return `{"apiVersion":"kustomize.toolkit.fluxcd.io/v1","kind":"Kustomization",` +
		`"metadata":{"name":"apps","namespace":"flux-system"},"status":{"lastAppliedRevision":"` + revision + `"}}`
}

// application returns an Application with a status.
func application(status string) string {
	return `{"apiVersion":"argoproj.io/v1alpha1","kind":"Application","metadata":{"name":"api","namespace":"argocd",` +
		`"annotations":{"argocd.argoproj.io/tracking-id":"root:argoproj.io/Application:argocd/api"}},` +
		`"status":{` + status + `}}`
}

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		name, object, managers string
		want                   delivery.Delivery
		text                   string
	}{
		{
			"Helm", deployment(helmLabels, helmAnnotations), "kube-controller-manager,helm",
			delivery.Delivery{Tool: "helm", Kind: "release", Name: "api", Namespace: "shop", Chart: "api-1.2.4+2"},
			"chart api-1.2.4+2",
		},
		{
			"Helm without a chart", deployment(`"app.kubernetes.io/managed-by":"Helm"`, helmAnnotations),
			"terraform-provider-helm_v2.9.0_x5",
			delivery.Delivery{Tool: "helm", Kind: "release", Name: "api", Namespace: "shop"},
			"release shop/api",
		},
		{
			"record of a Helm release", releaseSecret, "Helm",
			delivery.Delivery{Tool: "helm", Kind: "release", Name: "api", Namespace: "shop", Revision: "3"},
			"release shop/api v3",
		},
		{
			"record of a Helm release by Flux", releaseSecret, "helm-controller",
			delivery.Delivery{Tool: "helm", Kind: "release", Name: "api", Namespace: "shop", Revision: "3"},
			"release shop/api v3",
		},
		{
			"Argo CD", deployment(`"app.kubernetes.io/instance":"x"`, tracking), "argocd-controller",
			delivery.Delivery{Tool: "argocd", Kind: "app", Name: "api"},
			"app api",
		},
		{
			"Argo CD with a namespace", deployment("", strings.Replace(tracking, `"api:`, `"shop_api:`, 1)),
			"argocd-application-controller",
			delivery.Delivery{Tool: "argocd", Kind: "app", Name: "api", Namespace: "shop"},
			"app shop/api",
		},
		{
			"Argo CD without a group", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop",` +
				`"annotations":{"argocd.argoproj.io/tracking-id":"api:/Namespace:default/shop"}}}`,
			"argocd-controller",
			delivery.Delivery{Tool: "argocd", Kind: "app", Name: "api"},
			"app api",
		},
		{
			"label of Argo CD",
			deployment(`"argocd.argoproj.io/instance":"shop_api","app.kubernetes.io/instance":"x"`, ""),
			"argocd-controller",
			delivery.Delivery{Tool: "argocd", Kind: "app", Name: "api", Namespace: "shop"},
			"app shop/api",
		},
		{
			"common label by Argo CD", deployment(`"app.kubernetes.io/instance":"api","helm.sh/chart":"api-1.2.4"`,
				""),
			"argocd-application-controller",
			delivery.Delivery{Tool: "argocd", Kind: "app", Name: "api", Chart: "api-1.2.4"},
			"chart api-1.2.4",
		},
		{
			"Application", application(`"sync":{"status":"OutOfSync","revision":"x"},"operationState":{` +
				`"phase":"Succeeded","operation":{"initiatedBy":{"username":"ann"}},"syncResult":{"revision":` +
				`"` + commit + `"}}`),
			"argocd-application-controller",
			delivery.Delivery{
				Tool: "argocd", Kind: "app", Name: "api", Namespace: "argocd", Commit: commit, Cause: "by ann",
			},
			"app argocd/api@7f3c2d1",
		},
		{
			"synchronized Application",
			application(`"sync":{"status":"Synced","revision":"1.2.4"},"operationState":{` +
				`"phase":"Failed","operation":{"initiatedBy":{"automated":true}},"syncResult":{"revision":"x"}}`),
			"argocd-application-controller",
			delivery.Delivery{Tool: "argocd", Kind: "app", Name: "api", Namespace: "argocd", Revision: "1.2.4"},
			"app argocd/api@1.2.4",
		},
		{
			"Application of an application", application(`"sync":{"status":"Synced","revision":"1.2.4"}`),
			"argocd-controller",
			delivery.Delivery{Tool: "argocd", Kind: "app", Name: "root"},
			"app root",
		},
		{
			"Flux", deployment(kustomization, ""), "kustomize-controller",
			delivery.Delivery{Tool: "flux", Kind: "kustomization", Name: "apps", Namespace: "flux-system"},
			"kustomization flux-system/apps",
		},
		{
			"Helm by Flux", deployment(helmLabels+`,"helm.toolkit.fluxcd.io/name":"api",`+
				`"helm.toolkit.fluxcd.io/namespace":"shop"`, helmAnnotations), "helm-controller",
			delivery.Delivery{Tool: "flux", Kind: "helmrelease", Name: "api", Namespace: "shop", Chart: "api-1.2.4+2"},
			"chart api-1.2.4+2",
		},
		{
			"Kustomization", applied("main@sha1:" + commit), "kustomize-controller/status",
			delivery.Delivery{
				Tool: "flux", Kind: "kustomization", Name: "apps", Namespace: "flux-system",
				Revision: "main", Commit: commit,
			},
			"kustomization flux-system/apps@main/7f3c2d1",
		},
		{
			"Kustomization of an earlier Flux", applied("release/1.2/" + commit), "kustomize-controller/status",
			delivery.Delivery{
				Tool: "flux", Kind: "kustomization", Name: "apps", Namespace: "flux-system",
				Revision: "release/1.2", Commit: commit,
			},
			"kustomization flux-system/apps@release/1.2/7f3c2d1",
		},
		{
			"Kustomization of an image", applied("1.2@sha256:" + strings.Repeat("a", 64)),
			"kustomize-controller/status",
			delivery.Delivery{
				Tool: "flux", Kind: "kustomization", Name: "apps", Namespace: "flux-system",
				Revision: "1.2@sha256:" + strings.Repeat("a", 64),
			},
			"kustomization flux-system/apps@1.2@sha256:" + strings.Repeat("a", 64),
		},
		{
			"HelmRelease", fluxHelmRelease, "helm-controller/status",
			delivery.Delivery{
				Tool: "flux", Kind: "helmrelease", Name: "api", Namespace: "shop", Chart: "api-1.2.4", Revision: "3",
			},
			"chart api-1.2.4",
		},
		{
			"HelmRelease of an earlier Flux", strings.Replace(fluxHelmRelease, `"history":[`,
				`"lastAppliedRevision":"1.2.4","other":[`, 1), "helm-controller/status",
			delivery.Delivery{Tool: "flux", Kind: "helmrelease", Name: "api", Namespace: "shop", Revision: "1.2.4"},
			"helmrelease shop/api@1.2.4",
		},
		{
			"cause", deployment("", `"kubernetes.io/change-cause":"build\n 42"`), "kubectl-annotate",
			delivery.Delivery{Tool: "kubectl", Cause: "build 42"},
			"build 42",
		},
		{
			"cause of a release", deployment(helmLabels, helmAnnotations+`,"kubernetes.io/change-cause":"build 42"`),
			"helm",
			delivery.Delivery{
				Tool: "helm", Kind: "release", Name: "api", Namespace: "shop", Chart: "api-1.2.4+2", Cause: "build 42",
			},
			"chart api-1.2.4+2",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := delivery.Of([]byte(tt.object), by(tt.managers))
			if d := cmp.Diff(tt.want, got); d != "" || !ok {
				t.Errorf("got %t, delivery (-want +got):\n%s", ok, d)
			}
			if got.String() != tt.text {
				t.Errorf("got text %q, want %q", got.String(), tt.text)
			}
			if got, ok := delivery.Of([]byte(tt.object), nil); ok {
				t.Errorf("without managers: got %+v, want none", got)
			}
		})
	}
}

// The marks of a tool stay when someone else writes.
func TestOf_GuessesNothing(t *testing.T) {
	const hash = "hmac-sha256:0123456789abcdef0123456789abcdef"
	helm := deployment(helmLabels, helmAnnotations)
	for _, tt := range []struct{ name, object, managers string }{
		{"a person", helm, "kubectl-edit"},
		{"a status", helm, "helm/status"},
		{"a program with a similar name", helm, "helmfile,helm-controller,helm-x"},
		{"no annotation of Helm", deployment(helmLabels, ""), "helm"},
		{"not managed by Helm", deployment("", helmAnnotations), "helm"},
		{"a redacted release", deployment(helmLabels, `"meta.helm.sh/release-name":"`+hash+`"`), "helm"},
		{"another name of a record", strings.Replace(releaseSecret, ".v3", ".v4", 1), "helm"},
		{"another type of a record", strings.Replace(releaseSecret, "helm.sh/release.v1", "Opaque", 1), "helm"},
		{"a superseded release", strings.Replace(releaseSecret, "deployed", "superseded", 1), "helm"},
		{
			"a copy of another object", deployment("", strings.Replace(tracking, "shop/api", "shop/web", 1)),
			"argocd-controller",
		},
		{
			"a copy in another namespace", deployment("", strings.Replace(tracking, "shop/api", "x/api", 1)),
			"argocd-controller",
		},
		{
			"a copy of another kind", deployment("", strings.Replace(tracking, "Deployment", "Pod", 1)),
			"argocd-controller",
		},
		{"no application", deployment("", strings.Replace(tracking, `"api:`, `":`, 1)), "argocd-controller"},
		{"a short tracking ID", deployment("", `"argocd.argoproj.io/tracking-id":"api"`), "argocd-controller"},
		{"edited in Argo CD", deployment("", tracking), "argocd-server"},
		{
			"an Application that is not synchronized", application(`"sync":{"status":"OutOfSync","revision":"x"}`),
			"argocd-application-controller",
		},
		{
			"an Application that is synchronizing",
			application(`"operationState":{"phase":"Running","syncResult":{"revision":"x"}}`),
			"argocd-application-controller",
		},
		{
			"half of the labels of Flux", deployment(`"kustomize.toolkit.fluxcd.io/name":"apps"`, ""),
			"kustomize-controller",
		},
		{"a Kustomization that is written by another", applied("main"), "kustomize-controller"},
		{"a Kustomization that applied nothing", applied(""), "kustomize-controller/status"},
		{
			"a HelmRelease that failed", strings.Replace(fluxHelmRelease, "deployed", "failed", 1),
			"helm-controller/status",
		},
		{"a status of a Deployment with a cause", deployment("", `"kubernetes.io/change-cause":"x"`), "kcm/status"},
		{"no marks", deployment("", ""), "helm,argocd-controller,kustomize-controller,helm-controller"},
		{
			"texts of another kind", deployment(`"app.kubernetes.io/managed-by":7`, `"meta.helm.sh/release-name":{}`),
			"helm",
		},
		{"no object", `[]`, "helm"},
		{"metadata of another kind", `{"metadata":[]}`, "helm"},
		{"an empty document", ``, "helm"},
		{"a broken document", helm[:len(helm)-9], "helm"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := delivery.Of([]byte(tt.object), by(tt.managers)); ok {
				t.Errorf("got %+v, want none", got)
			}
		})
	}
}

// A cause stays in the object when another field changes later.
func TestOf_CauseOfThisVersion(t *testing.T) {
	object := []byte(deployment("", `"kubernetes.io/change-cause":"build 42"`))
	for _, tt := range []struct {
		fields string
		want   bool
	}{
		{`spec.replicas`, false},
		{`metadata.annotations["other"]`, false},
		{`metadata.annotations["kubernetes.io/change-cause"]`, true},
		{`metadata.annotations`, true},
	} {
		managers := []history.Manager{{Name: "helm"}, {Name: "kubectl", Fields: []string{tt.fields, "spec.x"}}}
		if got, ok := delivery.Of(object, managers); ok != tt.want {
			t.Errorf("%s: got %+v, %t, want %t", tt.fields, got, ok, tt.want)
		}
	}
}

func TestOf_CutsLongTexts(t *testing.T) {
	cause, err := json.Marshal(strings.Repeat("ü\t\u0007", 5000))
	if err != nil {
		t.Fatal(err)
	}
	got, ok := delivery.Of([]byte(deployment("", `"kubernetes.io/change-cause":`+string(cause))), by("x"))
	if n := utf8.RuneCountInString(got.Cause); !ok || n != 128 || strings.ContainsAny(got.Cause, "\t\a") {
		t.Errorf("got %q of %d runes, want one line of 128", got.Cause, n)
	}
}

func FuzzOf(f *testing.F) {
	for _, object := range []string{
		deployment(helmLabels, helmAnnotations), deployment(kustomization, tracking), releaseSecret, fluxHelmRelease,
		applied("main@sha1:" + commit), application(`"operationState":{"phase":"Succeeded"}`), `{"metadata":7}`, "{",
	} {
		f.Add(object, "helm,argocd-controller,kustomize-controller,helm-controller/status")
	}
	f.Fuzz(func(t *testing.T, object, managers string) {
		d, ok := delivery.Of([]byte(object), by(managers))
		if ok != (d.Tool != "") || ok && d.String() == "" {
			t.Errorf("got %t with %+v and text %q", ok, d, d.String())
		}
		for _, text := range []string{d.Name, d.Namespace, d.Chart, d.Revision, d.Commit, d.Cause} {
			if utf8.RuneCountInString(text) > 128 || !utf8.ValidString(text) ||
				strings.ContainsAny(text, "\n\r\t\x1b\x00") {
				t.Errorf("got %q, want one line of at most 128 runes", text)
			}
		}
	})
}
