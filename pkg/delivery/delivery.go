package delivery

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Delivery is a release. All fields but Tool may be empty. They are texts of
// the object in one line of a bounded length.
type Delivery struct {
	// Tool is [Helm], [ArgoCD], [Flux] or [Kubectl].
	Tool string
	// Kind is what the release is of: a release (of Helm), an app, a
	// kustomization or a helmrelease.
	Kind string
	// Name and Namespace are those of the release, the app, the kustomization
	// or the HelmRelease.
	Name, Namespace string
	// Chart is the Helm chart with its version, such as api-1.2.4.
	Chart string
	// Revision is the number of a Helm release, the version of a chart, or the
	// branch or tag.
	Revision string
	// Commit is the complete hash of the Git commit.
	Commit string
	// Cause is the reason that a person or a pipeline gave.
	Cause string
}

// The tools.
const (
	Helm    = "helm"
	ArgoCD  = "argocd"
	Flux    = "flux"
	Kubectl = "kubectl" // only a change-cause is known
)

// maxText bounds each field of a [Delivery], in runes.
const maxText = 128

// shortCommit is the number of digits by which people name a commit.
const shortCommit = 7

// Of returns the release that made a version. object is the version's JSON,
// which must be valid, and managers are the field managers that wrote it. ok is
// false if the object does not say which release it was.
func Of(object []byte, managers []history.Manager) (d Delivery, ok bool) {
	if len(managers) == 0 {
		return Delivery{}, false
	}
	o, ok := read(object)
	if !ok {
		return Delivery{}, false
	}
	for i := range rules {
		r := &rules[i]
		if !r.isBy(managers) {
			continue
		}
		if found, ok := r.of(&o); ok {
			d, d.Tool = found, r.tool
			break
		}
	}
	if cause := o.annotations[changeCause]; cause != "" && isCurrent(managers) {
		d.Cause = cmp.Or(d.Cause, cause)
		d.Tool = cmp.Or(d.Tool, Kubectl)
	}
	for _, text := range []*string{&d.Kind, &d.Name, &d.Namespace, &d.Chart, &d.Revision, &d.Commit, &d.Cause} {
		*text = clean(*text)
	}
	if d.String() == "" { // nothing is left of the marks
		return Delivery{}, false
	}
	return d, true
}

// String returns the release in a few words: "chart api-1.2.4", "app
// shop/api@main/7f3c2d1", or the cause.
func (d Delivery) String() string {
	version := d.Revision
	if d.Commit != "" {
		version = strings.TrimPrefix(d.Revision+"/"+d.Commit[:min(len(d.Commit), shortCommit)], "/")
	}
	switch {
	case d.Chart != "":
		return "chart " + d.Chart
	case d.Name == "":
		return d.Cause
	case d.Tool == Helm && version != "":
		version = " v" + version
	case version != "":
		version = "@" + version
	}
	name := d.Name
	if d.Namespace != "" {
		name = d.Namespace + "/" + name
	}
	return strings.TrimSpace(d.Kind+" "+name) + version
}

// clean returns a text in one line of at most maxText runes.
func clean(text string) string {
	if len(text) > 8*maxText { // the rest is never shown
		text = text[:8*maxText]
	}
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	if utf8.RuneCountInString(text) <= maxText {
		return text
	}
	return string([]rune(text)[:maxText-1]) + "…"
}
