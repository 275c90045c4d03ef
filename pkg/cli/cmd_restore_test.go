package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// writeConfigMap records a version of a ConfigMap of the namespace shop. rest
// follows its name in its metadata.
func (r *recording) writeConfigMap(ago time.Duration, verb history.Verb, name, rest string) {
	r.t.Helper()
	r.write(ago, &history.Record{
		Ref: ref("", "configmaps", "shop", name, "uid-"+name), Kind: "ConfigMap", Verb: verb, Managers: by("helm"),
		Object: []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name +
			`","namespace":"shop","uid":"uid-` + name + `"` + rest + `}`),
	})
}

// TestRestore_PlansNamespaceFromTheRecord plans to bring a namespace back that
// was deleted, without a cluster.
func TestRestore_PlansNamespaceFromTheRecord(t *testing.T) {
	r := newRecording(t)
	if err := r.log.Register(t.Context(), history.Resource{
		Version: "v1", Plural: "namespaces", Singular: "namespace", Kind: "Namespace", ShortNames: []string{"ns"},
	}); err != nil {
		t.Fatal(err)
	}
	namespace := func(ago time.Duration, verb history.Verb, rest string) {
		r.write(ago, &history.Record{
			Ref: ref("", "namespaces", "", "shop", "uid-shop"), Kind: "Namespace", Verb: verb,
			Object: []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"shop","uid":"uid-shop"` +
				rest + `}}`),
		})
	}
	const hash = "hmac-sha256:0123456789abcdef0123456789abcdef"
	namespace(3*time.Hour, history.Create, "")
	all := map[string]string{
		"flags":            `},"data":{"f":"1"}`,
		"hashed":           `},"data":{"user":"me","password":"` + hash + `"}`,
		"kube-root-ca.crt": `}`,
		"owned": `,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"flags","uid":"uid-flags",` +
			`"controller":true}]}`,
	}
	for _, name := range []string{"flags", "hashed", "kube-root-ca.crt", "owned"} {
		r.writeConfigMap(2*time.Hour, history.Create, name, all[name])
	}
	const deleting = `,"deletionTimestamp":"2026-01-01T00:00:00Z"`
	namespace(time.Hour, history.Update, deleting)
	for name, rest := range all {
		r.writeConfigMap(50*time.Minute, history.Delete, name, rest)
	}
	namespace(40*time.Minute, history.Delete, deleting)

	at := func(t time.Time) string {
		if t.Day() != r.now.Day() {
			return t.Format(time.DateTime)
		}
		return t.Format(time.TimeOnly)
	}
	deleted := r.now.Add(-time.Hour)
	want := "namespace/shop: deleted at " + at(deleted) + "; 4 objects in it at " + at(deleted.Add(-1)) + `
  create   namespace/shop
  create   configmap/flags
  CANNOT   configmap/hashed   only hashes are recorded of password
  skip     2 objects          made by controllers: configmap ×2
