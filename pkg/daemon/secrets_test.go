package daemon_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

const (
	hiddenValue  = "correct-horse-battery-staple"
	rotatedValue = "stapled-battery-corrects-horse"
)

// hiddenForms returns a value in several encodings. Not even a part of 12 bytes
// of one may be stored.
func hiddenForms(value string) []string {
	encode := base64.StdEncoding.EncodeToString
	return []string{
		value, encode([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte("-" + value)),
		encode([]byte(encode([]byte(value)))),
		hex.EncodeToString([]byte(value)), url.QueryEscape(value),
	}
}

// secretManifest returns a Secret with a value in data, annotations and labels
// in every encoding that fits.
func secretManifest(name, value string) string {
	var annotations, labels strings.Builder
	for i, form := range hiddenForms(hiddenValue) {
		for j, text := range []string{
			"%s", "# copied\nstringData:\n  p: '%s'\n", "- p: %s",
			"\ufeff{\"p\":\"%s\"}", "-p {\"stringData\":{\"p\":\"%s\"}}",
		} {
			fmt.Fprintf(&annotations, "    example.com/a%d-%d: %q\n", i, j, strings.ReplaceAll(text, "%s", form))
		}
		if len(form) <= 50 && !strings.ContainsAny(form, "=+/") {
			fmt.Fprintf(&labels, "    example.com/l%d: \"x-%s\"\n    example.com/%s: \"on\"\n", i, form, form)
		}
	}
	return "apiVersion: v1\nkind: Secret\nmetadata:\n  name: " + name +
		"\n  namespace: vault\n  finalizers: [example.com/" + hiddenValue + "]\n" +
		"  annotations:\n" + annotations.String() + "  labels:\n" + labels.String() +
		"  ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: " + hiddenValue +
		", uid: " + hiddenValue + "}]\n" +
		"stringData:\n  password: " + value + "\n  " + hiddenValue + ": x\n"
}

// ruledManifest is a ConfigMap whose rule redacts the password.
const ruledManifest = `
apiVersion: v1
kind: ConfigMap
metadata:
  name: c
  namespace: vault
  annotations:
    kapp.k14s.io/original: '{"data":{"password":"` + hiddenValue + `"}}'
    example.com/note: "it is ` + hiddenValue + `"
data:
  password: ` + hiddenValue + `
  command: "login --password=` + hiddenValue + `"
`

// TestSecrets_ValuesAreStoredNowhere records a Secret and a ConfigMap whose
// values occur in many fields. The values change, and the objects are deleted.
// No answer, export, backup, file or log may contain a value.
func TestSecrets_ValuesAreStoredNowhere(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "vault")
	c := daemon.DefaultConfig()
	c.ServerPort, c.StoragePath = 0, t.TempDir()
	c.Rules.Redact = []recorder.Redaction{
		{Resource: schema.GroupResource{Resource: "configmaps"}, Paths: []string{"data.password"}},
	}
	r := bootLogging(t, c, cluster.Config(), nil, slog.LevelDebug)
	apply(t, secretManifest("s", hiddenValue)) // adds a copy of the object as an annotation
	apply(t, ruledManifest)
	kubectl(t, "-n", "vault", "annotate", "secret", "s", "example.com/late=the password is "+hiddenValue,
		"--field-manager="+hiddenValue)
	kubectl(t, "-n", "vault", "patch", "secret", "s",
		"-p", `{"stringData":{"password":"`+rotatedValue+`","`+hiddenValue+`":"y"}}`)
	kubectl(t, "-n", "vault", "label", "secret", "s", "late="+rotatedValue)
	kubectl(t, "-n", "vault", "patch", "secret", "s", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	kubectl(t, "-n", "vault", "delete", "secret/s", "configmap/c")
	r.eventually(t, "the deletions are recorded", func() (bool, string) {
		got := verbs(r.events(t, "namespace=vault&resourceType=secrets,configmaps"))
		return strings.Count(got, "delete") == 2, got
	})
	var all bytes.Buffer
	for _, path := range []string{
		v1.EventsPath + "?namespace=vault", v1.EventsPath + "?namespace=vault&summary=true",
		v1.EventsPath + "/vault/secrets/s",
		v1.EventsPath + "/vault/configmaps/c", v1.ResourcesPath, v1.GapsPath, v1.MetricsPath,
	} {
		_, body := r.get(t, path)
		all.WriteString(body)
	}
	refuseValues(t, "the API", all.Bytes())
	files := t.TempDir()
	command(t, r.dir, "export", filepath.Join(files, "all.whx"), "--start", "1h")
	command(t, r.dir, "backup", filepath.Join(files, "all.whb"))
	command(t, r.dir, "restore", filepath.Join(files, "all.whb"), "--storage", filepath.Join(files, "restored"))
	r.stop(t)
	for _, dir := range []string{r.dir, files} {
		refuseValues(t, dir, recordertest.FilesIn(t, dir))
	}
	refuseValues(t, "the log", r.log.Bytes())
	_, _ = cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "namespace", "vault", "--wait=false")
}

// refuseValues fails the test if the data contains a hidden value in any
// encoding.
func refuseValues(t *testing.T, where string, data []byte) {
	t.Helper()
	if len(data) == 0 {
		t.Errorf("%s: got no data, want some to search", where)
	}
	for _, form := range append(hiddenForms(hiddenValue), hiddenForms(rotatedValue)...) {
		part := form[:len(form)-8] // the end may be encoded together with what follows it
		if at := bytes.Index(data, []byte(part)); at >= 0 {
			t.Errorf("%s: got %q in it, want no part of a value: %s",
				where, part, data[max(0, at-200):min(len(data), at+200)])
		}
	}
}
