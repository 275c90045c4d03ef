package access

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/request/union"
	requestx509 "k8s.io/apiserver/pkg/authentication/request/x509"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/cert"

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
	log    *outage.Log
	read   *cache[authenticator.Request]
}

// newTrust returns a trust that has read nothing yet.
func newTrust(client corev1client.ConfigMapsGetter, log *outage.Log, now func() time.Time) *trust {
	life := func(authenticator.Request) time.Duration { return trustLife }
	return &trust{client: client.ConfigMaps(trustNamespace), log: log, read: newCache(now, 1, life)}
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
	a, err := newCertificateAuthenticator(configMap.Data)
	if err != nil {
		return nil, t.log.Error(ctx, operation, apierrors.NewInternalError(err))
	}
	t.log.Success(ctx, operation)
	return a, nil
}

// newCertificateAuthenticator returns the authenticator for the data of the
// ConfigMap. The front proxy comes first, as in aggregated API servers.
//
// All of it is of one read, so that headers are never trusted by the names of
// one version and the certificates of another.
func newCertificateAuthenticator(data map[string]string) (authenticator.Request, error) {
	var all []authenticator.Request
	proxies, err := verifyOptions(data["requestheader-client-ca-file"])
	if err != nil {
		return nil, fmt.Errorf("requestheader-client-ca-file: %w", err)
	}
	if proxies != nil {
		lists := map[string]headerrequest.StaticStringSlice{}
		for _, name := range []string{
			"allowed-names", "username-headers", "uid-headers", "group-headers", "extra-headers-prefix",
		} {
			if lists[name], err = stringList(data["requestheader-"+name]); err != nil {
				return nil, fmt.Errorf("requestheader-%s: %w", name, err)
			}
		}
		all = append(all, headerrequest.NewDynamicVerifyOptionsSecure(requestx509.StaticVerifierFn(*proxies),
			lists["allowed-names"], lists["username-headers"], lists["uid-headers"],
			lists["group-headers"], lists["extra-headers-prefix"]))
	}
	clients, err := verifyOptions(data["client-ca-file"])
	if err != nil {
		return nil, fmt.Errorf("client-ca-file: %w", err)
	}
	if clients != nil {
		all = append(all, requestx509.New(*clients, requestx509.CommonNameUserConversion))
	}
	return group.NewAuthenticatedGroupAdder(union.New(all...)), nil
}

// verifyOptions returns the options that verify certificates of these
// authorities, or nil if there are none.
func verifyOptions(bundle string) (*x509.VerifyOptions, error) {
	if bundle == "" {
		return nil, nil
	}
	authorities, err := cert.ParseCertsPEM([]byte(bundle))
	if err != nil {
		return nil, err
	}
	options := requestx509.DefaultVerifyOptions()
	options.Roots = x509.NewCertPool()
	for _, a := range authorities {
		options.Roots.AddCert(a)
	}
	return &options, nil
}

// stringList returns a list that the ConfigMap has as JSON.
func stringList(text string) (list []string, err error) {
	if text != "" {
		err = json.Unmarshal([]byte(text), &list)
	}
	return list, err
}
