package cluster

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The programs of a cluster. The names are those in their user agents.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
)

// Components returns every program in start order.
func Components() []string {
	return []string{Etcd, APIServer, ControllerManager, Scheduler, Kwok}
}

// ParseComponents resolves names as users write them: with or without the
// prefix kube-, or "all". The result always contains etcd and the API server,
// because the others need them.
func ParseComponents(names []string) ([]string, error) {
	wanted := []string{Etcd, APIServer}
	for _, name := range names {
		if name == "all" {
			return Components(), nil
		}
		full, err := ParseComponent(name)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, full)
	}
	return slices.DeleteFunc(Components(), func(c string) bool { return !slices.Contains(wanted, c) }), nil
}

// ParseComponent resolves one name, with or without the prefix kube-.
func ParseComponent(name string) (string, error) {
	for _, known := range Components() {
		if name == known || "kube-"+name == known {
			return known, nil
		}
	}
	return "", fmt.Errorf("unknown component %q: choose from %s or all",
		name, strings.Join(Components(), ", "))
}

// Forward sends port-forwards to a pod's port to an address on this machine. It
// applies to every pod on a kwok node.
type Forward struct {
	PodPort int    `json:"podPort"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
}

// ParseForward parses PODPORT=HOST:PORT.
func ParseForward(s string) (Forward, error) {
	usage := fmt.Errorf("forward %q: write it as PODPORT=HOST:PORT, for example 8080=127.0.0.1:18080", s)
	podPort, target, found := strings.Cut(s, "=")
	if !found {
		return Forward{}, usage
	}
	host, port, err := net.SplitHostPort(target)
	if err != nil || host == "" {
		return Forward{}, usage
	}
	from, fromErr := strconv.ParseUint(podPort, 10, 16)
	to, toErr := strconv.ParseUint(port, 10, 16)
	if fromErr != nil || toErr != nil || from == 0 || to == 0 {
		return Forward{}, usage
	}
	return Forward{PodPort: int(from), Host: host, Port: int(to)}, nil
}

// Spec is the description of a cluster to boot.
type Spec struct {
	// Name is the name of the kubeconfig's context, a DNS label.
	Name string
	// Dir is the cluster's directory. It must be empty or not exist, and is
	// removed when the cluster ends.
	Dir string
	// Components are full names, as ParseComponents returns them.
	Components []string
	// Nodes is the number of kwok nodes. Without kwok, their objects exist but
	// never become ready.
	Nodes    int
	Forwards []Forward
}

func (s Spec) validate() error {
	if err := ValidateName(s.Name); err != nil {
		return err
	}
	if s.Dir == "" {
		return errors.New("a cluster needs a directory")
	}
	if s.Nodes < 0 || s.Nodes > 1000 {
		return fmt.Errorf("%d nodes: choose 0 to 1000", s.Nodes)
	}
	if len(s.Forwards) > 0 && !s.runs(Kwok) {
		return errors.New("forwards need kwok: add kwok to the components")
	}
	return nil
}

// ValidateName accepts DNS labels, because the name is used for a directory and
// a kubeconfig context.
func ValidateName(name string) error {
	if len(name) > 63 || !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`).MatchString(name) {
		return fmt.Errorf("name %q: use lower-case letters, digits and dashes, at most 63", name)
	}
	return nil
}

func (s Spec) runs(component string) bool { return slices.Contains(s.Components, component) }
