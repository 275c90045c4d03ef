// Package scenario plays short stories on a cluster, such as a rollout with a
// bad image, for demonstrations and tests.
//
// A story does what its people would do, under the names that their tools
// have: the field managers are kubectl-set, kubectl-edit and so on. What the
// cluster does by itself is left to the real controllers. Only the kubelet is
// played: kwok leaves images whose tag ends in "-broken" alone, and the story
// reports their failure as the kubelet would, in the pod's status and in
// Events. So a story needs all components, and simulated nodes.
//
// A story clears away what it left behind when it was played before, and
// nothing else in its namespace.
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

// The names under which a story's people write.
const (
	byCreate  = "kubectl-create"
	bySet     = "kubectl-set"
	byEdit    = "kubectl-edit"
	byScale   = "kubectl"
	byRollout = "kubectl-rollout"
	byKubelet = "kubelet"
)

// Scenario is one story.
type Scenario struct {
	Name string
	// Short says in a line what happens.
	Short string
	play  func(context.Context, *stage) error
}

// All lists the scenarios.
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
	// Pause lies between steps, so that they can be told apart by their time.
	Pause time.Duration
	// Rollback undoes the broken rollout at the end.
	Rollback bool
}

// Play plays the named scenario, and says each step before it does it.
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

// stage is where a story is played.
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

// step pauses and then says what comes.
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

// waitPatience is many times what controllers need on an idle machine.
const waitPatience = time.Minute

// wait repeats check until it says yes.
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
