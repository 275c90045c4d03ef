package serving

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/watchhistory/watchhistory/pkg/access/internal/outage"
)

// The ConfigMap of the bundle: the name after that of the Service, and the key.
const (
	configMapSuffix = "-ca"
	configMapKey    = "ca.crt"
)

// publishTimeout bounds the requests of one publication.
const publishTimeout = 10 * time.Second

// publish writes the bundle into the ConfigMap, unless it is there. It logs
// errors. The caller holds c.mu.
func (c *Certificates) publish(ctx context.Context) {
	name := c.options.Service + configMapSuffix
	operation := outage.Operation{
		Name: "publish the certificate authorities",
		Grant: "grant get, create and update of the ConfigMap " + name + " in " + c.options.Namespace +
			" to the recorder",
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	written, err := c.write(ctx, name)
	if err != nil {
		_ = c.outages.Error(ctx, operation, err) // it logs the error
		return
	}
	c.outages.Success(ctx, operation)
	if written {
		c.options.Logger.InfoContext(ctx, "certificate authorities published",
			"resource", "configmaps", "namespace", c.options.Namespace, "name", name)
	}
}

// write creates or updates the ConfigMap, and reports whether it had to. It
// keeps everything else in an existing one. A conflict with another writer is
// an error.
func (c *Certificates) write(ctx context.Context, name string) (bool, error) {
	configMap, err := c.client.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = c.client.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Labels: map[string]string{"app.kubernetes.io/name": c.options.Service},
			},
			Data: map[string]string{configMapKey: string(c.bundle)},
		}, metav1.CreateOptions{})
		return true, err
	case err != nil:
		return false, err
	case configMap.Data[configMapKey] == string(c.bundle):
		return false, nil
	}
	if configMap.Data == nil {
		configMap.Data = map[string]string{}
	}
	configMap.Data[configMapKey] = string(c.bundle)
	_, err = c.client.Update(ctx, configMap, metav1.UpdateOptions{})
	return true, err
}
