package access_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/access"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// authorizer is what a filter of answers needs of a caller.
type authorizer interface {
	List(ctx context.Context, r schema.GroupResource, scope history.NamespaceScope) (bool, error)
	Get(ctx context.Context, r schema.GroupResource, namespace, name string) (bool, error)
	Path(ctx context.Context, path string) (bool, error)
	Namespaces(ctx context.Context, had history.Activity) (map[string]time.Time, error)
}

var _ authorizer = (*access.Caller)(nil)

var (
	pods    = schema.GroupResource{Resource: "pods"}
	configs = schema.GroupResource{Resource: "configmaps"}
	nodes   = schema.GroupResource{Resource: "nodes"}
	carts   = schema.GroupResource{Group: "gone.example.com", Resource: "carts"} // no such type
)

// roundTripper is a function as an [http.RoundTripper].
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements [http.RoundTripper].
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// withBody returns the answer with another body, as JSON.
func withBody(answer *http.Response, body string) *http.Response {
	_ = answer.Body.Close()
	changed := *answer
	changed.Header = http.Header{"Content-Type": {"application/json"}}
	changed.Body, changed.ContentLength = io.NopCloser(bytes.NewReader([]byte(body))), int64(len(body))
	return &changed
}

// namespace creates a namespace until the test ends.
func namespace(t *testing.T, name string) *corev1.Namespace {
	t.Helper()
	c := cluster.Client(t).CoreV1().Namespaces()
	created, err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}},
		metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// bindIn gives a user the rights of a new role in a namespace.
func bindIn(t *testing.T, namespace, user string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	c := cluster.Client(t).RbacV1()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: user}, Rules: rules}
	if _, err := c.Roles(namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	}
	if _, err := c.RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// listIn is the review of the right to list pods in a namespace.
func listIn(namespace string) *authorizationv1.SubjectAccessReviewSpec {
	return &authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "list", Resource: "pods", Namespace: namespace},
	}
}

func TestCaller_HasRightsOfCluster(t *testing.T) {
	s := serve(t, recorder(t))
	namespace(t, "rights")
	bindIn(t, "rights", "dora", rule("", "pods", "list"), rule("", "configmaps", "get", "one"),
		rule("gone.example.com", "carts", "get"))
	grant(t, "dora", rule("", "nodes", "list"),
		rbacv1.PolicyRule{NonResourceURLs: []string{"/debug/api"}, Verbs: []string{"get"}})
	eventually(t, "dora", listIn("rights"), true)
	dora := s.admit(t, request{certificate: certificate(t, clustertest.ClientCA, "dora")})
	list := func(r schema.GroupResource, scope history.NamespaceScope) string {
		return decision(dora.List(t.Context(), r, scope))
	}
	get := func(r schema.GroupResource, namespace, name string) string {
		return decision(dora.Get(t.Context(), r, namespace, name))
	}
	path := func(path string) string { return decision(dora.Path(t.Context(), path)) }
	for _, tt := range []struct{ what, got, want string }{
		{"list pods in the namespace", list(pods, "rights"), "true"},
		{"list pods in another namespace", list(pods, "default"), "false"},
		{"list pods everywhere", list(pods, history.AllNamespaces), "false"},
		{"list configmaps in the namespace", list(configs, "rights"), "false"},
		{"list nodes", list(nodes, history.ClusterScoped), "true"},
		{"list nodes everywhere", list(nodes, history.AllNamespaces), "true"},
		{"get a pod", get(pods, "rights", "p"), "false"},
		{"get the named configmap", get(configs, "rights", "one"), "true"},
		{"get another configmap", get(configs, "rights", "two"), "false"},
		{"get every configmap", get(configs, "rights", ""), "false"},
		{"get the named configmap elsewhere", get(configs, "default", "one"), "false"},
		{"get an object of a type that does not exist", get(carts, "rights", "c"), "true"},
		{"get every object of a type that does not exist", get(carts, "rights", ""), "true"},
		{"get the named path", path("/debug/api"), "true"},
		{"get a path below it", path("/debug/api/v1"), "false"},
		{"get a path of discovery, as everyone may", path("/openapi/v3/apis/apps/v1"), "true"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, tt.got, tt.want)
		}
	}
}

