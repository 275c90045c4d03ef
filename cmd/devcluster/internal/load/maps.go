package load

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
)

type configMaps struct{ client typed.ConfigMapInterface }

func (configMaps) resource() schema.GroupVersionResource {
	return corev1.SchemeGroupVersion.WithResource("configmaps")
}

func (k configMaps) create(ctx context.Context, name string) (metav1.Object, error) {
	return k.client.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Data: map[string]string{"app.conf": payload(0)},
	}, createOptions())
}

func (k configMaps) update(ctx context.Context, current metav1.Object, n int) (metav1.Object, error) {
	object, err := copied[*corev1.ConfigMap](current)
	if err != nil {
		return nil, err
	}
	object.Data["app.conf"] = payload(n)
	return k.client.Update(ctx, object, updateOptions())
}

func (k configMaps) delete(ctx context.Context, current metav1.Object) error {
	return k.client.Delete(ctx, current.GetName(), metav1.DeleteOptions{})
}

func (k configMaps) get(ctx context.Context, name string) (metav1.Object, error) {
	return k.client.Get(ctx, name, metav1.GetOptions{})
}

type secrets struct{ client typed.SecretInterface }

func (secrets) resource() schema.GroupVersionResource {
	return corev1.SchemeGroupVersion.WithResource("secrets")
}

func (k secrets) create(ctx context.Context, name string) (metav1.Object, error) {
	return k.client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: map[string]string{"credentials": payload(0)},
	}, createOptions())
}

func (k secrets) update(ctx context.Context, current metav1.Object, n int) (metav1.Object, error) {
	object, err := copied[*corev1.Secret](current)
	if err != nil {
		return nil, err
	}
	object.Data["credentials"] = []byte(payload(n))
	return k.client.Update(ctx, object, updateOptions())
}

func (k secrets) delete(ctx context.Context, current metav1.Object) error {
	return k.client.Delete(ctx, current.GetName(), metav1.DeleteOptions{})
}

func (k secrets) get(ctx context.Context, name string) (metav1.Object, error) {
	return k.client.Get(ctx, name, metav1.GetOptions{})
}

// widgets are objects of a custom resource. Updates change spec and status
// alternately.
type widgets struct{ client dynamic.ResourceInterface }

func (widgets) resource() schema.GroupVersionResource { return widget().GVR() }

func (k widgets) create(ctx context.Context, name string) (metav1.Object, error) {
	r := widget()
	return k.client.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": r.Group + "/" + r.Version, "kind": r.Kind,
		"metadata": map[string]any{"name": name},
		"spec":     map[string]any{"size": int64(0), "text": payload(0)},
	}}, createOptions())
}

func (k widgets) update(ctx context.Context, current metav1.Object, n int) (metav1.Object, error) {
	object, err := copied[*unstructured.Unstructured](current)
	if err != nil {
		return nil, err
	}
	if n%2 == 0 {
		object.Object["status"] = map[string]any{"observed": int64(n)}
		return k.client.UpdateStatus(ctx, object, updateOptions())
	}
	object.Object["spec"] = map[string]any{"size": int64(n), "text": payload(n)}
	return k.client.Update(ctx, object, updateOptions())
}

func (k widgets) delete(ctx context.Context, current metav1.Object) error {
	return k.client.Delete(ctx, current.GetName(), metav1.DeleteOptions{})
}

func (k widgets) get(ctx context.Context, name string) (metav1.Object, error) {
	return k.client.Get(ctx, name, metav1.GetOptions{})
}
