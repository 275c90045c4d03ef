package scale_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/access"
	"github.com/watchhistory/watchhistory/pkg/api"
	answers "github.com/watchhistory/watchhistory/pkg/query"
)

// reader is a caller, with the number of namespaces in which they have rights.
type reader struct {
	name string
	// may reports whether the caller has a right.
	may func(a *authorizationv1.ResourceAttributes) bool
}

// apiServer answers reviews of tokens and rights, and the list of namespaces. A
// token is the name of its user. It counts, and decides at once: a real API
// server takes about a millisecond for a review.
type apiServer struct {
	readers    map[string]reader
	namespaces map[string]time.Time
	reviews    atomic.Int64 // SubjectAccessReviews
}

// ServeHTTP implements [http.Handler].
func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any
	switch {
	case strings.HasSuffix(r.URL.Path, "/tokenreviews"):
		var review authenticationv1.TokenReview
		_ = json.NewDecoder(r.Body).Decode(&review) // the client is ours
		_, known := s.readers[review.Spec.Token]
		review.Status.Authenticated, review.Status.User.Username = known, review.Spec.Token
		review.TypeMeta = metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1"}
		answer = review
	case strings.HasSuffix(r.URL.Path, "/subjectaccessreviews"):
		s.reviews.Add(1)
		var review authorizationv1.SubjectAccessReview
		_ = json.NewDecoder(r.Body).Decode(&review) // as above
		review.Status.Allowed = s.readers[review.Spec.User].may(review.Spec.ResourceAttributes)
		review.TypeMeta = metav1.TypeMeta{Kind: "SubjectAccessReview", APIVersion: "authorization.k8s.io/v1"}
		answer = review
	default:
		list := metav1.PartialObjectMetadataList{
			TypeMeta: metav1.TypeMeta{Kind: "PartialObjectMetadataList", APIVersion: "meta.k8s.io/v1"},
		}
		for name, created := range s.namespaces {
			list.Items = append(list.Items, metav1.PartialObjectMetadata{
				TypeMeta:   metav1.TypeMeta{Kind: "PartialObjectMetadata", APIVersion: "meta.k8s.io/v1"},
				ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(created)},
			})
		}
		answer = list
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// newHandler returns the recorder's handler behind its gate, and the one
// without a gate. The gate's caches never expire, so that answers are warm.
func newHandler(t *testing.T, g *tenants, s *apiServer) (gated, open http.Handler) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	config := &rest.Config{Host: server.URL}
	config.ContentType, config.AcceptContentTypes = runtime.ContentTypeJSON, runtime.ContentTypeJSON
	now := time.Now()
	gate, err := access.New(config, server.Client(), access.Options{
		Now: func() time.Time { return now },
		Fail: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	service := answers.New(g.store, answers.Options{Now: func() time.Time { return time.Unix(0, g.now.Load()) }})
	options := api.Options{Rate: api.NoRate, Timeout: time.Minute}
	open = api.New(service, options)
	options.Caller = func(ctx context.Context) answers.Authorizer { return access.From(ctx) }
	return gate.Handler(api.New(service, options)), open
}

// readers returns the callers that are compared, the administrator first.
func readersOf(g *tenants) []reader {
	within := func(first, n int) func(a *authorizationv1.ResourceAttributes) bool {
		granted, namespaces := map[schema.GroupResource]bool{}, map[string]bool{}
		for _, r := range g.namespacedResources() {
			granted[r] = true
		}
		for i := first; i < first+n; i++ {
			namespaces[g.namespace(i)] = true
		}
		return func(a *authorizationv1.ResourceAttributes) bool {
			return namespaces[a.Namespace] && granted[schema.GroupResource{Group: a.Group, Resource: a.Resource}]
		}
	}
	pod := g.example(tenantPods, 0)
	return []reader{
		{"administrator", func(*authorizationv1.ResourceAttributes) bool { return true }},
		{"one namespace", within(0, 1)},
		{"a tenth", within(0, g.namespaces/10)},
		{"a half", within(0, g.namespaces/2)},
		{"one quiet namespace", within(g.quiet(), 1)},
		{"all quiet namespaces", within(g.quiet(), g.namespaces-g.quiet())},
		{"one resource", func(a *authorizationv1.ResourceAttributes) bool { return a.Resource == "configmaps" }},
		{"one name", func(a *authorizationv1.ResourceAttributes) bool {
			return a.Verb == "get" && a.Resource == pod.Resource && a.Namespace == pod.Namespace && a.Name == pod.Name
		}},
		{"nothing", func(*authorizationv1.ResourceAttributes) bool { return false }},
	}
}