`
	for _, args := range [][]string{{"restore", "ns/shop"}, {"restore", "ns", "shop", "--at", "1h1m"}} {
		code, stdout, stderr := r.run(t, append(args, "--dry-run=client", "--timezone", "UTC")...)
		if len(args) > 2 { // another time and, as the deletion, the end of it
			_, stdout, _ = strings.Cut(stdout, "\n")
			_, want, _ = strings.Cut(want, "\n")
		}
		if code != 1 || stdout != want ||
			!strings.Contains(stderr, "configmap/hashed: Set the values yourself.\n") ||
			!strings.Contains(stderr, "error: 1 object can't be brought back: configmap/hashed\n") ||
			!strings.Contains(stderr, "Nothing was changed. --yes creates 2 objects and updates 0.\n") {
			t.Errorf("%q: got exit code %d and\n%s%s\nwant 1 and\n%s", args, code, stdout, stderr, want)
		}
	}
}

// TestRestore_NeedsNoNamespaceFlag checks that no note advises to select a
// namespace of a file if an argument names one.
func TestRestore_NeedsNoNamespaceFlag(t *testing.T) {
	r := newRecording(t)
	if err := r.log.Register(t.Context(), history.Resource{
		Version: "v1", Plural: "namespaces", Singular: "namespace", Kind: "Namespace", ShortNames: []string{"ns"},
	}); err != nil {
		t.Fatal(err)
	}
	r.writeConfigMap(time.Hour, history.Create, "a", `}`)
	var out bytes.Buffer
	code, stderr := run(t.Context(), r, &out,
		"restore", "ns/shop", "--at", "30m", "--dry-run=client", "-f", r.export(t))
	if code != 0 || strings.Contains(stderr, "The file has changes in") {
		t.Errorf("got exit code %d and\n%s%s\nwant 0, and no advice", code, out.String(), stderr)
	}
}

// apiServer is an API server whose answers a test chooses: faults that a real
// one has only by chance. As a real one, it rejects writes with an old
// resourceVersion.
type apiServer struct {
	*httptest.Server
	objects map[string]string // by their paths
	writes  []string          // the bodies of PUT and PATCH that were not dry runs
	answer  func(http.ResponseWriter, *http.Request) bool
}

func newAPIServer(t *testing.T) *apiServer {
	t.Helper()
	s := &apiServer{
		objects: map[string]string{}, answer: func(http.ResponseWriter, *http.Request) bool { return false },
	}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		object, exists := s.objects[req.URL.Path]
		body, _ := io.ReadAll(req.Body)
		switch {
		case s.answer(w, req):
		case req.Method == http.MethodPost:
			_, _ = w.Write(body)
		case exists && (req.Method == http.MethodPut || req.Method == http.MethodPatch):
			s.change(w, req, body)
		case exists:
			_, _ = io.WriteString(w, object)
		case strings.HasPrefix(req.URL.Path, "/api/v1/namespaces/"):
			s.refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "not found")
		default:
			http.NotFound(w, req) // discovery
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// change does a PUT or a merge patch of an object, in its newest version.
func (s *apiServer) change(w http.ResponseWriter, req *http.Request, body []byte) {
	isDryRun := req.URL.Query().Has("dryRun")
	if !isDryRun {
		s.writes = append(s.writes, string(body))
	}
	live := s.objects[req.URL.Path]
	if req.Method == http.MethodPatch {
		var object, patch map[string]any
		_, _ = json.Unmarshal([]byte(live), &object), json.Unmarshal(body, &patch)
		mergePatch(object, patch)
		body, _ = json.Marshal(object)
	}
	if versionOf(string(body)) != versionOf(live) {
		s.refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
		return
	}
	version := `"resourceVersion":"` + versionOf(live)
	answer := strings.Replace(string(body), version, version+"1", 1)
	if !isDryRun {
		s.objects[req.URL.Path] = answer
	}
	_, _ = io.WriteString(w, answer)
}

// mergePatch applies a JSON merge patch to an object.
func mergePatch(object, patch map[string]any) {
	for name, value := range patch {
		inner, isObject := value.(map[string]any)
		to, hasObject := object[name].(map[string]any)
		switch {
		case isObject && hasObject:
			mergePatch(to, inner)
		case value == nil:
			delete(object, name)
		default:
			object[name] = value
		}
	}
}

// versionOf returns the resourceVersion of an object.
func versionOf(document string) string {
	var body metav1.PartialObjectMetadata
	_ = json.Unmarshal([]byte(document), &body)
	return body.ResourceVersion
}

// refuse answers with an error.
func (s *apiServer) refuse(w http.ResponseWriter, code int32, reason metav1.StatusReason, message string) {
	w.WriteHeader(int(code))
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: "Failure", Code: code, Reason: reason,
		Message: message, Details: &metav1.StatusDetails{Kind: "configmaps"},
	})
}

// restore runs restore against the API server.
func (s *apiServer) restore(ctx context.Context, t *testing.T, r *recording, args string) (
	code int, stdout, stderr string,
) {
	t.Helper()
	var out bytes.Buffer
	all := append(strings.Fields("restore "+args), "-n", "shop", "--server", s.URL, "--cache-dir", t.TempDir())
	if !slices.Contains(all, "-f") {
		all = append(all, "--recorder-url", r.url)
	}
	code, stderr = run(ctx, r, &out, all...)
	return code, out.String(), stderr
}

func TestRestore_InterruptSaysWhatWasDone(t *testing.T) {
	r, s := newRecording(t), newAPIServer(t)
	for _, name := range []string{"a", "b", "c"} {
		r.writeConfigMap(time.Hour, history.Create, name, `}`)
	}
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	posts := 0
	s.answer = func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost {
			return false
		}
		if posts++; posts < 2 {
			return false
		}
		interrupt()
		<-req.Context().Done()
		return true
	}
	code, stdout, stderr := s.restore(ctx, t, r, "cm/a#1 cm/b#1 cm/c#1 --yes")
	const want = "Interrupted: 1 of 3 objects restored. Whether configmap/b was is not known. " +
		"Run the same command again to continue.\n"
	if code != 130 || !strings.HasSuffix(stdout, "\nconfigmap/a created\n") || !strings.Contains(stderr, want) {
		t.Errorf("got exit code %d and\n%s%s\nwant 130, configmap/a created, and %s", code, stdout, stderr, want)
	}
}

