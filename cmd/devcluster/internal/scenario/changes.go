package scenario

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func scaleAndDelete(ctx context.Context, s *stage) error {
	const name, image = "cart", "registry.example.com/shop/cart:3.2"
	if err := s.removeDeployment(ctx, name); err != nil {
		return err
	}
	if err := s.step(ctx, "create deployment/%s with 2 replicas", name); err != nil {
		return err
	}
	if err := s.createDeployment(ctx, name, image, 2); err != nil {
		return err
	}
	if err := s.rolledOut(ctx, name, 2); err != nil {
		return err
	}
	for _, replicas := range []int32{5, 1} {
		if err := s.step(ctx, "scale deployment/%s to %d replicas", name, replicas); err != nil {
			return err
		}
		if err := s.scale(ctx, name, int(replicas)); err != nil {
			return err
		}
		if err := s.rolledOut(ctx, name, replicas); err != nil {
			return err
		}
	}
	if err := s.step(ctx, "delete deployment/%s", name); err != nil {
		return err
	}
	return s.removeDeployment(ctx, name)
}

func configMapChange(ctx context.Context, s *stage) error {
	const name = "settings"
	maps := s.client.CoreV1().ConfigMaps(s.Namespace)
	if err := maps.Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete configmap %s: %w", name, err)
	}
	if err := s.step(ctx, "create configmap/%s", name); err != nil {
		return err
	}
	_, err := maps.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Data:       map[string]string{"log.level": "info", "checkout.timeout": "30s", "feature.wishlist": "on"},
	}, metav1.CreateOptions{FieldManager: byCreate})
	if err != nil {
		return fmt.Errorf("create configmap %s: %w", name, err)
	}
	for _, edit := range []struct{ what, patch string }{
		{"log.level becomes debug", `{"data":{"log.level":"debug"}}`},
		{"checkout.timeout becomes 3s, a typing error", `{"data":{"checkout.timeout":"3s"}}`},
		{"feature.wishlist goes, payment.retries comes", `{"data":{"feature.wishlist":null,"payment.retries":"5"}}`},
	} {
		if err := s.step(ctx, "edit configmap/%s: %s", name, edit.what); err != nil {
			return err
		}
		_, err := maps.Patch(ctx, name, types.MergePatchType, []byte(edit.patch),
			metav1.PatchOptions{FieldManager: byEdit})
		if err != nil {
			return fmt.Errorf("edit configmap %s: %w", name, err)
		}
	}
	return nil
}
