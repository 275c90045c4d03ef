// Package scenario plays scenarios on a cluster, such as a rollout with a bad
// image, for demonstrations and tests.
//
// A scenario makes the writes of users, with the field managers of their tools:
// kubectl-set, kubectl-edit and so on. The real controllers make the others.
// Only the kubelet is simulated: kwok ignores images whose tag ends in
// "-broken". The scenario reports their failure as the kubelet would, in the
// pod's status and in Events. So a scenario needs all components, and simulated
// nodes.
//
// A scenario removes its objects of an earlier play, and nothing else in its
// namespace.
package scenario

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// The field managers of the scenarios.
const (
	byCreate  = "kubectl-create"
	bySet     = "kubectl-set"
	byEdit    = "kubectl-edit"
	byScale   = "kubectl"
	byRollout = "kubectl-rollout"
	byKubelet = "kubelet"
)

// Scenario describes one scenario.
type Scenario struct {
	Name string
	// Short describes the scenario in one line.
	Short string
	play  func(context.Context, *stage) error
}

// All returns the scenarios.
func All() []Scenario {
	return []Scenario{
		{"broken-rollout", "a Deployment gets an image that can't be pulled", brokenRollout},
		{"crash-loop", "a container starts and fails again and again", crashLoop},
		{"scale-and-delete", "a Deployment is scaled up and down and deleted", scaleAndDelete},
		{"configmap-change", "a ConfigMap is edited three times", configMapChange},
		{"custom-resource", "a CRD appears; its objects change and go", customResource},
	}
}

// Options describe one play.
type Options struct {
	Namespace string
	// Pause is the time before each step, so that steps have different times.
	Pause time.Duration
	// Rollback undoes the broken rollout at the end.
	Rollback bool
}

// Play plays the named scenario, and reports each step before it is done.
func Play(ctx context.Context, config *rest.Config, name string, o Options, say func(string)) error {
	for _, s := range All() {
		if s.Name == name {
			set, err := newStage(config, o, say)
			if err != nil {
				return err
			}
			if err := set.prepareNamespace(ctx); err != nil {
				return err
			}
			if err := s.play(ctx, set); err != nil {
				return fmt.Errorf("play %s: %w", name, err)
			}
			return nil
		}
	}
	return fmt.Errorf("unknown scenario %q: choose from %s", name, strings.Join(names(), ", "))
}

func names() []string {
	var names []string
	for _, s := range All() {
		names = append(names, s.Name)
	}
	return names
}

// stage is the namespace and the clients of a play.
type stage struct {
	Options
	client  kubernetes.Interface
	dynamic dynamic.Interface
	sayLine func(string)
}

func newStage(config *rest.Config, o Options, say func(string)) (*stage, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	custom, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	return &stage{Options: o, client: client, dynamic: custom, sayLine: say}, nil
}

// step pauses and then reports the next step.
func (s *stage) step(ctx context.Context, format string, args ...any) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(s.Pause):
	}
	s.sayLine(fmt.Sprintf(format, args...))
	return nil
}

func (s *stage) prepareNamespace(ctx context.Context) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}}
	_, err := s.client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{FieldManager: byCreate})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create namespace %s: %w", s.Namespace, err)
	}
	return nil
}

// waitPatience is many times the time of controllers on an idle machine.
const waitPatience = time.Minute

// wait repeats check until it returns true.
func wait(ctx context.Context, what string, check func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, waitPatience, fmt.Errorf(
		"nothing after %s: does the cluster run all components? (devcluster up --components all)", waitPatience))
	defer cancel()
	for {
		done, err := check(ctx)
		if err == nil && done {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}
