package access

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxImpersonated bounds the groups and extra values of one request, because
// each needs a review.
const maxImpersonated = 64

// impersonate returns the user that the headers name, if the caller may
// impersonate it, or the caller if there are none. It removes the headers.
//
// The rules are those of the API server's verb "impersonate". Unlike there, a
// review that fails is an error of [history.Unavailable].
func (g *Gate) impersonate(ctx context.Context, caller user.Info, h http.Header) (user.Info, error) {
	wanted, err := takeImpersonation(h)
	if err != nil || wanted == nil {
		return caller, err
	}
	of, err := newAsker(caller)
	if err != nil {
		return nil, err
	}
	for _, a := range impersonations(wanted) {
		a.Verb, a.Version = "impersonate", "v1"
		allowed, err := g.reviews.resource(ctx, &of, a)
		if err != nil {
			return nil, err
		}
		if !allowed {
			return nil, history.Errorf(history.Forbidden, "user %q may not impersonate %s",
				caller.GetName(), impersonationText(a))
		}
	}
	if len(wanted.Groups) == 0 {
		if namespace, _, err := serviceaccount.SplitUsername(wanted.Name); err == nil {
			wanted.Groups = serviceaccount.MakeGroupNames(namespace)
		}
	}
	wanted.Groups = completeGroups(wanted.Name, wanted.Groups)
	return wanted, nil
}

// takeImpersonation removes the headers of impersonation and returns the user
// that they name, or nil.
func takeImpersonation(h http.Header) (*user.DefaultInfo, error) {
	wanted := &user.DefaultInfo{
		Name:   h.Get(authenticationv1.ImpersonateUserHeader),
		UID:    h.Get(authenticationv1.ImpersonateUIDHeader),
		Groups: slices.Clone(h.Values(authenticationv1.ImpersonateGroupHeader)),
		Extra:  map[string][]string{},
	}
	values := len(wanted.Groups)
	for name, all := range h {
		if encoded, ok := strings.CutPrefix(name, authenticationv1.ImpersonateUserExtraHeaderPrefix); ok {
			k := strings.ToLower(encoded)
			if decoded, err := url.PathUnescape(k); err == nil {
				k = decoded
			}
			wanted.Extra[k] = append(wanted.Extra[k], all...)
			values += len(all)
			h.Del(name)
		}
	}
	for _, name := range []string{
		authenticationv1.ImpersonateUserHeader, authenticationv1.ImpersonateUIDHeader,
		authenticationv1.ImpersonateGroupHeader,
	} {
		h.Del(name)
	}
	switch {
	case wanted.Name == "" && (wanted.UID != "" || values > 0):
		return nil, history.Errorf(history.Invalid, "impersonation without a user: want the header %s",
			authenticationv1.ImpersonateUserHeader)
	case wanted.Name == "":
		return nil, nil //nolint:nilnil // documented
	case values > maxImpersonated:
		return nil, history.Errorf(history.Invalid, "impersonation with %d groups and extra values: want at most %d",
			values, maxImpersonated)
	}
	return wanted, nil
}

// impersonations returns the rights that impersonating a user requires, without
// verb and version.
func impersonations(u *user.DefaultInfo) []authorizationv1.ResourceAttributes {
	all := []authorizationv1.ResourceAttributes{{Resource: "users", Name: u.Name}}
	if namespace, name, err := serviceaccount.SplitUsername(u.Name); err == nil {
		all[0] = authorizationv1.ResourceAttributes{Resource: "serviceaccounts", Namespace: namespace, Name: name}
	}
	for _, group := range u.Groups {
		all = append(all, authorizationv1.ResourceAttributes{Resource: "groups", Name: group})
	}
	if u.UID != "" {
		all = append(all,
			authorizationv1.ResourceAttributes{Group: authenticationv1.GroupName, Resource: "uids", Name: u.UID})
	}
	for k, values := range u.Extra {
		for _, v := range values {
			all = append(all, authorizationv1.ResourceAttributes{
				Group: authenticationv1.GroupName, Resource: "userextras", Subresource: k, Name: v,
			})
		}
	}
	return all
}

// impersonationText names what a right permits to impersonate.
func impersonationText(a authorizationv1.ResourceAttributes) string {
	resource := strings.TrimSuffix(a.Resource, "s")
	if a.Subresource != "" {
		resource += "/" + strconv.Quote(a.Subresource)
	}
	name := a.Name
	if a.Namespace != "" {
		name = a.Namespace + "/" + name
	}
	return resource + " " + strconv.Quote(name)
}

// completeGroups adds the group that the API server gives to every
// authenticated or anonymous user.
func completeGroups(name string, groups []string) []string {
	switch {
	case name == user.Anonymous:
		if !slices.Contains(groups, user.AllUnauthenticated) {
			return append(groups, user.AllUnauthenticated)
		}
	case !slices.Contains(groups, user.AllUnauthenticated) && !slices.Contains(groups, user.AllAuthenticated):
		return append(groups, user.AllAuthenticated)
	}
	return groups
}
