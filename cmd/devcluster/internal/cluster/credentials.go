package cluster

import (
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/watchhistory/watchhistory/cmd/devcluster/internal/pki"
)

// serviceAddress is the first address of serviceRange. The API server assigns
// it to the service named kubernetes.
const (
	serviceRange   = "10.0.0.0/24"
	serviceAddress = "10.0.0.1"
)

// layout names the files of one cluster.
type layout string

func (l layout) path(elem ...string) string {
	return filepath.Join(append([]string{string(l)}, elem...)...)
}
func (l layout) cert(name string) string       { return l.path("pki", name+".crt") }
func (l layout) key(name string) string        { return l.path("pki", name+".key") }
func (l layout) kubeconfig(user string) string { return l.path("kubeconfigs", user) }
func (l layout) admin() string                 { return l.path("kubeconfig") }
func (l layout) log(component string) string   { return l.path("logs", component+".log") }
func (l layout) hold(component string) string  { return l.path("held", component) }
func (l layout) supervisorLog() string         { return l.log("supervisor") }
func (l layout) kwokConfig() string            { return l.path("kwok.yaml") }

func (l layout) make() error {
	for _, dir := range []string{"pki", "kubeconfigs", "logs", "held", "etcd"} {
		if err := os.MkdirAll(l.path(dir), 0o700); err != nil {
			return fmt.Errorf("make cluster directory: %w", err)
		}
	}
	return nil
}

// credentials writes the keys, certificates and kubeconfigs of the components,
// and the user's kubeconfig, which permits everything.
func (l layout) credentials(name, server string) error {
	ca, err := pki.NewAuthority("devcluster-" + name)
	if err != nil {
		return err
	}
	frontProxy, err := pki.NewAuthority("devcluster-" + name + "-front-proxy")
	if err != nil {
		return err
	}
	if err := l.writePairs(ca, frontProxy); err != nil {
		return err
	}
	masters := []string{"system:masters"}
	users := []struct {
		file, user string
		groups     []string
	}{
		{l.admin(), "devcluster-admin", masters},
		{l.kubeconfig(ControllerManager), "system:kube-controller-manager", nil},
		{l.kubeconfig(Scheduler), "system:kube-scheduler", nil},
		{l.kubeconfig(Kwok), "devcluster-kwok", masters},
	}
	for _, u := range users {
		client, err := ca.Client(u.user, u.groups...)
		if err != nil {
			return err
		}
		if err := writeKubeconfig(u.file, "devcluster-"+name, server, u.user, ca.Cert, client); err != nil {
			return err
		}
	}
	return nil
}

func (l layout) writePairs(ca, frontProxy *pki.Authority) error {
	serving, err := ca.Server("devcluster", serviceAddress,
		"kubernetes", "kubernetes.default", "kubernetes.default.svc")
	if err != nil {
		return err
	}
	kubeletClient, err := ca.Client("kube-apiserver-kubelet-client", "system:masters")
	if err != nil {
		return err
	}
	etcdClient, err := ca.Client("kube-apiserver-etcd-client")
	if err != nil {
		return err
	}
	serviceAccounts, err := ca.Client("service-accounts")
	if err != nil {
		return err
	}
	for file, pair := range map[string]pki.Pair{
		"ca": ca.Pair, "front-proxy-ca": frontProxy.Pair, "serving": serving,
		"kubelet-client": kubeletClient, "etcd-client": etcdClient, "service-accounts": serviceAccounts,
	} {
		if err := pair.Write(l.cert(file), l.key(file)); err != nil {
			return err
		}
	}
	return nil
}

// writeKubeconfig writes a kubeconfig with embedded credentials, so that it can
// be copied to another directory.
func writeKubeconfig(file, name, server, user string, ca []byte, client pki.Pair) error {
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[user] = &api.AuthInfo{ClientCertificateData: client.Cert, ClientKeyData: client.Key}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: user, Namespace: "default"}
	config.CurrentContext = name
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
