package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// addGaps appends a closed and an open gap of pods, and one of deployments, all
// within the first minutes of an hour.
func addGaps(s *server) {
	at := func(minute int) time.Time { return time.Date(2100, 1, 2, 3, minute, 0, 0, time.UTC) }
	s.now = at(4)
	s.addGaps(history.Gap{
		Resource: "pods", Start: at(0), End: at(2), Reason: history.GapRestarted, Detail: "it was away",
	})
	s.addGaps(history.Gap{Group: "apps", Resource: "deployments", Start: at(1), End: at(3), Reason: history.GapExpired})
	s.addGaps(history.Gap{Resource: "pods", Start: at(3).Add(500 * time.Millisecond), Reason: history.GapForbidden})
}

func (s *server) addGaps(gaps ...history.Gap) {
	s.tb.Helper()
	if err := s.log.Append(s.tb.Context(), &history.Batch{Gaps: gaps}); err != nil {
		s.tb.Fatal(err)
	}
}

func TestGaps_AreSelectedByTimeAndResource(t *testing.T) {
	s := newServer(t, api.Options{})
	addGaps(s)
	for query, want := range map[string]string{
		"":                           "pods restarted, deployments expired, pods forbidden",
		"resourceType=po":            "pods restarted, pods forbidden",
		"group=apps":                 "deployments expired",
		"resourceType=unknown":       "",
		"start=2100-01-02T03:02:30Z": "deployments expired, pods forbidden",
		"end=2100-01-02T03:01:00Z":   "pods restarted",
		"start=2100-01-02T04:00:00Z": "pods forbidden",
		"start=2100-01-02T03:03:01Z&end=2100-01-02T03:03:02Z&resourceType=deploy": "",
	} {
		code, header, body := s.get(v1.GapsPath + "?" + query)
		var list v1.GapList
		if err := json.Unmarshal([]byte(body), &list); err != nil || code != http.StatusOK || list.Gaps == nil {
			t.Fatalf("%s: got %d %s, want 200 with a list", query, code, body)
		}
		var got []string
		for _, g := range list.Gaps {
			got = append(got, g.Resource+" "+g.Reason)
		}
		if strings.Join(got, ", ") != want || header.Get(v1.GapsHeader) != fmt.Sprint(len(got)) {
			t.Errorf("%s: got %v with headers %v, want %s", query, got, header, want)
		}
	}
	_, _, body := s.get(v1.GapsPath + "?group=core")
	want := `{"gaps":[{"group":"","resource":"pods","start":"2100-01-02T03:00:00Z",` +
		`"end":"2100-01-02T03:02:00Z","reason":"restarted","detail":"it was away"},` +
		`{"group":"","resource":"pods","start":"2100-01-02T03:03:00.5Z","reason":"forbidden"}]}` + "\n"
	if body != want {
		t.Errorf("body: got %s, want %s", body, want)
	}
}

func TestGaps_MistakeInFixedParameterIsJSON(t *testing.T) {
	s := newServer(t, api.Options{})
	for _, query := range []string{"start=yesterday", "end=tomorrow"} {
		code, _, body := s.get(v1.GapsPath + "?" + query)
		if code != http.StatusBadRequest || !strings.HasPrefix(body, `{"error":{"code":"invalid"`) {
			t.Errorf("%s: got %d %s, want 400 with JSON", query, code, body)
		}
	}
}

func TestGaps_AreInEveryAnswer(t *testing.T) {
	s := newServer(t, api.Options{})
	addGaps(s)
	sample(s) // after all gaps but the open one
	open := "pods 2100-01-02T03:03:00.5Z/.. forbidden"
	ended := "pods 2100-01-02T03:00:00Z/2100-01-02T03:02:00Z restarted"
	expired := "deployments.apps 2100-01-02T03:01:00Z/2100-01-02T03:03:00Z expired"
	for target, want := range map[string]string{
		"/api/v1/events": "3 " + open + ", " + expired + ", " + ended,
		"/api/v1/events?resourceType=pods&limit=1":                    "2 " + open + ", " + ended,
		"/api/v1/events?resourceType=pods&start=2100-01-02T03:03:00Z": "1 " + open,
		"/api/v1/events?resourceType=pods&end=2100-01-02T03:01:00Z":   "1 " + ended, // and no record
		"/api/v1/events?resourceType=nodes":                           "0 ",
		"/api/v1/events/shop/pods/web":                                "2 " + open + ", " + ended,
		"/api/v1/events/shop/pods/missing?end=2100-01-02T03:01:00Z":   "1 " + ended,
		"/api/v1/events/-/nodes/node-1":                               "0 ",
		"/api/v1/events/shop/deployments/old?revision=1":              "1 " + expired,
	} {
		_, header, _ := s.get(target)
		if got := header.Get(v1.GapsHeader) + " " + header.Get(v1.GapListHeader); got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
	s.addGaps(history.Gap{Resource: "events", Start: s.now.Add(-time.Hour), Reason: history.GapNotServed})
	if _, header, _ := s.get("/api/v1/events/-/nodes/node-1"); header.Get(v1.GapsHeader) != "1" {
		t.Errorf("gap of Events in an object's answer: got %v, want one gap", header)
	}
}

func TestGaps_ListInHeaderIsBounded(t *testing.T) {
	s := newServer(t, api.Options{})
	for i := range 100 {
		start := s.now.Add(-time.Duration(100-i) * time.Minute)
		s.addGaps(history.Gap{Resource: "pods", Start: start, End: start.Add(time.Second), Reason: history.GapExpired})
	}
	_, header, _ := s.get("/api/v1/events?empty=200")
	if n := strings.Count(header.Get(v1.GapListHeader), "expired"); header.Get(v1.GapsHeader) != "100" ||
		n != v1.MaxGapsListed {
		t.Errorf("got %s gaps, %d listed, want 100, %d listed", header.Get(v1.GapsHeader), n, v1.MaxGapsListed)
	}
}
