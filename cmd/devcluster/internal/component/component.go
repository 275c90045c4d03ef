// Package component links the programs of a Kubernetes control plane into
// this binary: etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
// kwok (nodes and pods without kubelets) and kubectl.
//
// Each program expects to own its process: the arguments, the flag sets, the
// signal handlers and the exit code. So a process runs only one of them, chosen
// by name. devcluster starts itself again under that name. Only this package
// imports the servers, so that the others build and test fast.
package component

import (
	"os"
	"slices"

	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	// The log format and the metrics, as in the main packages of the servers.
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

// Run runs the named program in this process and returns its exit code. It
// replaces os.Args, because the programs read it. Its first element is the
// beginning of the program's user agent and so the manager in managedFields.
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

// runKubectl prints errors as kubectl does, without the log prefix of the
// servers.
func runKubectl() int {
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		return complain(err)
	}
	return 0
}

// complain prints the error of a program that has no logger yet.
func complain(err error) int {
	_, _ = os.Stderr.WriteString("error: " + err.Error() + "\n")
	return 1
}
