package daemon_test

import (
	"net/http"
	"strings"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
)

func TestDaemon_MarksRestrictedAnswers(t *testing.T) {
	noLeaks(t)
	createViewer(t)
	kubectl(t, "create", "namespace", "marked")
	kubectl(t, "create", "configmap", "settings", "-n", "marked")
	tokens := map[string]string{}
	for reader, binding := range map[string]string{
		"admin":  "clusterrolebinding marked-admin --clusterrole=cluster-admin",
		"tenant": "rolebinding marked-tenant -n marked --clusterrole=cluster-admin",
		"viewer": "rolebinding marked-viewer -n marked --clusterrole=viewer",
	} {
		kubectl(t, append(strings.Fields("create "+binding), "--serviceaccount=marked:"+reader)...)
		token, err := cluster.Token(t.Context(), "marked", reader)
		if err != nil {
			t.Fatal(err)
		}
		tokens[reader] = token
	}
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) { c.SecurePort = 0 })
	client := secureClient(t, r.authorities())
	get := func(path, reader string) answer {
		t.Helper()
		return fetch(t, client, "https://"+r.secure+path, tokens[reader])
	}
	r.eventually(t, "the object is recorded", func() (bool, string) {
		got := get(v1.EventsPath+"?namespace=marked&resourceType=cm", "viewer")
		return strings.Contains(got.body, `"settings"`), got.body
	})
	for path, restricted := range map[string]string{
		v1.EventsPath:                                                                  "tenant viewer",
		v1.EventsPath + "?resourceType=cm":                                             "tenant viewer",
		v1.EventsPath + "?namespace=marked":                                            "viewer",
		v1.EventsPath + "?namespace=marked&resourceType=cm":                            "",
		v1.EventsPath + "?namespace=marked&resourceType=secrets":                       "viewer",
		v1.EventsPath + "?namespace=marked&resourceType=unicorns":                      "viewer",
		v1.EventsPath + "?namespace=default&resourceType=cm":                           "tenant viewer",
		v1.EventsPath + "?namespace=marked&start=2099-01-01T00:00:00Z&resourceType=cm": "",
		v1.EventsPath + "/marked/configmaps/settings":                                  "",
		v1.EventsPath + "/marked/secrets/nothing":                                      "viewer",
		v1.StatePath + "?namespace=marked":                                             "viewer",
		v1.StatePath + "?namespace=default":                                            "tenant viewer",
		v1.StatePath + "?namespace=marked&resourceType=cm":                             "",
	} {
		for reader := range tokens {
			got := get(path, reader)
			want := ""
			if strings.Contains(restricted, reader) {
				want = "true"
			}
			if header := got.Header.Get(v1.RestrictedHeader); header != want {
				t.Errorf("%s as %s: got %s, restricted %q, want %q", path, reader, got.Status, header, want)
			}
			if got.StatusCode != http.StatusOK && got.StatusCode != http.StatusNotFound {
				t.Errorf("%s as %s: got %s %s, want 200 or 404", path, reader, got.Status, got.body)
			}
		}
	}
	r.stop(t)
}
