// Package clientcert authenticates requests by client certificates and by the
// headers of a front proxy, as the API server does.
//
// It is apart from package access because it links the informers, and with them
// the clients of all types. Programs that serve no certificates do without. It
// is internal to watchhistory: its API changes without notice.
package clientcert

import (
	"crypto/x509"
	"encoding/json"
	"fmt"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/group"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/request/union"
	requestx509 "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/client-go/util/cert"
)

// New returns the authenticator for the data of the ConfigMap
// kube-system/extension-apiserver-authentication. The front proxy comes first,
// as in aggregated API servers.
//
// All of it is of one read, so that headers are never trusted by the names of
// one version and the certificates of another.
func New(data map[string]string) (authenticator.Request, error) {
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
