package daemon_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

var (
	rightsSeed   = flag.Uint64("rights-seed", 12, "seed of the random rights")
	rightsRounds = flag.Int("rights-rounds", 2, "number of rounds in which callers get random rights")
)

// caller is a user of the cluster, with a client that identifies as it.
type caller struct {
	name    string // of the way of identification
	user    string
	groups  []string
	http    *http.Client
	url     string
	cluster kubernetes.Interface // as an administrator
	subject rbacv1.Subject
	decided map[authorizationv1.ResourceAttributes]bool
	grants  []string // for failures
}

// clientOf returns the caller's client of a recorder's secure listener. config
// has only credentials. client-go sends them, as for the plugin.
func (w *world) clientOf(t *testing.T, c *caller, config *rest.Config) {
	t.Helper()
	credentials := rest.AnonymousClientConfig(config)
	credentials.Host = "https://" + w.recorder.secure
	credentials.CAData, credentials.CAFile, credentials.Insecure = w.recorder.authorities(), "", false
	credentials.BearerToken = config.BearerToken
	credentials.CertData, credentials.KeyData = config.CertData, config.KeyData
	credentials.ExecProvider, credentials.Impersonate = config.ExecProvider, config.Impersonate
	credentials.QPS = -1
	var err error
	if c.http, err = rest.HTTPClientFor(credentials); err != nil {
		t.Fatal(err)
	}
	c.url, c.cluster, c.decided = credentials.Host, cluster.Client(t), map[authorizationv1.ResourceAttributes]bool{}
	t.Cleanup(c.http.CloseIdleConnections)
}

// byToken returns a service account with a token.
func (w *world) byToken(t *testing.T, name string) *caller {
	t.Helper()
	token, err := cluster.Token(t.Context(), "default", name)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{
		name: "token", user: "system:serviceaccount:default:" + name,
		groups:  []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"},
		subject: rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "default", Name: name},
	}
	w.clientOf(t, c, cluster.WithToken(token))
	return c
}

