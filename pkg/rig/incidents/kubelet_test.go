package incidents_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
)

const (
	kubeletName = "kubelet"
	leaseTime   = 10 * time.Second
)

// fault is how a pod fails.
type fault struct {
	waiting string // reason of the waiting container: the container never starts
	message string // of the waiting or ended container, of the probe, or of the eviction
	reason  string // of an Event with the message, or of the ended container
	exit    int32  // code of the ended container
	rounds  int    // of crashes; 0: three
	unready bool   // the container runs, and its readiness probe fails
	evicted bool
}

// key identifies a fault, to apply it once. It is "" for nil.
func (f *fault) key() string {
	if f == nil {
		return ""
	}
	return fmt.Sprint(*f)
}

// kubelet simulates the kubelets of all nodes.
type kubelet struct {
	kube kubernetes.Interface
	pods listers.PodLister

	mu      sync.Mutex
	faults  map[string]func(*corev1.Pod) *fault // by namespace
	applied map[types.UID]string                // keys of faults
	busy    map[types.UID]bool
	lost    map[string]bool // nodes
	failed  map[string]time.Time
}

func newKubelet(kube kubernetes.Interface) *kubelet {
	return &kubelet{
		kube: kube, faults: map[string]func(*corev1.Pod) *fault{}, applied: map[types.UID]string{},
		busy: map[types.UID]bool{}, lost: map[string]bool{}, failed: map[string]time.Time{},
	}
}

// fail decides from now on how pods of a namespace fail. A nil fault means that
// they run.
func (k *kubelet) fail(namespace string, of func(*corev1.Pod) *fault) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.faults[namespace] = of
}

// lose stops the kubelet of a node.
func (k *kubelet) lose(node string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.lost[node] = true
}

// firstFailure returns when the first pod of a namespace failed.
func (k *kubelet) firstFailure(namespace string) time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed[namespace]
}

// register creates a node.
func (k *kubelet) register(ctx context.Context, name string, more map[string]string) error {
	all := map[string]string{
		corev1.LabelHostname: name, corev1.LabelOSStable: "linux", "pool": "shared", "zone": "a",
	}
	maps.Copy(all, more)
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("64Gi"),
		corev1.ResourcePods: resource.MustParse("500"), corev1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
	}
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus,
		reason string,
	) corev1.NodeCondition {
		return corev1.NodeCondition{
			Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now,
			Message: "kubelet reports " + reason,
		}
	}
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: all},
		Status: corev1.NodeStatus{
			Capacity: room, Allocatable: room,
			Conditions: []corev1.NodeCondition{
				condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"),
				condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"),
				condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"),
				condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"),
			},
		},
	}
	if _, err := k.kube.CoreV1().Nodes().Create(ctx, node,
		metav1.CreateOptions{FieldManager: kubeletName}); err != nil {
		return err
	}
	renewed := metav1.NowMicro()
	seconds := int32(40)
	_, err := k.kube.CoordinationV1().Leases(corev1.NamespaceNodeLease).Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity: &name, LeaseDurationSeconds: &seconds, RenewTime: &renewed,
		},
	}, metav1.CreateOptions{FieldManager: kubeletName})
	return err
}

// run simulates until the context ends.
func (k *kubelet) run(ctx context.Context) {
	factory := informers.NewSharedInformerFactory(k.kube, 0)
	k.pods = factory.Core().V1().Pods().Lister()
	factory.Core().V1().Pods().Informer()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go k.renew(ctx)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		all, err := k.pods.List(labels.Everything())
		if err != nil {
			continue
		}
		for _, pod := range all {
			k.consider(ctx, pod)
		}
	}
}

// renew renews the Leases of the nodes.
func (k *kubelet) renew(ctx context.Context) {
	for {
		leases := k.kube.CoordinationV1().Leases(corev1.NamespaceNodeLease)
		all, err := leases.List(ctx, metav1.ListOptions{})
		for i := 0; err == nil && i < len(all.Items); i++ {
			lease := &all.Items[i]
			k.mu.Lock()
			lost := k.lost[lease.Name]
			k.mu.Unlock()
			if !lost {
				renewed := metav1.NowMicro()
				lease.Spec.RenewTime = &renewed
				_, _ = leases.Update(ctx, lease, metav1.UpdateOptions{FieldManager: kubeletName})
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(leaseTime):
		}
	}
}

// consider starts what a pod needs, if anything.
func (k *kubelet) consider(ctx context.Context, pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if pod.Spec.NodeName == "" || k.busy[pod.UID] || k.lost[pod.Spec.NodeName] {
		return
	}
	var act func(context.Context, *corev1.Pod)
	switch {
	case pod.DeletionTimestamp != nil:
		act = k.remove
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		return
	default:
		var f *fault
		if decide := k.faults[pod.Namespace]; decide != nil {
			f = decide(pod)
		}
		if key, known := k.applied[pod.UID]; known && key == f.key() {
			return
		}
		k.applied[pod.UID] = f.key()
		act = func(ctx context.Context, pod *corev1.Pod) { k.apply(ctx, pod, f) }
	}
	k.busy[pod.UID] = true
	go func() {
		defer func() {
			k.mu.Lock()
			defer k.mu.Unlock()
			delete(k.busy, pod.UID)
		}()
		act(ctx, pod.DeepCopy())
	}()
}

// remove deletes a pod after its containers ended.
func (k *kubelet) remove(ctx context.Context, pod *corev1.Pod) {
	now := int64(0)
	_ = k.kube.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
	})
}

