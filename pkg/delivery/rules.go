package delivery

import (
	"slices"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The marks of the tools.
const (
	changeCause = "kubernetes.io/change-cause"

	chartLabel       = "helm.sh/chart"
	managedBy        = "app.kubernetes.io/managed-by"
	releaseName      = "meta.helm.sh/release-name"
	releaseNamespace = "meta.helm.sh/release-namespace"
	releaseType      = "helm.sh/release.v1"
	releasePrefix    = "sh.helm.release.v1."

	trackingID       = "argocd.argoproj.io/tracking-id"
	argoInstance     = "argocd.argoproj.io/instance"
	instance         = "app.kubernetes.io/instance"
	kustomizeToolkit = "kustomize.toolkit.fluxcd.io/"
	helmToolkit      = "helm.toolkit.fluxcd.io/"
)

// rule is how a tool marks the objects that it writes.
type rule struct {
	tool string
	// managers are the tool's field managers, in lower case. A name matches if
	// it is equal, or if a version follows.
	managers []string
	// subresource is what the managers wrote. It is "" for the objects that the
	// tool delivers.
	subresource string
	// of returns the release. ok is false if the object has not the marks.
	of func(o *object) (d Delivery, ok bool)
}

// The managers of the tools. Programs that contain Helm as a library write
// under their own names, so their releases are not found.
//
//nolint:gochecknoglobals // constant tables
var (
	helmManagers  = []string{"helm", "terraform-provider-helm"}
	argoSync      = []string{"argocd-controller"}
	argoStatus    = []string{"argocd-application-controller"} // earlier versions also synchronized under this name
	fluxKustomize = []string{"kustomize-controller"}
	fluxHelm      = []string{"helm-controller"}
)

// rules are all rules. The first one that matches applies: a tool's own objects
// come before the objects that it writes, and Flux before Helm, which it
// contains.
var rules = []rule{ //nolint:gochecknoglobals // a constant table
	{Flux, fluxKustomize, "status", kustomization},
	{Flux, fluxHelm, "status", helmRelease},
	{ArgoCD, argoStatus, "", application},
	{Flux, fluxKustomize, "", byKustomization},
	{Flux, fluxHelm, "", byHelmRelease},
	{ArgoCD, argoSync, "", byTrackingID},
	{ArgoCD, argoSync, "", byInstance},
	{ArgoCD, argoStatus, "", unlessApplication(byTrackingID)},
	{ArgoCD, argoStatus, "", unlessApplication(byInstance)},
	{Helm, helmManagers, "", releaseRecord},
	{Helm, fluxHelm, "", releaseRecord},
	{Helm, helmManagers, "", byHelm},
}

// isBy reports whether one of the managers is that of the rule's tool.
func (r *rule) isBy(managers []history.Manager) bool {
	return slices.ContainsFunc(managers, func(m history.Manager) bool {
		return m.Subresource == r.subresource && slices.ContainsFunc(r.managers, func(name string) bool {
			return begins(strings.ToLower(m.Name), name)
		})
	})
}

// begins reports whether a manager's name is the given one, or continues it
// with a version, as in terraform-provider-helm_v2.9.0_x5.
func begins(name, with string) bool {
	rest, ok := strings.CutPrefix(name, with)
	return ok && (rest == "" || strings.HasPrefix(rest, "_"))
}

// isCurrent reports whether the annotation with the cause can be that of a
// version: the version is not only of a subresource, and if it is known which
// fields changed, the annotation is one of them.
func isCurrent(managers []history.Manager) bool {
	known, whole := false, false
	for i := range managers {
		whole = whole || managers[i].Subresource == ""
		for _, path := range managers[i].Fields {
			known = true
			if path == "metadata.annotations" || strings.Contains(path, changeCause) {
				return whole
			}
		}
	}
	return whole && !known
}

// byHelm is the rule for the objects of a Helm release.
func byHelm(o *object) (Delivery, bool) {
	name := o.annotations[releaseName]
	if name == "" || o.labels[managedBy] != "Helm" {
		return Delivery{}, false
	}
	return Delivery{Kind: "release", Name: name, Namespace: o.annotations[releaseNamespace], Chart: o.chart()}, true
}

// chart returns the chart with its version. Helm writes + as _, because a label
// can't contain it.
func (o *object) chart() string { return strings.ReplaceAll(o.labels[chartLabel], "_", "+") }

// releaseRecord is the rule for the Secrets, or ConfigMaps, in which Helm keeps
// its releases. A release is superseded by the next one, which has its own
// record.
func releaseRecord(o *object) (Delivery, bool) {
	name, version := o.labels["name"], o.labels["version"]
	if o.labels["owner"] != "helm" || name == "" || version == "" || o.labels["status"] == "superseded" ||
		o.name != releasePrefix+name+".v"+version || o.kind == "Secret" && o.typ != releaseType {
		return Delivery{}, false
	}
	return Delivery{Kind: "release", Name: name, Namespace: o.namespace, Revision: version}, true
}

// byTrackingID is the rule for the objects of an Argo CD application, by the
// annotation app:group/kind:namespace/name. Copies of an object have the
// annotation of the original, which Argo CD ignores.
func byTrackingID(o *object) (Delivery, bool) {
	app, rest, _ := strings.Cut(o.annotations[trackingID], ":")
	kind, at, ok := strings.Cut(rest, ":")
	group, kind, isKind := strings.Cut(kind, "/")
	namespace, name, isName := strings.Cut(at, "/")
	if !ok || !isKind || !isName || app == "" || group != o.group() || kind != o.kind || name != o.name ||
		o.namespace != "" && namespace != o.namespace {
		return Delivery{}, false
	}
	return appNamed(app, o), true
}

// byInstance is the rule for the objects of an Argo CD application, by its
// label. The second label has other meanings, too, but not together with the
// manager of Argo CD and without its annotation.
func byInstance(o *object) (Delivery, bool) {
	app := o.labels[argoInstance]
	if app == "" && o.annotations[trackingID] == "" {
		app = o.labels[instance]
	}
	if app == "" {
		return Delivery{}, false
	}
	return appNamed(app, o), true
}

// appNamed returns the delivery of an application. Its name has the namespace
// as a prefix if applications are in several namespaces.
func appNamed(app string, o *object) Delivery {
	d := Delivery{Kind: "app", Name: app, Chart: o.chart()}
	if namespace, name, ok := strings.Cut(app, "_"); ok && namespace != "" && name != "" {
		d.Namespace, d.Name = namespace, name
	}
	return d
}

// application is the rule for Applications of Argo CD: what their last
// operation synchronized, or what they are synchronized with.
func application(o *object) (Delivery, bool) {
	if !o.isApplication() {
		return Delivery{}, false
	}
	operation := &o.status.operation
	revision := operation.revision
	if revision == "" && o.status.syncStatus == "Synced" {
		revision = o.status.syncRevision
	}
	if revision == "" {
		return Delivery{}, false
	}
	d := Delivery{Kind: "app", Name: o.name, Namespace: o.namespace}
	d.Revision, d.Commit = split(revision)
	switch {
	case operation.revision == "":
	case operation.username != "":
		d.Cause = "by " + operation.username
	case operation.automated:
		d.Cause = "automated"
	}
	return d, true
}

// isApplication reports whether the object is an Application of Argo CD.
func (o *object) isApplication() bool { return o.group() == "argoproj.io" && o.kind == "Application" }

// unlessApplication returns the rule for all objects but Applications.
func unlessApplication(of func(*object) (Delivery, bool)) func(*object) (Delivery, bool) {
	return func(o *object) (Delivery, bool) {
		if o.isApplication() {
			return Delivery{}, false
		}
		return of(o)
	}
}

// kustomization is the rule for Kustomizations of Flux.
func kustomization(o *object) (Delivery, bool) {
	if o.group() != "kustomize.toolkit.fluxcd.io" || o.kind != "Kustomization" || o.status.lastApplied == "" {
		return Delivery{}, false
	}
	d := Delivery{Kind: "kustomization", Name: o.name, Namespace: o.namespace}
	d.Revision, d.Commit = split(o.status.lastApplied)
	return d, true
}

// helmRelease is the rule for HelmReleases of Flux.
func helmRelease(o *object) (Delivery, bool) {
	if o.group() != "helm.toolkit.fluxcd.io" || o.kind != "HelmRelease" {
		return Delivery{}, false
	}
	d := Delivery{Kind: "helmrelease", Name: o.name, Namespace: o.namespace, Revision: o.status.lastApplied}
	if newest := &o.status.newest; newest.chart != "" && newest.version != "" {
		d.Chart, d.Revision = newest.chart+"-"+newest.version, newest.number
	}
	return d, d.Chart != "" || d.Revision != ""
}

// byKustomization is the rule for the objects of a Kustomization.
func byKustomization(o *object) (Delivery, bool) {
	return byToolkit(o, kustomizeToolkit, "kustomization")
}

// byHelmRelease is the rule for the objects of a HelmRelease.
func byHelmRelease(o *object) (Delivery, bool) { return byToolkit(o, helmToolkit, "helmrelease") }

// byToolkit returns the delivery that the labels of a controller of Flux name.
func byToolkit(o *object, prefix, kind string) (Delivery, bool) {
	name, namespace := o.labels[prefix+"name"], o.labels[prefix+"namespace"]
	if name == "" || namespace == "" {
		return Delivery{}, false
	}
	return Delivery{Kind: kind, Name: name, Namespace: namespace, Chart: o.chart()}, true
}

// split splits a revision such as main@sha1:7f3c…, main/7f3c… or 7f3c… into the
// branch or tag, and the hash of the commit. Any other text is a revision.
func split(text string) (revision, commit string) {
	at := strings.LastIndexAny(text, "@/:")
	hash := text[at+1:]
	if !isHash(hash) || strings.HasSuffix(text[:at+1], "sha256:") {
		return text, ""
	}
	return strings.TrimRight(strings.TrimSuffix(text[:at+1], "sha1:"), "@/:"), hash
}

// isHash reports whether a text is the complete hash of a Git commit.
func isHash(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}
