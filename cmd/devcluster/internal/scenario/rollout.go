package scenario

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

const (
	goodImage = "registry.example.com/shop/web:1.4"
	badImage  = "registry.example.com/shop/web:1.5-broken"
)

func brokenRollout(ctx context.Context, s *stage) error {
	const name, replicas = "web", 3
	if err := s.removeDeployment(ctx, name); err != nil {
		return err
	}
	if err := s.step(ctx, "create deployment/%s with %s", name, goodImage); err != nil {
		return err
	}
	if err := s.createDeployment(ctx, name, goodImage, replicas); err != nil {
		return err
	}
	if err := s.rolledOut(ctx, name, replicas); err != nil {
		return err
	}
	if err := s.step(ctx, "set image of deployment/%s to %s", name, badImage); err != nil {
		return err
	}
	if err := s.setImage(ctx, name, badImage, bySet); err != nil {
		return err
	}
	pod, err := s.scheduledPod(ctx, name, badImage)
	if err != nil {
		return err
	}
	if err := failPulls(ctx, s, newKubelet(s, pod)); err != nil {
		return err
	}
	if !s.Rollback {
		return s.step(ctx, "the rollout of deployment/%s is stuck", name)
	}
	if err := s.step(ctx, "roll deployment/%s back to %s", name, goodImage); err != nil {
		return err
	}
	if err := s.setImage(ctx, name, goodImage, byRollout); err != nil {
		return err
	}
	return s.rolledOut(ctx, name, replicas)
}

// failPulls tries to pull the pod's image three times.
func failPulls(ctx context.Context, s *stage, k *kubelet) error {
	image := k.pod.Spec.Containers[0].Image
	if err := k.waiting(ctx, "ContainerCreating", ""); err != nil {
		return err
	}
	for range 3 {
		if err := s.step(ctx, "pod/%s can't pull its image", k.pod.Name); err != nil {
			return err
		}
		if err := failPull(ctx, k, image); err != nil {
			return err
		}
	}
	return nil
}

func failPull(ctx context.Context, k *kubelet, image string) error {
	reason := fmt.Sprintf("failed to pull and unpack image %q: %s: not found", image, image)
	for _, e := range []struct{ kind, reason, message string }{
		{corev1.EventTypeNormal, "Pulling", fmt.Sprintf("Pulling image %q", image)},
		{corev1.EventTypeWarning, "Failed", fmt.Sprintf("Failed to pull image %q: %s", image, reason)},
		{corev1.EventTypeWarning, "Failed", "Error: ErrImagePull"},
	} {
		if err := k.event(ctx, e.kind, e.reason, e.message); err != nil {
			return err
		}
	}
	if err := k.waiting(ctx, "ErrImagePull", reason); err != nil {
		return err
	}
	backOff := fmt.Sprintf("Back-off pulling image %q", image)
	if err := k.event(ctx, corev1.EventTypeNormal, "BackOff", backOff); err != nil {
		return err
	}
	if err := k.event(ctx, corev1.EventTypeWarning, "Failed", "Error: ImagePullBackOff"); err != nil {
		return err
	}
	return k.waiting(ctx, "ImagePullBackOff", backOff+": ErrImagePull: "+reason)
}
