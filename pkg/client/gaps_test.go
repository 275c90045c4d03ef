package client_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestGapsQuery(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600))
	for name, tc := range map[string]struct {
		query client.GapsQuery
		want  string
	}{
		"all": {client.GapsQuery{}, ""},
		"every parameter": {
			client.GapsQuery{Start: start, End: start.Add(time.Hour), Resources: []string{"deploy", "po"}, Group: "apps"},
			"end=2026-01-02T03%3A04%3A05.000000006Z&group=apps&resourceType=deploy%2Cpo&start=2026-01-02T02%3A04%3A05.000000006Z",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := answering(t, 200, "application/json", `{"gaps":[]}`)
			gaps, err := dial(t, s.URL, client.Options{}).Gaps(t.Context(), tc.query)
			if err != nil || len(gaps) > 0 {
				t.Errorf("got %+v, %v", gaps, err)
			}
			if got := s.request.URL.Path; got != "/api/v1/gaps" {
				t.Errorf("path is %q", got)
			}
			if diff := cmp.Diff(tc.want, s.request.URL.RawQuery); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGapsRefusal(t *testing.T) {
	s := answering(t, 404, "application/json", `{"error":{"code":"not_found","message":"no such path"}}`)
	_, err := dial(t, s.URL, client.Options{}).Gaps(t.Context(), client.GapsQuery{})
	wantCode(t, err, history.NotFound, "no such path")
}

// TestRecorderGaps: every answer of records counts the gaps that Gaps lists.
func TestRecorderGaps(t *testing.T) {
	c := serving(t)
	all, err := c.Gaps(t.Context(), client.GapsQuery{})
	if err != nil || len(all) == 0 {
		t.Fatalf("got %+v, %v", all, err)
	}
	first := all[0].Start
	want := []v1.Gap{
		{Resource: "nodes", Start: first, End: first.Add(time.Minute), Reason: "expired", Detail: "too old"},
		{Group: "apps", Resource: "deployments", Start: first.Add(time.Hour), Reason: "forbidden"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Error(diff)
	}
	for name, tc := range map[string]struct {
		query client.GapsQuery
		want  []v1.Gap
	}{
		"a type":  {client.GapsQuery{Resources: []string{"deploy"}}, want[1:]},
		"a group": {client.GapsQuery{Group: "apps"}, want[1:]},
		"later":   {client.GapsQuery{Start: first.Add(2 * time.Minute)}, want[1:]},
		"earlier": {client.GapsQuery{End: first.Add(2 * time.Minute)}, want[:1]},
		"before":  {client.GapsQuery{End: first}, []v1.Gap{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.Gaps(t.Context(), tc.query)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
			page, err := c.Events(t.Context(), client.EventsQuery{
				Start: tc.query.Start, End: tc.query.End, Resources: tc.query.Resources, Group: tc.query.Group, Limit: 1,
			})
			if err != nil || page.Gaps != len(tc.want) {
				t.Errorf("a page says %d gaps, %v; want %d", page.Gaps, err, len(tc.want))
			}
		})
	}
	object, err := c.Object(t.Context(), client.ObjectQuery{Resource: "nodes", Name: "nobody"})
	if err != nil || object.Gaps != 1 {
		t.Errorf("an object's page says %d gaps, %v; want 1", object.Gaps, err)
	}
}
