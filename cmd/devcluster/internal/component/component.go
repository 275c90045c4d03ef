// Package component links the programs of a Kubernetes control plane into
// this binary: etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
// kwok (nodes and pods without kubelets) and kubectl.
//
// Each program expects to own its process: the arguments, the flag sets, the
// signal handlers and the exit code. So one process runs one of them, chosen
// by name, and nothing else; the rest of devcluster starts itself again under
// that name. It is the only package that imports the servers, which keeps
// building and testing the others fast.
package component

import (
	"os"
	"slices"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	// As in the servers' own mains: their log format and their metrics.
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// Known reports whether name is one of the linked programs.
func Known(name string) bool {
	return slices.Contains([]string{
		"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kubectl",
	}, name)
}

// Run becomes the named program and returns its exit code. It replaces
// os.Args, because the programs read them on their own, and because their
// first element is how they introduce themselves to the API server: it ends
// up as the manager's name in managedFields.
func Run(name string, args []string) int {
	if err := stampVersion(); err != nil {
		return complain(err)
	}
	os.Args = append([]string{name}, args...)
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
		return 0
	case "kube-apiserver":
		return cli.Run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		return cli.Run(controllers.NewControllerManagerCommand())
	case "kube-scheduler":
		return cli.Run(scheduler.NewSchedulerCommand())
	case "kwok":
		return runKwok()
	default:
		return runKubectl()
	}
}

// runKubectl reports errors the way kubectl itself does, without the log
// prefix that the servers put before theirs.
func runKubectl() int {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		return complain(err)
	}
	return 0
}

// complain is for errors of a program that has no logger of its own yet.
func complain(err error) int {
	_, _ = os.Stderr.WriteString("error: " + err.Error() + "\n")
	return 1
}
