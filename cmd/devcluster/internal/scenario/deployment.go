package scenario

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	typed "k8s.io/client-go/kubernetes/typed/apps/v1"
)

// container is the name of the only container of every scenario.
const container = "app"

func (s *stage) deployments() typed.DeploymentInterface {
	return s.client.AppsV1().Deployments(s.Namespace)
}

func selector(name string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: "app=" + name}
}

func (s *stage) createDeployment(ctx context.Context, name, image string, replicas int32) error {
	labels := map[string]string{"app": name}
	deployment := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: container, Image: image}}},
			},
		},
	}
	_, err := s.deployments().Create(ctx, deployment, metav1.CreateOptions{FieldManager: byCreate})
	if err != nil {
		return fmt.Errorf("create deployment %s: %w", name, err)
	}
	return nil
}

// removeDeployment deletes a deployment and returns when it and its pods are
// gone. It succeeds if the deployment does not exist.
func (s *stage) removeDeployment(ctx context.Context, name string) error {
	err := s.deployments().Delete(ctx, name, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete deployment %s: %w", name, err)
	}
	return wait(ctx, "the pods of "+name+" to go", func(ctx context.Context) (bool, error) {
		pods, err := s.client.CoreV1().Pods(s.Namespace).List(ctx, selector(name))
		return err == nil && len(pods.Items) == 0, err
	})
}

// setImage changes the image as kubectl set image does.
func (s *stage) setImage(ctx context.Context, name, image, manager string) error {
	type object = map[string]any
	patch, err := json.Marshal(object{"spec": object{"template": object{"spec": object{
		"containers": []object{{"name": container, "image": image}},
	}}}})
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	_, err = s.deployments().Patch(ctx, name, types.StrategicMergePatchType, patch,
		metav1.PatchOptions{FieldManager: manager})
	if err != nil {
		return fmt.Errorf("set image of %s: %w", name, err)
	}
	return nil
}

func (s *stage) scale(ctx context.Context, name string, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := s.deployments().Patch(ctx, name, types.MergePatchType, patch,
		metav1.PatchOptions{FieldManager: byScale}, "scale")
	if err != nil {
		return fmt.Errorf("scale %s: %w", name, err)
	}
	return nil
}

// rolledOut waits until exactly replicas pods, all of the newest template,
// are available.
func (s *stage) rolledOut(ctx context.Context, name string, replicas int32) error {
	what := fmt.Sprintf("%d available pods of %s", replicas, name)
	return wait(ctx, what, func(ctx context.Context) (bool, error) {
		d, err := s.deployments().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		return d.Status.ObservedGeneration == d.Generation && d.Status.Replicas == replicas &&
			d.Status.UpdatedReplicas == replicas && d.Status.AvailableReplicas == replicas, nil
	})
}

// scheduledPod waits for a pod with this image that has a node.
func (s *stage) scheduledPod(ctx context.Context, name, image string) (*corev1.Pod, error) {
	var found *corev1.Pod
	err := wait(ctx, "a pod of "+name+" with "+image, func(ctx context.Context) (bool, error) {
		pods, err := s.client.CoreV1().Pods(s.Namespace).List(ctx, selector(name))
		if err != nil {
			return false, err
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			if pod.Spec.Containers[0].Image == image && pod.Spec.NodeName != "" && pod.DeletionTimestamp == nil {
				found = pod
			}
		}
		return found != nil, nil
	})
	return found, err
}
