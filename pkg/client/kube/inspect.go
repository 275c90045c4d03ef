package kube

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client/internal/quote"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Recorder is a recorder in a cluster, as the API server describes it.
type Recorder struct {
	Namespace string
	Name      string // of its Service, or of a pod if it has no Service
	Secure    bool   // it has TLS, and identifies its callers
	Pods      []Pod  // those that most likely answer are first
}

// Pod is a pod of a recorder.
type Pod struct {
	Name    string
	Created time.Time
	Ready   bool
	// Problem is why the pod is not ready. It is empty if it is.
	Problem string
	// Evidence is where the cause of the Problem can be found.
	Evidence Evidence
}

// Inspect finds the recorder as [Connect] does, and does not connect to it. If
// its pods may not be listed, the recorder is returned without them, with the
// error.
func Inspect(ctx context.Context, o Options) (*Recorder, error) {
	if o.RESTConfig == nil {
		return nil, history.Errorf(history.Invalid, "inspect recorder: no cluster configuration")
	}
	own := rest.CopyConfig(o.RESTConfig)
	own.Impersonate = rest.ImpersonationConfig{}
	r, err := inspectAs(ctx, o, own)
	if err == nil || r != nil || !mayHelp(err) || reflect.DeepEqual(own.Impersonate, o.RESTConfig.Impersonate) {
		return r, err
	}
	return inspectAs(ctx, o, o.RESTConfig)
}

// inspectAs is [Inspect] with the identity of a configuration.
func inspectAs(ctx context.Context, o Options, identity *rest.Config) (*Recorder, error) {
	k, err := newCluster(o, identity)
	if err != nil {
		return nil, err
	}
	defer closeIdle(k.http.Transport)
	at, err := locate(ctx, k.core, o.Namespace)
	if err != nil {
		return nil, err
	}
	r := &Recorder{Namespace: at.namespace, Name: at.name, Secure: at.secure}
	pods, err := at.pods(ctx, k.core)
	if err != nil {
		return r, err
	}
	if len(pods) == 0 {
		err := at.notRunning(nil)
		if cause, _ := errors.AsType[*ConnectError](err); cause != nil && cause.Reason == NoSelector {
			err = nil // its pods may be anywhere
		}
		return r, err
	}
	slices.SortFunc(pods, func(a, b corev1.Pod) int {
		return cmp.Or(cmp.Compare(stateOf(&a), stateOf(&b)), b.CreationTimestamp.Compare(a.CreationTimestamp.Time),
			cmp.Compare(a.Name, b.Name))
	})
	for i := range pods {
		pod := &pods[i]
		found := Pod{Name: pod.Name, Created: pod.CreationTimestamp.Time, Ready: stateOf(pod) == serving}
		if !found.Ready {
			found.Problem, found.Evidence = quote.Line(condition(pod)), evidence(pod)
		}
		r.Pods = append(r.Pods, found)
	}
	return r, nil
}
