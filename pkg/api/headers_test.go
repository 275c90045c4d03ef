package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// setUnrecorded sets the resources that are not recorded.
func (s *server) setUnrecorded(unrecorded ...history.UnrecordedResource) {
	s.Handler = api.New(query.New(s.log, query.Options{Unrecorded: func() []history.UnrecordedResource {
		return unrecorded
	}}), api.Options{})
}

func excluded(plural string) history.UnrecordedResource {
	return history.UnrecordedResource{
		Reason:   "excluded",
		Resource: history.Resource{Group: "coordination.k8s.io", Version: "v1", Plural: plural, Namespaced: true},
	}
}

func TestCoverage_IsInEveryAnswer(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	batch := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "1"}}}
	if err := s.log.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	since := batch.Checkpoints[0].Time.Add(time.Second - 1).Truncate(time.Second).Format(time.RFC3339)
	s.setUnrecorded(excluded("leases"))
	for target, want := range map[string]string{
		"/api/v1/events?resourceType=leases":                        "404  leases.coordination.k8s.io excluded",
		"/api/v1/events?resourceType=leases&empty=200":              "200  leases.coordination.k8s.io excluded",
		"/api/v1/events?resourceType=pods":                          "200 " + since + " ",
		"/api/v1/events?resourceType=pods&end=2001-01-01T00:00:00Z": "404 " + since + " ",
		"/api/v1/events?resourceType=pods,leases&limit=1": "200 " + since +
			" leases.coordination.k8s.io excluded",
		"/api/v1/events/shop/leases/lock":                            "404  leases.coordination.k8s.io excluded",
		"/api/v1/events/shop/pods/web?revision=1":                    "200 " + since + " ",
		"/api/v1/events?resourceType=pods&verb=patch":                "404  ",
		"/api/v1/events?resourceType=pods&start=yesterday&empty=200": "400  ",
	} {
		code, header, _ := s.get(target)
		got := fmt.Sprintf("%d %s %s", code, header.Get(v1.SinceHeader), header.Get(v1.NotRecordedHeader))
		if got != want {
			t.Errorf("%s:\ngot  %q\nwant %q", target, got, want)
		}
	}
	_, _, body := s.get(v1.ResourcesPath)
	var list v1.ResourceList
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	for _, r := range list.Resources {
		if got, want := !r.Since.IsZero(), r.Plural == "pods"; got != want {
			t.Errorf("%s in the catalogue has a start: got %t (%s), want %t", r.Plural, got, r.Since, want)
		}
	}
}

func TestNotRecorded_IsBounded(t *testing.T) {
	s := newServer(t, api.Options{})
	var all []history.UnrecordedResource
	for i := range 500 {
		all = append(all, excluded(fmt.Sprint("leases", i)))
	}
	s.setUnrecorded(all...)
	_, header, _ := s.get("/api/v1/events")
	got := header.Get(v1.NotRecordedHeader)
	var more int
	at := strings.LastIndex(got, ", +")
	if _, err := fmt.Sscanf(got[max(at, 0):], ", +%d more", &more); err != nil {
		t.Fatalf("got %q, want it to end in the number of further entries", got)
	}
	if listed := strings.Count(got[:at], ",") + 1; listed+more != len(all) ||
		len(got) > v1.MaxNotRecordedLength || listed < 10 {
		t.Errorf("got %d entries and %d more in %d bytes, want %d in total, in at most %d bytes",
			listed, more, len(got), len(all), v1.MaxNotRecordedLength)
	}
	if code, _, _ := s.do(http.MethodHead, "/api/v1/events"); code != http.StatusNotFound {
		t.Errorf("HEAD: got %d, want %d", code, http.StatusNotFound)
	}
}

// A resource that was recorded earlier is stopped, also if the configuration
// does not select it.
func TestResources_RecordedEarlierIsStopped(t *testing.T) {
	states := func() []v1.Resource {
		return []v1.Resource{
			{Version: "v1", Plural: "pods", State: "not_configured", Reason: "not named"},
			{
				Group: "coordination.k8s.io", Version: "v1", Plural: "leases",
				State: "not_configured", Reason: "not named",
			},
		}
	}
	s := newServer(t, api.Options{States: states})
	_, _, body := s.get(v1.ResourcesPath)
	var list v1.ResourceList
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range list.Resources {
		got[r.Plural] = r.State + " " + r.Reason
	}
	if got["pods"] != "stopped not named" || got["leases"] != "not_configured not named" {
		t.Errorf("got pods %q and leases %q, want stopped and not_configured", got["pods"], got["leases"])
	}
}

// setRules sets the ignore rules.
func (s *server) setRules(rules ...history.IgnoreRule) {
	s.Handler = api.New(query.New(s.log, query.Options{IgnoreRules: func() []history.IgnoreRule { return rules }}),
		api.Options{})
}

func TestIgnored_IsInEveryAnswer(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	s.setRules(
		history.IgnoreRule{Namespaces: []string{"noisy", "batch"}},
		history.IgnoreRule{
			Resource: schema.GroupResource{Resource: "nodes"},
			Changes:  []string{"status.conditions[*].lastHeartbeatTime", "metadata.labels[\"a\u00fc\"]"},
		},
		history.IgnoreRule{Resource: schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}},
	)
	const nodes = `nodes changes=status.conditions[*].lastHeartbeatTime,metadata.labels["a?"]`
	for target, want := range map[string]string{
		"/api/v1/events": "* namespaces=noisy,batch; " +
			nodes + "; leases.coordination.k8s.io",
		"/api/v1/events?resourceType=pods":                     "* namespaces=noisy,batch",
		"/api/v1/events?resourceType=pods&namespace=batch":     "* namespaces=batch", // and no record
		"/api/v1/events?resourceType=pods&namespace=shop":      "",
		"/api/v1/events?resourceType=nodes":                    nodes,
		"/api/v1/events?resourceType=leases":                   "leases.coordination.k8s.io",
		"/api/v1/events/shop/pods/web":                         "",
		"/api/v1/events/noisy/pods/web":                        "* namespaces=noisy",
		"/api/v1/events/-/nodes/node-1?revision=1":             nodes,
		"/api/v1/events?resourceType=pods&start=yesterday":     "",
		"/api/v1/resources":                                    "",
		"/api/v1/events?resourceType=pods&verb=patch&user=who": "",
	} {
		_, header, _ := s.get(target)
		if got := header.Get(v1.IgnoredHeader); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
	if code, header, _ := s.do(http.MethodHead, "/api/v1/events"); code != http.StatusOK ||
		header.Get(v1.IgnoredHeader) == "" {
		t.Errorf("HEAD: got %d %v, want 200 with the rules", code, header)
	}
}

func TestIgnored_IsBounded(t *testing.T) {
	s := newServer(t, api.Options{})
	var many history.IgnoreRule
	for i := range 1000 {
		many.Namespaces = append(many.Namespaces, fmt.Sprint("team-", i))
	}
	s.setRules(many)
	_, header, _ := s.get("/api/v1/events")
	got := header.Get(v1.IgnoredHeader)
	if len(got) != v1.MaxIgnoredLength || !strings.HasPrefix(got, "* namespaces=team-0,team-1,") ||
		!strings.HasSuffix(got, "...") {
		t.Errorf("got %d bytes: %q, want %d bytes that end in ...", len(got), got, v1.MaxIgnoredLength)
	}
}