// TestRestore_RefusesOtherClusters checks that a history is not restored into
// another cluster than its own by mistake.
func TestRestore_RefusesOtherClusters(t *testing.T) {
	r := newRecording(t)
	if err := r.log.Register(t.Context(), history.Resource{
		Version: "v1", Plural: "namespaces", Singular: "namespace", Kind: "Namespace",
	}); err != nil {
		t.Fatal(err)
	}
	r.write(2*time.Hour, &history.Record{
		Ref: ref("", "namespaces", "", "kube-system", "uid-1"), Kind: "Namespace", Verb: history.Create, Initial: true,
		Object: []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"uid-1"}}`),
	})
	r.writeConfigMap(time.Hour, history.Create, "a", `}`)
	file := r.export(t)
	unknown := newRecording(t)
	unknown.writeConfigMap(time.Hour, history.Create, "a", `}`)
	const created = "\nconfigmap/a created\n"
	const refused = "is that of another cluster than http://127.0.0.1:"
	for name, c := range map[string]struct {
		live, flags string
		from        *recording
		code        int
		want        string
	}{
		"same":                  {"uid-1", " --yes", r, 0, created},
		"another":               {"uid-2", " --yes", r, 1, "error: the history " + refused},
		"another, a file":       {"uid-2", " --yes -f " + file, r, 1, "error: the history in the file " + refused},
		"another, allowed":      {"uid-2", " --yes --allow-other-cluster", r, 0, created},
		"another, dry run":      {"uid-2", "", r, 1, "kube-system has the UID uid-1 there, and uid-2 here\n"},
		"another, record alone": {"uid-2", " --dry-run=client", r, 0, "as it was"},
		"not readable":          {"", " --yes", r, 0, created},
		"not recorded":          {"uid-2", " --yes", unknown, 0, created},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer(t)
			s.answer = func(w http.ResponseWriter, req *http.Request) bool {
				if c.live == "" && strings.HasSuffix(req.URL.Path, "/kube-system") {
					s.refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, "forbidden")
					return true
				}
				return false
			}
			s.objects["/api/v1/namespaces/kube-system"] = `{"apiVersion":"v1","kind":"Namespace",` +
				`"metadata":{"name":"kube-system","uid":"` + c.live + `"}}`
			code, stdout, stderr := s.restore(t.Context(), t, c.from, "cm/a#1"+c.flags)
			if code != c.code || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("got exit code %d and\n%s%s\nwant %d and %s", code, stdout, stderr, c.code, c.want)
			}
			if advised := strings.Contains(stderr, "--allow-other-cluster.\n"); advised != (code == 1) {
				t.Errorf("got\n%s\nwant advice only with the error", stderr)
			}
		})
	}
}

// TestRestore_WritesDocuments checks the plan for programs, before and after it
// is done.
func TestRestore_WritesDocuments(t *testing.T) {
	r, s := newRecording(t), newAPIServer(t)
	const hash = "hmac-sha256:0123456789abcdef0123456789abcdef"
	for name, rest := range map[string]string{
		"changed": `},"data":{"a":"<1>"}`, "gone": `}`, "hashed": `},"data":{"key":"` + hash + `"}`, "same": `}`,
	} {
		r.writeConfigMap(time.Hour, history.Create, name, rest)
	}
	const path = "/api/v1/namespaces/shop/configmaps/"
	live := func(name, rest string) {
		s.objects[path+name] = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name +
			`","namespace":"shop","uid":"uid-` + name + `","resourceVersion":"7"}` + rest + `}`
	}
	live("changed", `,"data":{"a":"2"}`)
	live("same", "")
	refuse := false
	s.answer = func(w http.ResponseWriter, req *http.Request) bool {
		if req.Method != http.MethodPost || !refuse {
			return false
		}
		s.refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, "exceeded quota: small")
		return true
	}
	const objects = "cm/changed#1 cm/gone#1 cm/hashed#1 cm/same#1"
	type step struct{ name, action, result, failure string }
	read := func(args string, wantCode int) (steps []step, applied bool, first map[string]any) {
		code, stdout, stderr := s.restore(t.Context(), t, r, objects+args)
		if code != wantCode {
			t.Fatalf("%s: got exit code %d, want %d\n%s%s", args, code, wantCode, stdout, stderr)
		}
		var document struct {
			Applied bool
			Steps   []map[string]any
		}
		if err := yaml.UnmarshalStrict([]byte(stdout), &document); err != nil {
			t.Fatalf("%s: got\n%s\nwhich can't be read: %v", args, stdout, err)
		}
		for _, s := range document.Steps {
			text := func(name string) string {
				value, _ := s[name].(string)
				return value
			}
			steps = append(steps, step{text("resourceName"), text("action"), text("result"), text("error")})
		}
		return steps, document.Applied, document.Steps[0]
	}
	const hashes = "only hashes are recorded of key"
	plan := []step{
		{"changed", "update", "", ""},
		{"gone", "create", "", ""},
		{"hashed", "refuse", "", hashes},
		{"same", "none", "", ""},
	}
	for _, args := range []string{" -o json", " -o yaml", " -o json --dry-run=server"} {
		got, applied, first := read(args, 1)
		if !slices.Equal(got, plan) || applied {
			t.Errorf("%s: got %v (applied: %t), want %v", args, got, applied, plan)
		}
		want := map[string]any{
			"action": "update", "group": "", "apiVersion": "v1", "kind": "ConfigMap", "resourceType": "configmaps",
			"namespace": "shop", "resourceName": "changed", "revision": 1.0,
			"changes": []any{map[string]any{"path": "data.a", "change": "changed", "old": "2", "new": "<1>"}},
		}
		if !cmp.Equal(first, want) {
			t.Errorf("%s: got the step\n%v\nwant\n%v", args, first, want)
		}
	}
	refuse = true
	got, applied, _ := read(" -o json --yes", 1)
	want := []step{
		{"changed", "update", "updated", ""},
		{"gone", "create", "failed", "exceeded quota: small"},
		{"hashed", "refuse", "failed", hashes},
		{"same", "none", "", ""},
	}
	if !slices.Equal(got, want) || !applied {
		t.Errorf("done: got %v (applied: %t), want %v", got, applied, want)
	}
}

