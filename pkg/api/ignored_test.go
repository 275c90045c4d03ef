package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// rule lets rules leave something out from now on.
func (s *server) rule(rules ...history.IgnoreRule) {
	s.Handler = api.New(query.New(s.log, query.Options{IgnoreRules: func() []history.IgnoreRule { return rules }}), api.Options{})
}

func TestEveryAnswerSaysWhatRulesLeaveOut(t *testing.T) {
	s := newServer(t, api.Options{})
	sample(s)
	s.rule(
		history.IgnoreRule{Namespaces: []string{"noisy", "batch"}},
		history.IgnoreRule{Resource: schema.GroupResource{Resource: "nodes"}, Changes: []string{"status.conditions[*].lastHeartbeatTime", "metadata.labels[\"a\u00fc\"]"}},
		history.IgnoreRule{Resource: schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}},
	)
	const nodes = `nodes changes=status.conditions[*].lastHeartbeatTime,metadata.labels["a?"]`
	for target, want := range map[string]string{
		"/api/v1/events":                                       "* namespaces=noisy,batch; " + nodes + "; leases.coordination.k8s.io",
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
			t.Errorf("%s: %s, want %s", target, got, want)
		}
	}
	if code, header, _ := s.do(http.MethodHead, "/api/v1/events"); code != http.StatusOK || header.Get(v1.IgnoredHeader) == "" {
		t.Errorf("HEAD: %d %v", code, header)
	}
}

func TestWhatRulesLeaveOutIsToldWithinBounds(t *testing.T) {
	s := newServer(t, api.Options{})
	var many history.IgnoreRule
	for i := range 1000 {
		many.Namespaces = append(many.Namespaces, fmt.Sprint("team-", i))
	}
	s.rule(many)
	_, header, _ := s.get("/api/v1/events")
	got := header.Get(v1.IgnoredHeader)
	if len(got) != v1.MaxIgnoredLength || !strings.HasPrefix(got, "* namespaces=team-0,team-1,") || !strings.HasSuffix(got, "...") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}
