package cli_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestDiff_ReverseOfManyKinds brings a namespace back in which a ConfigMap was
// changed, another one deleted, and one created, and in which values of two
// objects were recorded as hashes.
func TestDiff_ReverseOfManyKinds(t *testing.T) {
	r := newRecording(t)
	const hash = "hmac-sha256:0123456789abcdef0123456789abcdef"
	put := func(ago time.Duration, verb history.Verb, name, rest string) {
		r.write(ago, &history.Record{
			Ref: ref("", "configmaps", "shop", name, "uid-"+name), Kind: "ConfigMap", Verb: verb, Managers: by("helm"),
			Object: []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"` + name +
				`","namespace":"shop"` + rest + `}`),
		})
	}
	put(3*time.Hour, history.Create, "changed", `,"labels":{"a":"1"}},"data":{"a":"1","gone":"x"}`)
	put(3*time.Hour, history.Create, "flags", `,"annotations":{"note":"`+hash+`"}},"data":{"f":"1"}`)
	put(3*time.Hour, history.Create, "hashed", `},"data":{"user":"me","password":"`+hash+`","token":"`+hash+`"}`)
	put(3*time.Hour, history.Create, "kube-root-ca.crt", `}`)
	put(3*time.Hour, history.Create, "same", `},"data":{"password":"`+hash+`"}`)
	put(time.Hour, history.Update, "changed",
		`,"annotations":{"new":"1"},"labels":{"a":"1","b":"2"}},"data":{"a":"2","added":"y"},"binaryData":{"b":"AA=="}`)
	put(time.Hour, history.Delete, "flags", `},"data":{"f":"1"}`)
	put(time.Hour, history.Update, "hashed", `},"data":{"user":"you","password":"`+hash+`"}`)
	put(time.Hour, history.Delete, "kube-root-ca.crt", `}`)
	put(time.Hour, history.Create, "created", `}`)

	var out bytes.Buffer
	code, stderr := run(t.Context(), r, &out, "diff", "--from", "2h", "-R", "-n", "shop", "--recorder-url", r.url)
	const want = `# configmaps/changed in shop as in revision 1
apiVersion: v1
binaryData: null
data:
  a: "1"
  added: null
  gone: x
kind: ConfigMap
metadata:
  annotations:
    new: null
  labels:
    a: "1"
    b: null
  name: changed
  namespace: shop
---
# configmaps/flags in shop as in revision 1, deleted since
apiVersion: v1
data:
  f: "1"
kind: ConfigMap
metadata:
  name: flags
  namespace: shop
---
# created since: kubectl delete configmaps created -n shop
`
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
	for _, line := range []string{
		`(?m)^configmaps/hashed in shop can't be brought back: only hashes are recorded of data.password, data.token$`,
		`(?m)^error: 1 object can't be brought back: only hashes of values are recorded$`,
	} {
		if !regexp.MustCompile(line).MatchString(stderr) {
			t.Errorf("got %s, want a line like %s", stderr, line)
		}
	}
	_, stats, _ := r.run(t, "diff", "--from", "2h")
	if want := "2 changed, 1 deleted, 1 created; 1 of 4 as at "; !strings.Contains(stats, want) ||
		strings.Contains(stats, "kube-root-ca.crt") {
		t.Errorf("got\n%swant %s, and nothing about what controllers make", stats, want)
	}
	if code != 1 || strings.Contains(stderr, "same") {
		t.Errorf("got exit code %d and %s, want 1 and nothing about the object that is the same", code, stderr)
	}
}

// TestDiff_CreatedObjectIsAdded compares with a time before an object was
// created.
func TestDiff_CreatedObjectIsAdded(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	created := &history.Record{
		Ref: ref("", "configmaps", "shop", "new", "uid-new"), Kind: "ConfigMap", Verb: history.Create,
		Object: fmt.Appendf(nil, `{"metadata":{"name":"new","creationTimestamp":%q},"data":{"a":"1"}}`,
			r.now.Add(-5*time.Minute).Format(time.RFC3339)),
	}
	r.write(5*time.Minute, created)
	edited := *created
	edited.Verb, edited.Object = history.Update, bytes.Replace(created.Object, []byte(`"1"`), []byte(`"2"`), 1)
	r.write(4*time.Minute, &edited)
	for _, object := range []string{"cm", "cm/new"} {
		var out bytes.Buffer
		code, errOut := run(t.Context(), r, &out, "diff", object, "--from", "6m", "-p", "-n", "shop",
			"--recorder-url", r.url)
		got := out.String()
		if code != 0 || !strings.Contains(got, "configmap/new  revision 2  4m ago: created\n") ||
			!strings.Contains(got, "+   a: \"2\"\n") {
			t.Errorf("%s: got exit code %d and\n%s%swant the ConfigMap as created", object, code, got, errOut)
		}
	}
}
