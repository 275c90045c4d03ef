package scenario

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const crashingImage = "registry.example.com/shop/worker:2.1-broken"

func crashLoop(ctx context.Context, s *stage) error {
	const name = "worker"
	if err := s.removeDeployment(ctx, name); err != nil {
		return err
	}
	if err := s.step(ctx, "create deployment/%s with %s", name, crashingImage); err != nil {
		return err
	}
	if err := s.createDeployment(ctx, name, crashingImage, 1); err != nil {
		return err
	}
	pod, err := s.scheduledPod(ctx, name, crashingImage)
	if err != nil {
		return err
	}
	k := newKubelet(s, pod)
	if err := k.waiting(ctx, "ContainerCreating", ""); err != nil {
		return err
	}
	for n := range 4 {
		if err := s.step(ctx, "pod/%s starts and crashes, restarts %d", pod.Name, n); err != nil {
			return err
		}
		if err := crash(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// crash reports that the container runs, fails, and waits for the next restart.
func crash(ctx context.Context, k *kubelet) error {
	for _, e := range []struct{ reason, message string }{
		{"Pulled", fmt.Sprintf("Container image %q already present on machine", crashingImage)},
		{"Created", "Created container: " + container},
		{"Started", "Started container " + container},
	} {
		if err := k.event(ctx, corev1.EventTypeNormal, e.reason, e.message); err != nil {
			return err
		}
	}
	if err := k.running(ctx); err != nil {
		return err
	}
	now := metav1.Now()
	ended := &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: now, FinishedAt: now}
	if err := k.report(ctx, corev1.ContainerState{Terminated: ended}); err != nil {
		return err
	}
	k.last = ended
	k.restarts++
	message := fmt.Sprintf("Back-off restarting failed container %s in pod %s_%s(%s)",
		container, k.pod.Name, k.pod.Namespace, k.pod.UID)
	if err := k.event(ctx, corev1.EventTypeWarning, "BackOff", message); err != nil {
		return err
	}
	return k.waiting(ctx, "CrashLoopBackOff", "back-off restarting failed container="+container)
}