// apply writes the states and the Events of a pod that runs or fails.
func (k *kubelet) apply(ctx context.Context, pod *corev1.Pod, f *fault) {
	s := &podStatus{kubelet: k, pod: pod}
	running := pod.Status.Phase == corev1.PodRunning
	if f != nil && f.evicted {
		k.note(pod)
		s.event(ctx, "Warning", "Evicted", f.message)
		s.write(ctx, func(status *corev1.PodStatus) {
			status.Phase, status.Reason, status.Message = corev1.PodFailed, "Evicted", f.message
		})
		return
	}
	if !running {
		s.container(ctx, false,
			corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}})
		pause(ctx, 300*time.Millisecond)
	}
	if f != nil && f.waiting != "" {
		k.note(pod)
		s.wait(ctx, f)
		return
	}
	if !running {
		s.event(ctx, "Normal", "Pulled", fmt.Sprintf("Container image %q already present on machine", s.image()))
		s.event(ctx, "Normal", "Started", "Started container "+s.name())
		s.container(ctx, f == nil || !f.unready, runs())
	}
	job := len(pod.OwnerReferences) > 0 && pod.OwnerReferences[0].Kind == "Job"
	switch {
	case f == nil && job:
		pause(ctx, time.Second)
		s.end(ctx, corev1.PodSucceeded, &corev1.ContainerStateTerminated{Reason: "Completed"})
	case f == nil:
		if running {
			s.container(ctx, true, runs())
		}
	case f.unready:
		k.note(pod)
		s.container(ctx, false, runs())
		for range 2 {
			s.event(ctx, "Warning", "Unhealthy", "Readiness probe failed: "+f.message)
			pause(ctx, 2*time.Second)
		}
	case job:
		pause(ctx, 500*time.Millisecond)
		k.note(pod)
		s.end(ctx, corev1.PodFailed, f.ended())
	default:
		pause(ctx, 500*time.Millisecond)
		k.note(pod)
		s.crash(ctx, f)
	}
}

// note notes that a pod fails, unless it is one that fails all the time.
func (k *kubelet) note(pod *corev1.Pod) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if chronic(pod) == nil && k.failed[pod.Namespace].IsZero() {
		k.failed[pod.Namespace] = time.Now()
	}
}

// ended returns the state of the container after it failed.
func (f *fault) ended() *corev1.ContainerStateTerminated {
	reason := f.reason
	if reason == "" {
		reason = "Error"
	}
	return &corev1.ContainerStateTerminated{ExitCode: f.exit, Reason: reason, Message: f.message}
}

// runs returns the state of a container that was started now.
func runs() corev1.ContainerState {
	return corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
}

// podStatus writes the status of one pod.
type podStatus struct {
	*kubelet
	pod      *corev1.Pod
	restarts int32
	last     *corev1.ContainerStateTerminated
}

func (s *podStatus) name() string  { return s.pod.Spec.Containers[0].Name }
func (s *podStatus) image() string { return s.pod.Spec.Containers[0].Image }

// wait writes that the container does not start.
func (s *podStatus) wait(ctx context.Context, f *fault) {
	waiting := func(reason, message string) {
		s.container(ctx, false, corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
		})
	}
	switch f.waiting {
	case "ImagePullBackOff":
		s.event(ctx, "Warning", "Failed", fmt.Sprintf("Failed to pull image %q: %s", s.image(), f.message))
		waiting("ErrImagePull", f.message)
		pause(ctx, 2*time.Second)
		waiting("ImagePullBackOff", fmt.Sprintf("Back-off pulling image %q: ErrImagePull: %s", s.image(), f.message))
	case "ContainerCreating": // a volume
		for range 2 {
			s.event(ctx, "Warning", "FailedMount", f.message)
			pause(ctx, 2*time.Second)
		}
	default:
		waiting(f.waiting, f.message)
		s.event(ctx, "Warning", "Failed", "Error: "+f.message)
	}
}

