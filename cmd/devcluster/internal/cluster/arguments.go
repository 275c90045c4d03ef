package cluster

import (
	"fmt"
	"strconv"
)

// ports of one cluster, all on loopback.
type ports struct {
	etcd, etcdPeer, apiServer, controllerManager, scheduler, kwok int
}

func (p ports) of(component string) int {
	return map[string]int{
		Etcd: p.etcd, APIServer: p.apiServer, ControllerManager: p.controllerManager,
		Scheduler: p.scheduler, Kwok: p.kwok,
	}[component]
}

func url(port int) string { return fmt.Sprintf("https://127.0.0.1:%d", port) }

// arguments returns the command line of a component.
func (l layout) arguments(component string, p ports) []string {
	switch component {
	case Etcd:
		return l.etcdArguments(p)
	case APIServer:
		return l.apiServerArguments(p)
	case ControllerManager:
		return append(l.servingArguments(p.controllerManager),
			"--kubeconfig="+l.kubeconfig(ControllerManager),
			"--service-account-private-key-file="+l.key("service-accounts"),
			"--root-ca-file="+l.cert("ca"),
			"--use-service-account-credentials",
			"--leader-elect=false",
			"--kube-api-qps=300", "--kube-api-burst=600")
	case Scheduler:
		return append(l.servingArguments(p.scheduler),
			"--kubeconfig="+l.kubeconfig(Scheduler),
			"--leader-elect=false",
			"--kube-api-qps=300", "--kube-api-burst=600")
	default:
		return l.kwokArguments(p)
	}
}

// etcdArguments trade durability for speed, because the data need not survive a
// reboot. A client certificate is required, because other users of the machine
// can reach the port.
func (l layout) etcdArguments(p ports) []string {
	peer := fmt.Sprintf("http://127.0.0.1:%d", p.etcdPeer)
	return []string{
		"--name=default",
		"--data-dir=" + l.path("etcd"),
		"--unsafe-no-fsync",
		"--log-level=warn",
		"--quota-backend-bytes=" + strconv.FormatInt(8<<30, 10),
		"--listen-client-urls=" + url(p.etcd),
		"--advertise-client-urls=" + url(p.etcd),
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=default=" + peer,
		"--client-cert-auth",
		"--trusted-ca-file=" + l.cert("ca"),
		"--cert-file=" + l.cert("serving"),
		"--key-file=" + l.key("serving"),
	}
}

// apiServerArguments turn off the endpoints of the API server's own service,
// which are useless without a network. The advertised address is from a range
// reserved for documentation. Without an address, the server requires a network
// interface with a route.
func (l layout) apiServerArguments(p ports) []string {
	return append(l.servingArguments(p.apiServer),
		"--advertise-address=192.0.2.1",
		"--endpoint-reconciler-type=none",
		"--etcd-servers="+url(p.etcd),
		"--etcd-cafile="+l.cert("ca"),
		"--etcd-certfile="+l.cert("etcd-client"),
		"--etcd-keyfile="+l.key("etcd-client"),
		"--client-ca-file="+l.cert("ca"),
		"--authorization-mode=RBAC,Node",
		"--disable-admission-plugins=ServiceAccount",
		"--allow-privileged",
		"--service-cluster-ip-range="+serviceRange,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+l.cert("service-accounts"),
		"--service-account-signing-key-file="+l.key("service-accounts"),
		"--kubelet-certificate-authority="+l.cert("ca"),
		"--kubelet-client-certificate="+l.cert("kubelet-client"),
		"--kubelet-client-key="+l.key("kubelet-client"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file="+l.cert("front-proxy-ca"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-")
}

// servingArguments are common to the Kubernetes servers.
func (l layout) servingArguments(port int) []string {
	return []string{
		"--bind-address=127.0.0.1",
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + l.cert("serving"),
		"--tls-private-key-file=" + l.key("serving"),
		"--cert-dir=" + l.path("pki"),
		"--profiling=false",
	}
}

// kwokArguments serve kwok's replacement for the kubelets' port on loopback
// only. The API server accepts its certificate when it forwards to a pod.
func (l layout) kwokArguments(p ports) []string {
	return []string{
		"--kubeconfig=" + l.kubeconfig(Kwok),
		"--config=" + l.kwokConfig(),
		"--manage-all-nodes",
		"--node-ip=127.0.0.1",
		"--node-port=" + strconv.Itoa(p.kwok),
		"--server-address=127.0.0.1:" + strconv.Itoa(p.kwok),
		"--node-lease-duration-seconds=40",
		"--tls-cert-file=" + l.cert("serving"),
		"--tls-private-key-file=" + l.key("serving"),
	}
}