// byCertificate returns a user with a certificate, which a credential plugin
// prints if plugin is set. The user's rights are those of its group.
func (w *world) byCertificate(t *testing.T, name string, plugin bool) *caller {
	t.Helper()
	pair, err := cluster.Certificate(clustertest.ClientCA, name, "group-of-"+name)
	if err != nil {
		t.Fatal(err)
	}
	config, err := cluster.WithCertificate(pair)
	if err != nil {
		t.Fatal(err)
	}
	c := &caller{
		name: "certificate", user: name, groups: []string{"group-of-" + name, "system:authenticated"},
		subject: rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "group-of-" + name},
	}
	if plugin {
		c.name = "plugin"
		answer, err := json.Marshal(map[string]any{
			"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": map[string]string{
				"clientCertificateData": string(config.CertData), "clientKeyData": string(config.KeyData),
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(t.TempDir(), "answer")
		if err := os.WriteFile(file, answer, 0o600); err != nil {
			t.Fatal(err)
		}
		config = rest.AnonymousClientConfig(config)
		config.ExecProvider = &clientcmdapi.ExecConfig{
			APIVersion: "client.authentication.k8s.io/v1", Command: "cat", Args: []string{file},
			InteractiveMode: clientcmdapi.NeverExecInteractiveMode,
		}
	}
	w.clientOf(t, c, config)
	return c
}

// impersonated returns a user whom an administrator impersonates with a group.
func (w *world) impersonated(t *testing.T, name string) *caller {
	t.Helper()
	config := rest.CopyConfig(w.adminConfig(t))
	config.Impersonate = rest.ImpersonationConfig{UserName: name, Groups: []string{"group-of-" + name}}
	c := &caller{
		name: "impersonation", user: name, groups: []string{"group-of-" + name, "system:authenticated"},
		subject: rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name},
	}
	w.clientOf(t, c, config)
	return c
}

// adminConfig returns the configuration of an administrator with a token.
func (w *world) adminConfig(t *testing.T) *rest.Config {
	t.Helper()
	token, err := cluster.Token(t.Context(), "default", "world-admin")
	if err != nil {
		t.Fatal(err)
	}
	return cluster.WithToken(token)
}

// may reports whether the API server allows the caller something.
func (c *caller) may(t *testing.T, a authorizationv1.ResourceAttributes) bool {
	t.Helper()
	if allowed, known := c.decided[a]; known {
		return allowed
	}
	c.decided[a] = c.review(t, a)
	return c.decided[a]
}

// review asks the API server for one of the caller's rights.
func (c *caller) review(t *testing.T, a authorizationv1.ResourceAttributes) bool {
	t.Helper()
	a.Version = "*"
	answer, err := c.cluster.AuthorizationV1().SubjectAccessReviews().Create(
		t.Context(), &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User: c.user, Groups: c.groups, ResourceAttributes: &a,
		}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Allowed
}

// has reports whether the caller has a right on an object, or on all of a
// namespace or of the cluster if the texts are empty.
func (c *caller) has(t *testing.T, verb string, of schema.GroupResource, namespace, name string) bool {
	t.Helper()
	if verb == "get" && of == (schema.GroupResource{Resource: "namespaces"}) {
		namespace = name
	}
	return c.may(t, authorizationv1.ResourceAttributes{
		Verb: verb, Group: of.Group, Resource: of.Resource, Namespace: namespace, Name: name,
	})
}

// mayRead is the rule of docs/design/0020-access.md. named is the name that a
// question is about.
func (w *world) mayRead(t *testing.T, c *caller, i *item, named string) bool {
	t.Helper()
	if c.has(t, "list", i.GroupResource, "", "") {
		return true
	}
	get := named == i.name && c.has(t, "get", i.GroupResource, i.namespace, i.name)
	if i.namespace == "" {
		return get
	}
	since, exists := w.namespaces[i.namespace]
	created, known := w.created[i.uid]
	return exists && known && !created.Before(since) &&
		(get || c.has(t, "list", i.GroupResource, i.namespace, ""))
}

// mayGetSecret reports whether the hashes of a Secret are for the caller.
func (c *caller) mayGetSecret(t *testing.T, i *item) bool {
	t.Helper()
	return c.has(t, "get", i.GroupResource, "", "") || c.has(t, "get", i.GroupResource, i.namespace, "") ||
		c.has(t, "get", i.GroupResource, i.namespace, i.name)
}

// reply is an answer with all of its pages.
type reply struct {
	status int
	text   string // headers, decoded cursors and bodies
	body   string // of the first page
	header http.Header
	items  []item
}

// ask sends a question and follows its pages.
func (w *world) ask(t *testing.T, c *caller, path string) (r reply) {
	t.Helper()
	for cursor, page := "", 0; ; page++ {
		target := c.url + path
		if cursor != "" {
			target += "&cursor=" + url.QueryEscape(cursor)
		}
		header, status, body := c.get(t, target, "")
		if page == 0 {
			r.status, r.body, r.header = status, body, header
		}
		for name, values := range header {
			if name != "Link" { // it repeats the question and the cursor
				r.text += name + ": " + strings.Join(values, " ") + "\n"
			}
		}
		r.text += body
		if status == http.StatusOK && strings.Contains(header.Get("Content-Type"), "json") {
			r.items = append(r.items, w.items(t, body)...)
		}
		if cursor = header.Get(v1.NextCursorHeader); cursor == "" || page > 500 {
			return r
		}
		for part := range strings.SplitSeq(cursor, ".") {
			decoded, err := base64.RawURLEncoding.DecodeString(part)
			if err != nil {
				t.Fatal(err)
			}
			r.text += string(decoded)
		}
	}
}

// get sends a GET, with an ETag unless it is "".
func (c *caller) get(t *testing.T, target, tag string) (http.Header, int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	response, err := c.http.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.Header, response.StatusCode, string(body)
}

// inquiry is a question, and the name of the object that it is about.
type inquiry struct {
	path, named string
	exact       bool // X-Total-Count is the number of elements
}

// inquiries returns the questions about elements.
func (w *world) inquiries() (all []inquiry) {
	at, middle := w.end.UTC().Format(time.RFC3339Nano), w.middle.UTC().Format(time.RFC3339Nano)
	events := func(query, named string) {
		all = append(all, inquiry{v1.EventsPath + "?empty=200&end=" + at + query, named, true})
	}
	q := func(expression string) string { return "&q=" + url.QueryEscape(expression) }
	for _, query := range []string{
		"", "&order=desc&limit=7", "&namespace=alpha", "&namespace=alpha&namespace=gamma&limit=3", "&namespace=-",
		"&resourceType=cm,secrets", "&resourceType=deploy.apps&summary=true", "&resourceType=nodes",
		"&resourceType=namespaces", "&verb=delete", "&uid=" + w.uid, "&manager=kubectl-label", "&start=" + middle,
		"&group=apps", "&namespace=gamma&resourceType=events",
	} {
		events(query, "")
	}
	for _, name := range []string{"mk-secrets-alpha-1", "mk-configmaps-beta-1", "mk-pods-gamma-1", "mk-nodes-x-1"} {
		events("&resourceName="+name, name)
		events("&fieldSelector=metadata.name="+name+"&limit=1", name)
	}
	for _, query := range []string{
		"&labelSelector=app%3Dchanged", "&reason=BackOff", "&type=Normal&namespace=beta",
		q(`object.metadata.name.startsWith("mk-") && verb != "create"`), q(`changed.size() > 0`) + "&limit=2",
		"&fieldSelector=involvedObject.kind%3DPod", q(`object.kind == "Secret" && object.data.pin.startsWith("hmac")`),
	} {
		all = append(all, inquiry{v1.EventsPath + "?empty=200&end=" + at + query, "", false})
	}
	for _, namespace := range worldNamespaces {
		for _, of := range []string{"secrets", "deployments", "pods"} {
			name := "mk-" + of + "-" + namespace + "-1"
			path := v1.EventsPath + "/" + namespace + "/" + of + "/" + name + "?empty=200&end=" + at
			for _, query := range []string{"&limit=1", "&reason=BackOff&descendants=true", "&descendants=true"} {
				all = append(all, inquiry{path + query, name, false})
			}
		}
	}
	all = append(all, inquiry{v1.EventsPath + "/-/nodes/mk-nodes-x-1?empty=200&end=" + at, "mk-nodes-x-1", false})
	for _, query := range []string{
		"", "&namespace=alpha", "&namespace=gamma", "&resourceType=configmaps,secrets&limit=2", "&namespace=-",
		"&resourceType=nodes",
	} {
		all = append(all, inquiry{v1.StatePath + "?at=" + at + query, "", false},
			inquiry{v1.ComparePath + "?noise=true&from=" + middle + "&to=" + at + query, "", false})
	}
	for _, name := range []string{"mk-secrets-beta-1", "mk-configmaps-gamma-2"} {
		all = append(all, inquiry{v1.StatePath + "?at=" + at + "&resourceName=" + name, name, false},
			inquiry{v1.ComparePath + "?from=" + middle + "&to=" + at + "&resourceName=" + name, name, false})
	}
	return all
}

// TestDaemon_ShowsExactlyWhatReviewsAllow gives random rights to users with a
// token, a certificate, a credential plugin and by impersonation. It asks
// everything as each of them. Each element of each answer, and each name in its
// bytes, must be one that the API server's reviews allow, and none is missing.
func TestDaemon_ShowsExactlyWhatReviewsAllow(t *testing.T) {
	noLeaks(t)
	ownCluster(t)
	w := newWorld(t)
	kubectl(t, "create", "clusterrolebinding", "world-admin", "--clusterrole=cluster-admin",
		"--serviceaccount=default:world-admin")
	w.admin = w.byToken(t, "world-admin")
	everything := map[string]reply{}
	for _, q := range w.inquiries() {
		everything[q.path] = w.ask(t, w.admin, q.path)
		if got := everything[q.path]; got.status != http.StatusOK {
			t.Errorf("%s as the administrator: got %d %s, want 200", q.path, got.status, got.body)
		}
	}
	t.Logf("random rights: -rights-seed %d; %d questions", *rightsSeed, len(everything))
	rng := rand.New(rand.NewPCG(*rightsSeed, 0)) //nolint:gosec // repeatable
	for round := range *rightsRounds {
		suffix := fmt.Sprint("-", round)
		callers := []*caller{
			w.byToken(t, "by-token"+suffix), w.byCertificate(t, "by-certificate"+suffix, false),
			w.byCertificate(t, "by-plugin"+suffix, true), w.impersonated(t, "by-impersonation"+suffix),
		}
		for _, c := range callers {
			grantAtRandom(t, rng, c)
		}
		awaitGrants(t, round)
		tags := map[string]map[string]string{}
		for _, c := range callers {
			seen := 0
			for _, q := range w.inquiries() {
				seen += w.check(t, c, q, everything[q.path], tags)
			}
			w.checkCatalogue(t, c)
			w.checkErrors(t, c)
			w.checkRelations(t, c)
			t.Logf("round %d, %s: %d elements were visible; rights: %s",
				round, c.name, seen, strings.Join(c.grants, "; "))
		}
	}
	w.recorder.stop(t)
}

// check compares the answer to a question with what the caller may read of the
// administrator's. It returns the number of elements.
func (w *world) check(t *testing.T, c *caller, q inquiry, all reply, tags map[string]map[string]string) int {
	t.Helper()
	got := w.ask(t, c, q.path)
	failed := func(format string, args ...any) {
		t.Errorf("%s by %s with %s: "+format, append([]any{q.path, c.name, c.grants}, args...)...)
	}
	// A state without any visible resource is an error, as one of an unknown
	// type is.
	absent := got.status == http.StatusNotFound &&
		(strings.HasPrefix(q.path, v1.StatePath) || strings.HasPrefix(q.path, v1.ComparePath))
	if got.status != http.StatusOK && !absent {
		failed("got %d %s, want 200", got.status, got.body)
	}
	var want, found []string
	for i := range all.items {
		if w.mayRead(t, c, &all.items[i], q.named) && w.connected(t, c, &all.items[i], q, &all) {
			want = append(want, all.items[i].text())
		}
	}
	shown := map[string]bool{}
	for i := range got.items {
		one := &got.items[i]
		found = append(found, one.text())
		if w.mayRead(t, c, one, q.named) {
			shown[one.name] = true
			for _, name := range w.mentions[one.name] {
				shown[name] = true
			}
		}
		if secret := one.Resource == "secrets"; one.hashes != (secret && c.mayGetSecret(t, one)) && secret &&
			!strings.Contains(q.path, "summary") && !strings.HasPrefix(q.path, v1.ComparePath) {
			failed("got hashes of %s: %t, want %t", one.name, one.hashes, !one.hashes)
		}
	}
	slices.Sort(want)
	slices.Sort(found)
	if !slices.Equal(want, found) {
		failed("got %d elements %v, want %d %v", len(found), found, len(want), want)
	}
	for _, name := range mark.FindAllString(got.text, -1) {
		if !shown[name] && !strings.Contains(q.path, name) {
			failed("got the name %s in %.500s, want nothing of it", name, got.text)
		}
	}
	if total := got.header.Get(v1.TotalCountHeader); q.exact && total != fmt.Sprint(len(want)) {
		failed("got a total of %s, want %d", total, len(want))
	}
	w.checkGaps(t, c, q, &got)
	w.checkTag(t, c, q, &got, tags)
	return len(found)
}

// connected reports whether the caller may know why an Event is in an answer:
// it regards the object of the question, or they may list its descendants.
func (w *world) connected(t *testing.T, c *caller, i *item, q inquiry, all *reply) bool {
	t.Helper()
	if i.Resource != "events" || !strings.Contains(q.path, "/deployments/") ||
		slices.Contains(w.mentions[i.name], q.named) {
		return true
	}
	for j := range all.items {
		if own := &all.items[j]; own.name == q.named && w.mayRead(t, c, own, q.named) {
			set := item{GroupResource: schema.GroupResource{Group: "apps", Resource: "replicasets"}}
			pod := item{GroupResource: schema.GroupResource{Resource: "pods"}}
			for _, descendant := range []*item{&set, &pod} { // all of them are as old as the Event
				descendant.namespace, descendant.uid = i.namespace, i.uid
			}
			return w.mayRead(t, c, &set, "") && w.mayRead(t, c, &pod, "")
		}
	}
	return false
}

// text identifies an element.
func (i *item) text() string {
	return fmt.Sprintf("%s %s/%s %s %s", i.GroupResource, i.namespace, i.name, i.uid, i.version)
}

// checkGaps checks that each gap in the headers is of a resource that the
// caller may read somewhere, or get.
func (w *world) checkGaps(t *testing.T, c *caller, q inquiry, got *reply) {
	t.Helper()
	for entry := range strings.SplitSeq(got.header.Get(v1.GapListHeader), ", ") {
		resource, _, _ := strings.Cut(entry, " ")
		if of := schema.ParseGroupResource(resource); resource != "" && !w.sees(t, c, of, q.named) {
			t.Errorf("%s by %s with %s: got a gap of %s, want none", q.path, c.name, c.grants, resource)
		}
	}
}

// sees reports whether the caller may read any object of a resource.
func (w *world) sees(t *testing.T, c *caller, of schema.GroupResource, named string) bool {
	t.Helper()
	if c.has(t, "list", of, "", "") || named != "" && c.has(t, "get", of, "", named) {
		return true
	}
	for namespace := range w.namespaces {
		if !w.namespaced[of] {
			break
		}
		if c.has(t, "list", of, namespace, "") || named != "" && c.has(t, "get", of, namespace, named) {
			return true
		}
	}
	return false
}

// checkTag checks that answers have the same ETag only if they are equal, and
// that another caller's ETag reveals nothing else.
func (w *world) checkTag(t *testing.T, c *caller, q inquiry, got *reply, tags map[string]map[string]string) {
	t.Helper()
	tag := strings.Replace(got.header.Get("ETag"), "-gzip", "", 1)
	if tag == "" {
		return
	}
	if tags[q.path] == nil {
		tags[q.path] = map[string]string{}
	}
	whole := got.body + got.header.Get(v1.NextCursorHeader)
	if other, known := tags[q.path][tag]; known && other != whole {
		t.Errorf("%s by %s: got the ETag of another answer, want another one", q.path, c.name)
	}
	tags[q.path][tag] = whole
	for other := range tags[q.path] {
		if _, status, _ := c.get(t, c.url+q.path, other); (status == http.StatusNotModified) != (other == tag) {
			t.Errorf("%s by %s: got %d for the ETag %s, want 304 only for %s", q.path, c.name, status, other, tag)
		}
	}
}

// checkCatalogue compares the catalogue and the gaps with the resources that
// the caller may list somewhere.
func (w *world) checkCatalogue(t *testing.T, c *caller) {
	t.Helper()
	var all, seen v1.ResourceList
	for list, of := range map[*v1.ResourceList]*caller{&all: w.admin, &seen: c} {
		if _, _, body := of.get(t, of.url+v1.ResourcesPath, ""); json.Unmarshal([]byte(body), list) != nil {
			t.Fatalf("got %s, want a catalogue", body)
		}
	}
	var want, got []string
	for _, r := range all.Resources {
		if of := (schema.GroupResource{Group: r.Group, Resource: r.Plural}); w.sees(t, c, of, "") {
			want = append(want, of.String())
		}
	}
	for _, r := range seen.Resources {
		got = append(got, schema.GroupResource{Group: r.Group, Resource: r.Plural}.String())
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("catalogue by %s with %s: got %v, want %v", c.name, c.grants, got, want)
	}
	var gaps v1.GapList
	_, _, body := c.get(t, c.url+v1.GapsPath, "")
	if err := json.Unmarshal([]byte(body), &gaps); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	for _, g := range gaps.Gaps {
		found[schema.GroupResource{Group: g.Group, Resource: g.Resource}.String()] = true
	}
	for _, resource := range []string{"configmaps", "secrets", "nodes"} {
		if want := w.sees(t, c, schema.GroupResource{Resource: resource}, ""); found[resource] != want {
			t.Errorf("gaps by %s with %s: got %s: %t, want %t", c.name, c.grants, resource, found[resource], want)
		}
	}
}

// checkRelations checks that each object in an answer about relations is one
// that the caller may read, and each name one that such an object has.
func (w *world) checkRelations(t *testing.T, c *caller) {
	t.Helper()
	at := w.end.UTC().Format(time.RFC3339Nano)
	for _, namespace := range worldNamespaces {
		for _, of := range []string{"secrets", "deployments", "replicasets", "pods", "configmaps"} {
			asked := "mk-" + of + "-" + namespace + "-1"
			path := v1.RelationsRoot + "/" + namespace + "/" + of + "/" + asked + "?depth=5&at=" + at
			_, status, body := c.get(t, c.url+path, "")
			if status != http.StatusOK && status != http.StatusNotFound {
				t.Errorf("%s by %s with %s: got %d %s, want 200 or 404", path, c.name, c.grants, status, body)
			}
			var graph v1.RelationGraph
			if status == http.StatusOK && json.Unmarshal([]byte(body), &graph) != nil {
				t.Fatalf("%s: got %s, want relations", path, body)
			}
			shown := map[string]bool{asked: true}
			for _, o := range graph.Objects {
				if o.State != string(query.Existed) || o.ResourceName == "" {
					continue
				}
				one := item{namespace: o.Namespace, name: o.ResourceName, uid: o.UID}
				one.GroupResource = schema.GroupResource{Group: o.Group, Resource: o.ResourceType}
				if !w.mayRead(t, c, &one, asked) {
					t.Errorf("%s by %s with %s: got %s, which is hidden", path, c.name, c.grants, one.text())
				}
				shown[o.ResourceName] = true
				for _, name := range w.mentions[o.ResourceName] {
					shown[name] = true
				}
			}
			for _, name := range mark.FindAllString(body, -1) {
				if !shown[name] {
					t.Errorf("%s by %s with %s: got the name %s, want nothing of it", path, c.name, c.grants, name)
				}
			}
		}
	}
}

// checkErrors checks that what is hidden has the same error as what does not
// exist.
func (w *world) checkErrors(t *testing.T, c *caller) {
	t.Helper()
	at := w.end.UTC().Format(time.RFC3339Nano)
	for _, format := range []string{
		v1.EventsPath + "?resourceType=%s&end=" + at, v1.EventsPath + "/alpha/%s/unknown?end=" + at,
		v1.StatePath + "?resourceType=%s&at=" + at, v1.ComparePath + "?resourceType=%s&from=" + at + "&to=" + at,
		v1.EventsPath + "?resourceType=%s&q=object.x(", v1.StatePath + "?resourceType=%s&at=2000-01-01T00:00:00Z",
		v1.EventsPath + "?resourceType=%s&cursor=x", v1.GapsPath + "?resourceType=%s",
		v1.RelationsRoot + "/alpha/%s/unknown?at=" + at,
	} {
		wantHeader, wantStatus, want := c.get(t, c.url+fmt.Sprintf(format, "gadgets"), "")
		for _, resource := range []schema.GroupResource{{Resource: "nodes"}, {Resource: "secrets"}} {
			if w.sees(t, c, resource, "unknown") {
				continue
			}
			header, status, got := c.get(t, c.url+fmt.Sprintf(format, resource.Resource), "")
			same := status == wantStatus && strings.ReplaceAll(got, resource.Resource, "gadgets") == want
			for _, name := range []string{v1.GapListHeader, v1.NotRecordedHeader, v1.SinceHeader, v1.TotalCountHeader} {
				same = same && header.Get(name) == wantHeader.Get(name)
			}
			if !same {
				t.Errorf(format+" by %s with %s: got %d %s %v, want %d %s %v as for an unknown type",
					resource, c.name, c.grants, status, got, header, wantStatus, want, wantHeader)
			}
		}
	}
}
