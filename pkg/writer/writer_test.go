package writer_test

import (
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

func TestClassOf(t *testing.T) {
	for _, c := range []struct {
		name  string
		class writer.Class
		short string
	}{
		{"", writer.Unknown, ""},
		{"kubectl", writer.Person, "kubectl"},
		{"kubectl-edit", writer.Person, "kubectl edit"},
		{"kubectl-client-side-apply", writer.Person, "kubectl apply"},
		{"kubectl-something", writer.Person, "kubectl-something"},
		{"kubectlx", writer.Automation, "kubectlx"},
		{"Mozilla", writer.Person, "browser"},
		{"k9s", writer.Person, "k9s"},
		{"oc", writer.Person, "oc"},
		{"octopus", writer.Automation, "octopus"},
		{"kube-controller-manager", writer.System, "kcm"},
		{"kube-scheduler", writer.System, "scheduler"},
		{"kubelet", writer.System, "kubelet"},
		{"argocd-controller", writer.Automation, "argocd-controller"},
		{"helm", writer.Automation, "helm"},
		{"ledger-operator", writer.Automation, "ledger-operator"},
	} {
		if got := writer.ClassOf(c.name); got != c.class {
			t.Errorf("class of %q: got %q, want %q", c.name, got, c.class)
		}
		if got := writer.Short(c.name); got != c.short {
			t.Errorf("short name of %q: got %q, want %q", c.name, got, c.short)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		manager, name string
		want          bool
	}{
		{"kubectl-edit", "kubectl", true},
		{"kubectl-edit", "kubectl edit", true},
		{"kubectl-edit", "Kubectl-Edit", true},
		{"kubectl-client-side-apply", "kubectl apply", true},
		{"kubectl-set", "kubectl edit", false},
		{"kubectlx", "kubectl", false},
		{"argocd-controller", "argocd", true},
		{"argocd-controller", "argo", false},
		{"kube-controller-manager", "kcm", true},
		{"Mozilla", "browser", true},
		{"helm", "", false},
		{"", "?", true},
		{"", "helm", false},
		{"helm", "?", false},
	} {
		if got := writer.Matches(c.manager, c.name); got != c.want {
			t.Errorf("%q by the name %q: got %t, want %t", c.manager, c.name, got, c.want)
		}
	}
}

func TestOf_PrefersPeople(t *testing.T) {
	managers := func(names ...string) (list []history.Manager) {
		for _, name := range names {
			list = append(list, history.Manager{Name: name})
		}
		return list
	}
	for _, c := range []struct {
		managers []history.Manager
		want     writer.Class
	}{
		{nil, writer.Unknown},
		{managers(""), writer.Unknown},
		{managers("kube-controller-manager", "helm"), writer.Automation},
		{managers("helm", "kubectl-edit", "kubelet"), writer.Person},
		{managers("kubelet", ""), writer.System},
		{managers("", "kubelet"), writer.System},
	} {
		if got := writer.Of(c.managers); got != c.want {
			t.Errorf("%v: got %q, want %q", c.managers, got, c.want)
		}
	}
}
