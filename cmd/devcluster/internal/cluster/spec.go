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

// The programs that a cluster is made of, named as they introduce themselves.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
)

// Components lists every program in the order in which they start.
func Components() []string {
	return []string{Etcd, APIServer, ControllerManager, Scheduler, Kwok}
}

// ParseComponents resolves names as users write them: with or without the
// kube- prefix, "all" for every one. etcd and the API server are always part
// of the result, because nothing runs without them.
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

// ParseComponent resolves one name as a user writes it.
func ParseComponent(name string) (string, error) {
	for _, known := range Components() {
		if name == known || "kube-"+name == known {
			return known, nil
		}
	}
	return "", fmt.Errorf("unknown component %q: choose from %s or all",
		name, strings.Join(Components(), ", "))
}

// Forward sends what is port-forwarded to a pod's port to an address on this
// machine instead. It holds for every pod on a kwok node.
type Forward struct {
	PodPort int    `json:"podPort"`
	Host    string `json:"host"`
	Port    int    `json:"port"`
}

// ParseForward reads PODPORT=HOST:PORT.
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

// Spec says what to boot.
type Spec struct {
	// Name goes into the kubeconfig's context. It is a DNS label.
	Name string
	// Dir becomes the cluster's own: it must not exist or be empty, and is
	// removed when the cluster ends.
	Dir string
	// Components holds full names, as ParseComponents returns them.
	Components []string
	// Nodes counts kwok nodes. They exist as objects without kwok too, but
	// stay unready then.
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
		return errors.New("forwards are kwok's work: add kwok to the components")
	}
	return nil
}

// ValidateName accepts DNS labels, because a name becomes a directory's and a
// kubeconfig context's.
func ValidateName(name string) error {
	if len(name) > 63 || !regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`).MatchString(name) {
		return fmt.Errorf("name %q: use lower-case letters, digits and dashes, 63 at most", name)
	}
	return nil
}

func (s Spec) runs(component string) bool { return slices.Contains(s.Components, component) }
