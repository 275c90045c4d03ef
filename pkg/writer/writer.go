package writer

import (
	"strings"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Class is the kind of program behind a field manager.
type Class uint8

// The classes. The zero Class is [Unknown].
const (
	Unknown    Class = iota // no manager is recorded
	Person                  // an interactive program
	Automation              // a pipeline, an operator, or any other program
	System                  // a component of Kubernetes
)

// String returns the class as the REST API writes it. It is "" for [Unknown].
func (c Class) String() string {
	switch c {
	case Person:
		return "person"
	case Automation:
		return "automation"
	case System:
		return "system"
	default:
		return ""
	}
}

// names lists the managers that are not [Automation], by the beginning of their
// names. A name matches if it is equal, or if it continues with a character
// that is not a letter.
var names = []struct { //nolint:gochecknoglobals // a constant table
	class Class
	name  string
	short string // empty: the name
}{
	{Person, "kubectl", ""},
	{Person, "oc", ""},
	{Person, "k9s", ""},
	{Person, "lens", ""},
	{Person, "openlens", ""},
	{Person, "freelens", ""},
	{Person, "headlamp", ""},
	{Person, "dashboard", ""},
	{Person, "mozilla", "browser"},
	{System, "kube-controller-manager", "kcm"},
	{System, "cloud-controller-manager", "ccm"},
	{System, "kube-scheduler", "scheduler"},
	{System, "kube-apiserver", "apiserver"},
	{System, "kube-aggregator", "apiserver"},
	{System, "apiextensions", "apiserver"},
	{System, "kube-proxy", ""},
	{System, "kubelet", ""},
	{System, "k3s", ""},
	{System, "kwok", ""},
	{System, "horizontal-pod-autoscaler", "hpa"},
	{System, "cluster-autoscaler", ""},
}

// Of returns the class of the writer of a version, by its managers. If several
// managers wrote, the class is that of a person if there is one, and then that
// of automation.
func Of(managers []history.Manager) Class {
	class := Unknown
	for i := range managers {
		if c := ClassOf(managers[i].Name); class == Unknown || c != Unknown && c < class {
			class = c
		}
	}
	return class
}

// ClassOf returns the class of a manager's name. It is [Unknown] for "".
func ClassOf(name string) Class {
	if name == "" {
		return Unknown
	}
	lower := strings.ToLower(name)
	for i := range names {
		if begins(lower, names[i].name) {
			return names[i].class
		}
	}
	return Automation
}

// Short returns the name under which operators know a manager: "kubectl edit"
// for kubectl-edit, and "kcm" for kube-controller-manager. Other names are
// returned unchanged.
func Short(name string) string {
	lower := strings.ToLower(name)
	if verb, ok := strings.CutPrefix(lower, "kubectl-"); ok {
		switch verb {
		case "client-side-apply", "last-applied":
			return "kubectl apply"
		case "create", "run", "expose", "edit", "patch", "set", "scale", "rollout", "label", "annotate", "taint",
			"replace", "autoscale", "cordon", "drain":
			return "kubectl " + verb
		}
		return name
	}
	for i := range names {
		if short := names[i].short; short != "" && begins(lower, names[i].name) {
			return short
		}
	}
	return name
}

// Matches reports whether a manager is meant by a name, without regard to case:
// its own, its short one, or the beginning of either up to a character that is
// not a letter. So "kubectl" means kubectl-edit, and "argocd" means
// argocd-controller. "?" means a manager whose name is not recorded.
func Matches(manager, name string) bool {
	if manager == "" || name == Unnamed {
		return manager == "" && name == Unnamed
	}
	name = strings.ToLower(name)
	return name != "" && (begins(strings.ToLower(manager), name) || begins(strings.ToLower(Short(manager)), name))
}

// Unnamed is how operators call a writer whose name is not recorded.
const Unnamed = "?"

// begins reports whether a name in lower case is the given one, or continues it
// with a character that is not a letter.
func begins(name, with string) bool {
	rest, ok := strings.CutPrefix(name, with)
	return ok && (rest == "" || rest[0] < 'a' || rest[0] > 'z')
}