// TestCaller_LosesWithdrawnRight withdraws a right, and grants it again.
func TestCaller_LosesWithdrawnRight(t *testing.T) {
	s := serve(t, recorder(t))
	namespace(t, "withdrawn")
	bindIn(t, "withdrawn", "eve", rule("", "pods", "list"))
	eventually(t, "eve", listIn("withdrawn"), true)
	eve := request{certificate: certificate(t, clustertest.ClientCA, "eve")}
	check := func(what, want string) {
		t.Helper()
		if got := decision(s.admit(t, eve).List(t.Context(), pods, "withdrawn")); got != want {
			t.Errorf("%s: got %s, want %s", what, got, want)
		}
	}
	check("granted", "true")
	bindings := cluster.Client(t).RbacV1().RoleBindings("withdrawn")
	binding, err := bindings.Get(t.Context(), "eve", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := bindings.Delete(t.Context(), "eve", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "eve", listIn("withdrawn"), false)
	check("within the life of the decision", "true")
	s.clock.advance(31 * time.Second)
	check("withdrawn", "false")
	binding.ResourceVersion, binding.UID = "", ""
	if _, err := bindings.Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "eve", listIn("withdrawn"), true)
	check("within the life of the refusal", "false")
	s.clock.advance(11 * time.Second)
	check("granted again", "true")
}

// TestCaller_CountsTimeOfReview makes reviews slow: their time is a part of the
// decision's age.
func TestCaller_CountsTimeOfReview(t *testing.T) {
	config := cluster.Config()
	var reviews atomic.Int64
	var moved *clock
	took := 20 * time.Second
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/subjectaccessreviews") {
				reviews.Add(1)
				moved.advance(took)
			}
			return next.RoundTrip(r)
		})
	})
	s := serve(t, config)
	moved = s.clock
	root := s.admit(t, request{certificate: certificate(t, clustertest.ClientCA, "root", "system:masters")})
	ask := func(want int64) {
		t.Helper()
		got := decision(root.List(t.Context(), pods, history.AllNamespaces))
		if n := reviews.Load(); got != "true" || n != want {
			t.Errorf("got %s after %d reviews, want true after %d", got, n, want)
		}
	}
	ask(1)
	s.clock.advance(9 * time.Second) // 29 s after the review began
	ask(1)
	s.clock.advance(2 * time.Second)
	ask(2)
	took = 31 * time.Second
	s.clock.advance(time.Minute)
	ask(3)
	ask(4) // the decision was too old when it arrived
}

// TestCaller_SharesConcurrentReviews asks the same question many times while
// the API server does not answer.
func TestCaller_SharesConcurrentReviews(t *testing.T) {
	config := cluster.Config()
	var reviews atomic.Int64
	answer := make(chan struct{})
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/subjectaccessreviews") {
				reviews.Add(1)
				<-answer
			}
			return next.RoundTrip(r)
		})
	})
	s := serve(t, config)
	root := s.admit(t, request{certificate: certificate(t, clustertest.ClientCA, "root", "system:masters")})
	// The first question begins the review, and its client leaves.
	ctx, cancel := context.WithCancel(t.Context())
	var first sync.WaitGroup
	first.Go(func() {
		if got := decision(root.List(ctx, pods, "default")); !strings.HasPrefix(got, "unavailable: ") {
			t.Errorf("cancelled question: got %s, want unavailable", got)
		}
	})
	for deadline := time.Now().Add(patience); reviews.Load() == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	first.Wait()
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if got := decision(root.List(t.Context(), pods, "default")); got != "true" {
				t.Errorf("got %s, want true", got)
			}
		})
	}
	close(answer)
	all.Wait()
	if got := reviews.Load(); got != 1 {
		t.Errorf("got %d reviews, want 1", got)
	}
}