// TestRestore_ContinuesAfterConflicts updates an object that a controller
// changes at the same time, and one that a person changes.
func TestRestore_ContinuesAfterConflicts(t *testing.T) {
	const path = "/api/v1/namespaces/shop/configmaps/a"
	live := func(version, data string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"shop","uid":"uid-a",` +
			`"resourceVersion":"` + version + `"},"data":{"a":"` + data + `"},"status":{"seen":"` + version + `"}}`
	}
	for name, c := range map[string]struct {
		then   []string // the object after each read but the first
		code   int
		want   string
		writes int
		left   map[string]any // the data and the status of the object
	}{
		"status": {
			[]string{live("8", "2")},
			0, "\nconfigmap/a updated\n", 2,
			map[string]any{"data": map[string]any{"a": "1"}, "status": map[string]any{"seen": "8"}},
		},
		"status, many times": {
			[]string{live("8", "2"), live("9", "2"), live("10", "2"), live("11", "2")},
			0, "\nconfigmap/a updated\n", 5,
			map[string]any{"data": map[string]any{"a": "1"}, "status": map[string]any{"seen": "11"}},
		},
		"data": {
			[]string{live("8", "3")},
			1,
			"error: configmap/a: the object was changed in the meantime\n" +
				"To see what differs now, run the same command again.\n", 1,
			map[string]any{"data": map[string]any{"a": "3"}, "status": map[string]any{"seen": "8"}},
		},
		"status, then data": {
			[]string{live("8", "2"), live("9", "3")},
			1,
			"error: configmap/a: the object was changed in the meantime\n", 2,
			map[string]any{"data": map[string]any{"a": "3"}, "status": map[string]any{"seen": "9"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := newRecording(t), newAPIServer(t)
			r.writeConfigMap(time.Hour, history.Create, "a", `},"data":{"a":"1"}`)
			s.objects[path] = live("7", "2")
			then := c.then
			s.answer = func(_ http.ResponseWriter, req *http.Request) bool {
				if req.Method == http.MethodPut && len(then) > 0 { // just before the write
					s.objects[path], then = then[0], then[1:]
				}
				return false
			}
			code, stdout, stderr := s.restore(t.Context(), t, r, "cm/a#1 --yes")
			if code != c.code || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("got exit code %d and\n%s%s\nwant %d and %s", code, stdout, stderr, c.code, c.want)
			}
			var left map[string]any
			if err := json.Unmarshal([]byte(s.objects[path]), &left); err != nil {
				t.Fatal(err)
			}
			delete(left, "metadata")
			delete(left, "apiVersion")
			delete(left, "kind")
			if len(s.writes) != c.writes || !cmp.Equal(left, c.left) {
				t.Errorf("got %d writes and the object %v, want %d and %v", len(s.writes), left, c.writes, c.left)
			}
		})
	}
}

// TestRestore_ReleasesOnlyTheVolumeOfTheDeletedClaim checks what a volume must
// be like when it is released.
func TestRestore_ReleasesOnlyTheVolumeOfTheDeletedClaim(t *testing.T) {
	const path = "/api/v1/persistentvolumes/pv-1"
	volume := func(version, claim string) string {
		return `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"pv-1","resourceVersion":"` + version +
			`"},"spec":{"persistentVolumeReclaimPolicy":"Retain","claimRef":` + claim + `}}`
	}
	const deleted = `{"name":"data","namespace":"shop","uid":"uid-data"}`
	for name, c := range map[string]struct {
		then   string // the volume after the plan
		code   int
		want   string
		writes int
		left   string // the claim that the volume names
	}{
		"unchanged": {
			volume("7", deleted), 0, "\npersistentvolume/pv-1 released\n", 1, `{"name":"data","namespace":"shop"}`,
		},
		"changed otherwise": {
			volume("8", deleted), 0, "\npersistentvolume/pv-1 released\n", 2, `{"name":"data","namespace":"shop"}`,
		},
		"another claim": {
			volume("8", `{"name":"data","namespace":"shop","uid":"other"}`), 1,
			"error: persistentvolume/pv-1: the object was changed in the meantime\n", 1,
			`{"name":"data","namespace":"shop","uid":"other"}`,
		},
		"another name": {
			volume("8", `{"name":"other","namespace":"shop","uid":"uid-data"}`), 1,
			"\nerror: 1 of 1 object restored; 1 volume can't be released: persistentvolume/pv-1\n", 1,
			`{"name":"other","namespace":"shop","uid":"uid-data"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := newRecording(t), newAPIServer(t)
			if err := r.log.Register(t.Context(), history.Resource{
				Version: "v1", Plural: "persistentvolumeclaims", Singular: "persistentvolumeclaim",
				Kind: "PersistentVolumeClaim", ShortNames: []string{"pvc"}, Namespaced: true,
			}); err != nil {
				t.Fatal(err)
			}
			for _, version := range []struct {
				verb history.Verb
				ago  time.Duration
			}{{history.Create, 2 * time.Hour}, {history.Delete, time.Hour}} {
				r.write(version.ago, &history.Record{
					Ref: ref("", "persistentvolumeclaims", "shop", "data", "uid-data"), Verb: version.verb,
					Kind: "PersistentVolumeClaim", Object: []byte(`{"apiVersion":"v1","kind":"PersistentVolumeClaim",` +
						`"metadata":{"name":"data","namespace":"shop","uid":"uid-data"},"spec":{"volumeName":"pv-1"}}`),
				})
			}
			s.objects[path] = volume("7", deleted)
			s.answer = func(_ http.ResponseWriter, req *http.Request) bool {
				if req.Method == http.MethodPatch && !req.URL.Query().Has("dryRun") && len(s.writes) == 0 {
					s.objects[path] = c.then
				}
				return false
			}
			code, stdout, stderr := s.restore(t.Context(), t, r, "pvc/data --yes")
			if code != c.code || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("got exit code %d and\n%s%s\nwant %d and %s", code, stdout, stderr, c.code, c.want)
			}
			var left struct {
				Spec struct{ ClaimRef json.RawMessage }
			}
			if err := json.Unmarshal([]byte(s.objects[path]), &left); err != nil {
				t.Fatal(err)
			}
			if got := string(left.Spec.ClaimRef); len(s.writes) != c.writes || got != c.left {
				t.Errorf("got %d writes and the claim %s, want %d and %s", len(s.writes), got, c.writes, c.left)
			}
		})
	}
}

// TestRestore_ExplainsRefusals checks what is advised for errors of the API
// server.
func TestRestore_ExplainsRefusals(t *testing.T) {
	for _, c := range []struct {
		code          int32
		reason        metav1.StatusReason
		message, want string
	}{
		{
			http.StatusForbidden, metav1.StatusReasonForbidden, `configmaps is forbidden: User "jane" cannot create`,
			"kubectl auth can-i create configmaps -n shop",
		},
		{
			http.StatusForbidden, metav1.StatusReasonForbidden, "exceeded quota: small", "Raise the quota",
		},
		{
			http.StatusBadRequest, metav1.StatusReasonBadRequest, `admission webhook "x" denied the request: no`,
			"A policy of the cluster rejects it as it was. To change it before: ",
		},
		{
			http.StatusUnprocessableEntity, metav1.StatusReasonInvalid, "is invalid",
			" state configmaps/a -n shop --at TIME ",
		},
		{
			http.StatusConflict, metav1.StatusReasonAlreadyExists, "already exists",
			"the object was changed in the meantime",
		},
		{http.StatusInternalServerError, metav1.StatusReasonInternalError, "broken", "To try again, run the same"},
	} {
		t.Run(c.message, func(t *testing.T) {
			r, s := newRecording(t), newAPIServer(t)
			r.writeConfigMap(time.Hour, history.Create, "a", `}`)
			r.writeConfigMap(time.Hour, history.Create, "b", `}`)
			s.answer = func(w http.ResponseWriter, req *http.Request) bool {
				if req.Method != http.MethodPost || s.objects["refused"] != "" {
					return false
				}
				s.objects["refused"] = "a"
				s.refuse(w, c.code, c.reason, c.message)
				return true
			}
			code, stdout, stderr := s.restore(t.Context(), t, r, "cm/a#1 cm/b#1 --yes")
			if code != 1 || !strings.HasSuffix(stdout, "\nconfigmap/b created\n") ||
				!strings.Contains(stderr, c.want) ||
				!strings.Contains(stderr,
					"\nerror: 1 of 2 objects restored; 1 object can't be brought back: configmap/a\n") {
				t.Errorf("got exit code %d and\n%s%s\nwant 1, configmap/b created, and %s",
					code, stdout, stderr, c.want)
			}
		})
	}
}

func TestState_RefusesHashes(t *testing.T) {
	r := newRecording(t)
	const hash = "hmac-sha256:0123456789abcdef0123456789abcdef"
	r.writeConfigMap(time.Hour, history.Create, "hashed", `},"data":{"password":"`+hash+`"}`)
	r.writeConfigMap(time.Hour, history.Create, "kube-root-ca.crt", `}`)
	r.writeConfigMap(time.Hour, history.Create, "plain", `},"data":{"a":"1"}`)
	code, stdout, stderr := r.run(t, "state", "-o", "yaml", "--strip")
	const want = `apiVersion: v1
