package cluster_test

import (
	"slices"
	"testing"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/cluster"
)

func TestParseComponents(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{nil, []string{"etcd", "kube-apiserver"}},
		{[]string{"apiserver"}, []string{"etcd", "kube-apiserver"}},
		{[]string{"kwok", "kube-scheduler"}, []string{"etcd", "kube-apiserver", "kube-scheduler", "kwok"}},
		{[]string{"controller-manager"}, []string{"etcd", "kube-apiserver", "kube-controller-manager"}},
		{[]string{"etcd", "all"}, cluster.Components()},
	} {
		got, err := cluster.ParseComponents(c.in)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%v: %v, %v; want %v", c.in, got, err, c.want)
		}
	}
	if got, err := cluster.ParseComponents([]string{"kubelet"}); err == nil {
		t.Errorf("kubelet: %v", got)
	}
}

func TestParseForward(t *testing.T) {
	got, err := cluster.ParseForward("8080=127.0.0.1:18080")
	if want := (cluster.Forward{PodPort: 8080, Host: "127.0.0.1", Port: 18080}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{
		"", "8080", "8080=", "=127.0.0.1:1", "8080=127.0.0.1", "8080=:80", "0=127.0.0.1:1", "1=127.0.0.1:0",
		"70000=127.0.0.1:1", "1=127.0.0.1:70000", "-1=127.0.0.1:1", "http=127.0.0.1:1",
	} {
		if got, err := cluster.ParseForward(bad); err == nil {
			t.Errorf("%q: %+v", bad, got)
		}
	}
}

func TestValidateName(t *testing.T) {
	for name, valid := range map[string]bool{
		"default": true, "a": true, "a-1": true,
		"": false, "-a": false, "a-": false, "A": false, "a/b": false, "..": false, "a\n": false,
	} {
		if err := cluster.ValidateName(name); (err == nil) != valid {
			t.Errorf("%q: %v, want valid %v", name, err, valid)
		}
	}
}