// TestCaller_ReportsFailedReviews checks that a failed review is neither
// allowed nor denied, and is asked again.
func TestCaller_ReportsFailedReviews(t *testing.T) {
	const status = `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":%s}`
	config := cluster.Config()
	var body atomic.Pointer[string]
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, "/subjectaccessreviews") {
				return next.RoundTrip(r)
			}
			answer, err := next.RoundTrip(r)
			switch b := body.Load(); {
			case b == nil || err != nil:
				return answer, err
			case *b == "":
				_ = answer.Body.Close()
				return nil, io.ErrUnexpectedEOF
			default:
				return withBody(answer, strings.Replace(status, "%s", *b, 1)), nil
			}
		})
	})
	s := serve(t, config)
	root := s.admit(t, request{certificate: certificate(t, clustertest.ClientCA, "root", "system:masters")})
	for _, tt := range []struct{ name, body, want string }{
		{"broken connection", "", "unavailable: review access: the API server does not answer"},
		{
			"evaluation error", `{"allowed":false,"evaluationError":"webhook is down"}`,
			"unavailable: review access: the API server responds with an error",
		},
		{"denied in spite of an error", `{"allowed":false,"denied":true,"evaluationError":"webhook is down"}`, "false"},
	} {
		body.Store(&tt.body)
		if got := decision(root.Get(t.Context(), pods, "default", "p")); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := s.log.Count("webhook is down"); got != 1 {
		t.Errorf("got %d log lines with the cause, want 1", got)
	}
	body.Store(nil)
	s.clock.advance(11 * time.Second)
	if got := decision(root.Get(t.Context(), pods, "default", "p")); got != "true" {
		t.Errorf("afterwards: got %s, want true", got)
	}
}

func TestCaller_ListsPresentNamespaces(t *testing.T) {
	s := serve(t, recorder(t))
	caller := s.admit(t, request{certificate: certificate(t, clustertest.ClientCA, "alice")})
	had := history.Activity{}
	check := func(what string, want time.Time) {
		t.Helper()
		all, err := caller.Namespaces(t.Context(), had)
		if got := all["recreated"]; err != nil || !got.Equal(want) || all["default"].IsZero() {
			t.Errorf("%s: got %v of %d namespaces, error %v, want %v", what, got, len(all), err, want)
		}
	}
	check("before", time.Time{})
	first := namespace(t, "recreated")
	check("within the life of the list", time.Time{})
	record := s.clock.read()
	had.Newest = map[string]time.Time{"default": record.Add(time.Second), "recreated": record.Add(-1)}
	check("with an older record", time.Time{})
	had.Newest["recreated"] = record.Add(1)
	s.clock.advance(time.Second)
	check("first, with a record", first.CreationTimestamp.Time)
	cluster.DeleteNamespace(t, "recreated")
	time.Sleep(time.Until(first.CreationTimestamp.Add(time.Second))) // creation times have whole seconds
	second := namespace(t, "recreated")
	if !second.CreationTimestamp.After(first.CreationTimestamp.Time) {
		t.Errorf("got creation times %v and %v, want the second one later",
			first.CreationTimestamp, second.CreationTimestamp)
	}
	check("second, within the life of the list", first.CreationTimestamp.Time)
	// A right that was granted after the list was read may be one in the second
	// namespace.
	root := s.admit(t, request{certificate: certificate(t, clustertest.ClientCA, "root", "system:masters")})
	if got := decision(root.Get(t.Context(), pods, "recreated", "p")); got != "true" {
		t.Errorf("new right: got %s, want true", got)
	}
	check("second, after a new right", second.CreationTimestamp.Time)
	third := namespace(t, "third")
	unknown := history.Activity{Unknown: s.clock.read().Add(time.Second)} // the clock of the log is ahead
	s.clock.advance(time.Millisecond)
	if all, err := caller.Namespaces(t.Context(), unknown); err != nil ||
		!all["third"].Equal(third.CreationTimestamp.Time) {
		t.Errorf("with records of unknown namespaces: got %v, error %v, want %v",
			all["third"], err, third.CreationTimestamp)
	}
}