items:
- apiVersion: v1
  data:
    a: "1"
  kind: ConfigMap
  metadata:
    name: plain
    namespace: shop
kind: List
metadata:
  resourceVersion: ""
`
	for _, line := range []string{
		"configmaps/hashed in shop can't be brought back: only hashes are recorded of data.password\n",
		"1 object that controllers make is left out; a type includes it.\n",
		"error: 1 object can't be brought back: only hashes of values are recorded\n",
	} {
		if !strings.Contains(stderr, line) {
			t.Errorf("got %s, want %s", stderr, line)
		}
	}
	if code != 1 || stdout != want {
		t.Errorf("got exit code %d and\n%s\nwant 1 and\n%s", code, stdout, want)
	}
	code, stdout, stderr = r.run(t, "state", "cm/hashed", "-o", "yaml", "--strip")
	if code != 1 || stdout != "" {
		t.Errorf("a hashed object: got exit code %d and\n%s%s\nwant 1 and nothing", code, stdout, stderr)
	}
}

// TestFolded_NamesTheCommandThatRestores checks the rows of deleted ConfigMaps.
func TestFolded_NamesTheCommandThatRestores(t *testing.T) {
	r := newRecording(t)
	for _, name := range []string{"gone", "again"} {
		r.writeConfigMap(3*time.Hour, history.Create, name, `}`)
		r.writeConfigMap(30*time.Minute, history.Delete, name, `}`)
	}
	r.writeConfigMap(20*time.Minute, history.Create, "again", `}`)
	_, stdout, _ := r.run(t, "get", "--since", "1h")
	if n := strings.Count(stdout, " restore cm/"); n != 1 || !strings.Contains(stdout, " restore cm/gone -n shop\n") {
		t.Errorf("got\n%s\nwant one command, for the object that does not exist", stdout)
	}
}
