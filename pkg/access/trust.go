package access

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/watchhistory/watchhistory/pkg/access/internal/outage"
)

// The ConfigMap in which the API server publishes whose certificates it trusts.
const (
	trustNamespace = "kube-system"
	trustName      = "extension-apiserver-authentication"
)

// trustLife is how long a read of this ConfigMap is used.
const trustLife = 30 * time.Second

// trust reads whose certificates the cluster trusts. It reads again after
// [trustLife], when the next certificate arrives.
type trust struct {
	client corev1client.ConfigMapInterface
	parse  CertificateParser
	log    *outage.Log
	read   *cache[authenticator.Request]
}

// newTrust returns a trust that has read nothing yet.
func newTrust(
	client corev1client.ConfigMapsGetter, parse CertificateParser, log *outage.Log, now func() time.Time,
) *trust {
	life := func(authenticator.Request) time.Duration { return trustLife }
	return &trust{client: client.ConfigMaps(trustNamespace), parse: parse, log: log, read: newCache(now, 1, life)}
}

// authenticator returns the authenticator of requests with a client
// certificate.
func (t *trust) authenticator(ctx context.Context) (authenticator.Request, error) {
	return t.read.get(ctx, key{}, t.load)
}

// load reads the ConfigMap. If it does not exist, no certificate is trusted.
func (t *trust) load(ctx context.Context) (authenticator.Request, error) {
	operation := outage.Operation{
		Name: "read whose certificates the cluster trusts",
		Grant: "grant get of the ConfigMap " + trustName + " in " + trustNamespace +
			" to the recorder, for example by the Role extension-apiserver-authentication-reader",
	}
	configMap, err := t.client.Get(ctx, trustName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		configMap, err = &corev1.ConfigMap{}, nil
	}
	if err != nil {
		return nil, t.log.Error(ctx, operation, err)
	}
	a, err := t.parse(configMap.Data)
	if err != nil {
		return nil, t.log.Error(ctx, operation, apierrors.NewInternalError(err))
	}
	t.log.Success(ctx, operation)
	return a, nil
}
