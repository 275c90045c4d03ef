package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
  CANNOT   configmap/hashed   only hashes are recorded of password: set the values yourself
  skip     2 objects          made by controllers: configmap ×2
`
	for _, args := range [][]string{{"restore", "ns/shop"}, {"restore", "ns", "shop", "--at", "1h1m"}} {
		code, stdout, stderr := r.run(t, append(args, "--dry-run=client", "--timezone", "UTC")...)
		if len(args) > 2 { // another time and, as the deletion, the end of it
			_, stdout, _ = strings.Cut(stdout, "\n")
			_, want, _ = strings.Cut(want, "\n")
		}
		if code != 1 || stdout != want || !strings.Contains(stderr, "error: 1 object can't be brought back\n") ||
			!strings.Contains(stderr, "Nothing was changed. --yes creates 2 objects and updates 0.\n") {
			t.Errorf("%q: got exit code %d and\n%s%s\nwant 1 and\n%s", args, code, stdout, stderr, want)
		}
	}
}

// apiServer is an API server whose answers a test chooses: faults that a real
// one has only by chance.
type apiServer struct {
	*httptest.Server
	objects map[string]string // by their paths
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
		case req.Method == http.MethodPost, req.Method == http.MethodPut:
			_, _ = w.Write(bytes.ReplaceAll(body, []byte(`"resourceVersion":"8"`), []byte(`"resourceVersion":"9"`)))
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
	code, stderr = run(ctx, r, &out, append(strings.Fields("restore "+args), "--recorder-url", r.url, "-n", "shop",
		"--server", s.URL, "--cache-dir", t.TempDir())...)
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

// TestRestore_ContinuesAfterConflicts updates an object that a controller
// changes at the same time, and one that a person changes.
func TestRestore_ContinuesAfterConflicts(t *testing.T) {
	const path = "/api/v1/namespaces/shop/configmaps/a"
	live := func(version, data string) string {
		return `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a","namespace":"shop","uid":"uid-a",
			"resourceVersion":"` + version + `"},"data":{"a":"` + data + `"},"status":{"seen":"` + version + `"}}`
	}
	for name, c := range map[string]struct {
		then string // the object after the first conflict
		code int
		want string
	}{
		"status": {live("8", "2"), 0, "configmap/a updated\n"},
		"data": {
			live("8", "3"), 1,
			"error: configmap/a: the object was changed in the meantime\n" +
				"To see what differs now, run the same command again.\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := newRecording(t), newAPIServer(t)
			r.writeConfigMap(time.Hour, history.Create, "a", `},"data":{"a":"1"}`)
			s.objects[path] = live("7", "2")
			s.answer = func(w http.ResponseWriter, req *http.Request) bool {
				if req.Method != http.MethodPut || s.objects[path] == c.then {
					return false
				}
				s.objects[path] = c.then
				s.refuse(w, http.StatusConflict, metav1.StatusReasonConflict, "the object has been modified")
				return true
			}
			code, stdout, stderr := s.restore(t.Context(), t, r, "cm/a#1 --yes")
			if code != c.code || !strings.Contains(stdout+stderr, c.want) {
				t.Errorf("got exit code %d and\n%s%s\nwant %d and %s", code, stdout, stderr, c.code, c.want)
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
				!strings.Contains(stderr, "\nerror: 1 of 2 objects restored, 1 can't be brought back\n") {
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
