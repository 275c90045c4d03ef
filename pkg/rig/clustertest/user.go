package clustertest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
)

// The authorities whose client certificates the API server accepts. The front
// proxy must have the name FrontProxy.
const (
	ClientCA     = "ca"
	FrontProxyCA = "front-proxy-ca"
	FrontProxy   = "front-proxy-client"
)

// Client returns an administrator's client.
func (c *Cluster) Client(tb testing.TB) kubernetes.Interface {
	tb.Helper()
	client, err := kubernetes.NewForConfig(c.Config())
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

// DeleteNamespace deletes a namespace and the configmaps in it, and waits until
// it is gone. A cluster without a controller manager does not do that itself.
func (c *Cluster) DeleteNamespace(tb testing.TB, name string) {
	tb.Helper()
	core := c.Client(tb).CoreV1()
	if err := core.ConfigMaps(name).DeleteCollection(
		tb.Context(), metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		tb.Fatal(err)
	}
	const patience = time.Minute
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		_ = core.Namespaces().Delete(tb.Context(), name, metav1.DeleteOptions{})
		current, err := core.Namespaces().Get(tb.Context(), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return
		}
		if err == nil {
			current.Spec.Finalizers = nil
			_, _ = core.Namespaces().Finalize(tb.Context(), current, metav1.UpdateOptions{})
		}
	}
	tb.Fatalf("namespace %s: got no deletion after %v, want one", name, patience)
}

// certificateLife is how long the certificates of users are valid.
const certificateLife = time.Hour

// Certificate returns a client certificate that an authority of the cluster
// signs, for a user in groups.
func (c *Cluster) Certificate(authority, user string, groups ...string) (tls.Certificate, error) {
	pair, err := c.pair(authority)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key of %s: %w", user, err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: user, Organization: groups},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, pair.Leaf, key.Public(), pair.PrivateKey)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate of %s: %w", user, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// pair returns a certificate of the cluster with its key.
func (c *Cluster) pair(name string) (tls.Certificate, error) {
	file := filepath.Join(c.Dir, "pki", name)
	pair, err := tls.LoadX509KeyPair(file+".crt", file+".key")
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificates of the cluster: %w", err)
	}
	return pair, nil
}

// Token creates a service account, if it does not exist, and returns a token
// for it.
func (c *Cluster) Token(ctx context.Context, namespace, name string) (string, error) {
	core, err := corev1client.NewForConfig(c.Config())
	if err != nil {
		return "", fmt.Errorf("make client: %w", err)
	}
	accounts := core.ServiceAccounts(namespace)
	_, err = accounts.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}},
		metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return "", fmt.Errorf("create service account %s/%s: %w", namespace, name, err)
	}
	request, err := accounts.CreateToken(ctx, name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request token of service account %s/%s: %w", namespace, name, err)
	}
	return request.Status.Token, nil
}

// WithToken returns the configuration of a client with a token, and no other
// credentials.
func (c *Cluster) WithToken(token string) *rest.Config {
	config := rest.AnonymousClientConfig(c.config)
	config.BearerToken, config.QPS = token, -1
	return config
}

// WithCertificate returns the configuration of a client with a client
// certificate, and no other credentials.
func (c *Cluster) WithCertificate(pair tls.Certificate) (*rest.Config, error) {
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	config := rest.AnonymousClientConfig(c.config)
	config.CertData = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	config.KeyData = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	config.QPS = -1
	return config, nil
}

// Expire returns a token with another end of its validity. The cluster's key
// signs it, so the API server rejects it only if the end has passed.
func (c *Cluster) Expire(token string, at time.Time) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("change token: want three parts")
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", fmt.Errorf("change token: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(data, &claims); err != nil {
		return "", fmt.Errorf("change token: %w", err)
	}
	begin := at.Add(-time.Hour).Unix()
	claims["exp"], claims["iat"], claims["nbf"] = at.Unix(), begin, begin
	if data, err = json.Marshal(claims); err != nil {
		return "", fmt.Errorf("change token: %w", err)
	}
	signed := parts[0] + "." + base64.RawURLEncoding.EncodeToString(data)
	signature, err := c.sign(signed)
	return signed + "." + signature, err
}

// sign signs a token's text with ES256, by the key of service accounts.
func (c *Cluster) sign(text string) (string, error) {
	pair, err := c.pair("service-accounts")
	if err != nil {
		return "", err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return "", fmt.Errorf("sign token: got a key of type %T, want ECDSA", pair.PrivateKey)
	}
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	const half = 32
	signature := make([]byte, 2*half)
	r.FillBytes(signature[:half])
	s.FillBytes(signature[half:])
	return base64.RawURLEncoding.EncodeToString(signature), nil
}