// crash writes that the container ends and is started again, three times.
func (s *podStatus) crash(ctx context.Context, f *fault) {
	rounds := cmp.Or(f.rounds, 3)
	for n := range rounds {
		ended := f.ended()
		ended.StartedAt, ended.FinishedAt = metav1.Now(), metav1.Now()
		s.container(ctx, false, corev1.ContainerState{Terminated: ended})
		s.last = ended
		s.restarts++
		s.event(ctx, "Warning", "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s_%s(%s)",
			s.name(), s.pod.Name, s.pod.Namespace, s.pod.UID))
		s.container(ctx, false, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
			Reason: "CrashLoopBackOff", Message: "back-off restarting failed container=" + s.name(),
		}})
		if n < rounds-1 {
			pause(ctx, time.Duration(5*(n+1))*time.Second)
			s.container(ctx, true, runs())
			pause(ctx, time.Second)
		}
	}
}

// end writes that the pod ended.
func (s *podStatus) end(ctx context.Context, phase corev1.PodPhase, ended *corev1.ContainerStateTerminated) {
	ended.StartedAt, ended.FinishedAt = metav1.Now(), metav1.Now()
	s.write(ctx, func(status *corev1.PodStatus) {
		s.set(status, false, corev1.ContainerState{Terminated: ended})
		status.Phase = phase
	})
}

// container writes the state of the container.
func (s *podStatus) container(ctx context.Context, ready bool, state corev1.ContainerState) {
	s.write(ctx, func(status *corev1.PodStatus) { s.set(status, ready, state) })
}

// set sets the state of the container, and the conditions that follow from it.
func (s *podStatus) set(status *corev1.PodStatus, ready bool, state corev1.ContainerState) {
	started := state.Running != nil
	if status.Phase != corev1.PodRunning {
		status.Phase = corev1.PodPending
	}
	if started || s.restarts > 0 {
		status.Phase = corev1.PodRunning
	}
	of := corev1.ContainerStatus{
		Name: s.name(), Image: s.image(), Ready: ready, Started: &started, RestartCount: s.restarts, State: state,
	}
	if s.last != nil {
		of.LastTerminationState.Terminated = s.last
	}
	status.ContainerStatuses = []corev1.ContainerStatus{of}
	if status.StartTime == nil {
		now := metav1.Now()
		status.StartTime = &now
		status.PodIP, status.HostIP = "10.0.0.1", "192.0.2.10"
		status.PodIPs = []corev1.PodIP{{IP: status.PodIP}}
		status.HostIPs = []corev1.HostIP{{IP: status.HostIP}}
	}
	condition := func(kind corev1.PodConditionType, holds bool) {
		next := corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}
		if !holds {
			next.Status, next.Reason = corev1.ConditionFalse, "ContainersNotReady"
			next.Message = "containers with unready status: [" + s.name() + "]"
		}
		for i := range status.Conditions {
			if old := &status.Conditions[i]; old.Type == kind {
				if old.Status != next.Status {
					*old = next
				}
				return
			}
		}
		status.Conditions = append(status.Conditions, next)
	}
	condition(corev1.PodInitialized, true)
	condition(corev1.PodReady, ready)
	condition(corev1.ContainersReady, ready)
}

// write changes the pod's status.
func (s *podStatus) write(ctx context.Context, change func(*corev1.PodStatus)) {
	pods := s.kube.CoreV1().Pods(s.pod.Namespace)
	for range 5 {
		pod, err := pods.Get(ctx, s.pod.Name, metav1.GetOptions{})
		if err != nil || pod.UID != s.pod.UID {
			return
		}
		change(&pod.Status)
		if _, err = pods.UpdateStatus(ctx, pod,
			metav1.UpdateOptions{FieldManager: kubeletName}); !apierrors.IsConflict(err) {
			return
		}
	}
}

// event creates an Event about the pod, or counts an existing one.
func (s *podStatus) event(ctx context.Context, kind, reason, message string) {
	events := s.kube.CoreV1().Events(s.pod.Namespace)
	name := fmt.Sprintf("%s.%x", s.pod.Name, hash(reason+message))
	now := metav1.Now()
	if known, err := events.Get(ctx, name, metav1.GetOptions{}); err == nil {
		known.Count++
		known.LastTimestamp = now
		_, _ = events.Update(ctx, known, metav1.UpdateOptions{FieldManager: kubeletName})
		return
	}
	of := corev1.ObjectReference{
		Kind: "Pod", APIVersion: "v1", Namespace: s.pod.Namespace, Name: s.pod.Name, UID: s.pod.UID,
	}
	if !strings.HasSuffix(reason, "Mount") && reason != "Evicted" {
		of.FieldPath = "spec.containers{" + s.name() + "}"
	}
	_, _ = events.Create(ctx, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: name, Namespace: s.pod.Namespace},
		InvolvedObject: of, Type: kind, Reason: reason, Message: message, Count: 1,
		Source:         corev1.EventSource{Component: kubeletName, Host: s.pod.Spec.NodeName},
		FirstTimestamp: now, LastTimestamp: now,
		ReportingController: kubeletName, ReportingInstance: s.pod.Spec.NodeName,
	}, metav1.CreateOptions{FieldManager: kubeletName})
}

// pause waits, or until the context ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
