package query_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// fill writes eleven pods, each with a creation and an update.
func fill(l *log) {
	for i := range 11 {
		o := ref("", "pods", "shop", fmt.Sprintf("web-%02d", i), 1)
		l.put(record(o, history.Create, `{"spec":{"a":1}}`), record(o, history.Update, `{"spec":{"a":2}}`))
	}
}

func TestPagesTogetherAreTheWholeTimeline(t *testing.T) {
	l := newLog(t)
	fill(l)
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		for _, limit := range []int{1, 4, 11, 21, 22, 1000} {
			q := query.Timeline{Order: order, Limit: limit}
			var got []time.Time
			for {
				page, err := l.service(query.Options{}).Timeline(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				if page.Total != 22 || !page.Exact {
					t.Errorf("limit %d: total %d, exact %v, want 22", limit, page.Total, page.Exact)
				}
				for _, v := range page.Versions {
					got = append(got, v.Time)
				}
				if !page.More {
					break
				}
				if len(page.Versions) != limit {
					t.Fatalf("limit %d: a page of %d that is not the last", limit, len(page.Versions))
				}
				q.After = page.Next
			}
			if order == history.NewestFirst {
				slices.Reverse(got)
			}
			if len(got) != 22 || !slices.IsSortedFunc(got, time.Time.Compare) || len(slices.Compact(got)) != 22 {
				t.Errorf("order %d, limit %d: %d records, or not in order", order, limit, len(got))
			}
		}
	}
}

func TestCountingStopsAtItsBound(t *testing.T) {
	l := newLog(t)
	fill(l)
	page, err := l.service(query.Options{Effort: 5}).Timeline(t.Context(), query.Timeline{Limit: 2})
	if err != nil || page.Total != 5 || page.Exact {
		t.Errorf("total %d, exact %v, %v, want 5 at least", page.Total, page.Exact, err)
	}
	page, err = l.service(query.Options{Effort: 5}).Timeline(t.Context(), query.Timeline{Limit: 10})
	if err != nil || page.Total != 11 || page.Exact {
		t.Errorf("total %d, exact %v, %v, want what the page shows and one more", page.Total, page.Exact, err)
	}
}

func TestPagesAreBoundedInBytes(t *testing.T) {
	l := newLog(t)
	o := ref("", "pods", "shop", "web", 1)
	for range 4 {
		l.put(record(o, history.Update, `{"spec":"`+strings.Repeat("x", 1000)+`"}`))
	}
	page, err := l.service(query.Options{PageBytes: 2500}).Timeline(t.Context(), query.Timeline{Limit: 10})
	if err != nil || len(page.Versions) != 2 || !page.More || page.Total != 4 {
		t.Errorf("%d versions, more %v, total %d, %v", len(page.Versions), page.More, page.Total, err)
	}
	// What is larger than a page is a page of its own, or it could never be read.
	page, err = l.service(query.Options{PageBytes: 10}).Timeline(t.Context(), query.Timeline{Limit: 10})
	if err != nil || len(page.Versions) != 1 || !page.More {
		t.Errorf("%d versions, more %v, %v", len(page.Versions), page.More, err)
	}
}

func TestTypesAreWhatTheCatalogueKnows(t *testing.T) {
	l := newLog(t)
	l.put(
		record(ref("", "pods", "shop", "pod", 1), history.Create, `{}`),
		record(ref("", "nodes", "", "node", 1), history.Create, `{}`),
		record(ref("", "services", "shop", "service", 1), history.Create, `{}`),
		record(ref("serving.knative.dev", "services", "shop", "knative", 1), history.Create, `{}`),
		record(ref("apps", "deployments", "shop", "deployment", 1), history.Create, `{}`),
		record(ref("example.com", "widgets", "shop", "widget", 1), history.Create, `{}`),
	)
	for _, c := range []struct {
		types, group string
		want         []string
	}{
		{"pods", "", []string{"pod"}},
		{"po", "", []string{"pod"}},
		{"Pod", "", []string{"pod"}},
		{"PODS", "", []string{"pod"}},
		{"pods.v1", "", []string{"pod"}},
		{"deploy", "", []string{"deployment"}},
		{"deployments.apps", "", []string{"deployment"}},
		{"Deployment.v1.apps", "", []string{"deployment"}},
		{"deployments.extensions", "", nil},
		{"services", "", []string{"service", "knative"}},
		{"services.serving.knative.dev", "", []string{"knative"}},
		{"services", "serving.knative.dev", []string{"knative"}},
		{"services", query.CoreGroup, []string{"service"}},
		{"nodes", "", []string{"node"}}, // not the widgets, whose short name is nodes
		{"po,deploy", "", []string{"pod", "deployment"}},
		{"po,pods,unknown", "", []string{"pod"}},
		{"", "apps", []string{"deployment"}},
		{"", "unknown.example.com", nil},
		{"unknown", "", nil},
		{"pod", "apps", nil},
		{",", "", nil},
		{".v1", "", nil},
		{"", "", []string{"pod", "node", "service", "knative", "deployment", "widget"}},
	} {
		q := query.Timeline{Group: c.group, Limit: 10}
		if c.types != "" {
			q.Types = strings.Split(c.types, ",")
		}
		page, err := l.service(query.Options{}).Timeline(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if got := names(page); !slices.Equal(got, c.want) {
			t.Errorf("types %q, group %q: got %v, want %v", c.types, c.group, got, c.want)
		}
		if page.Total != len(c.want) || page.More {
			t.Errorf("types %q: total %d, more %v", c.types, page.Total, page.More)
		}
	}
}

func TestAQueryEndsWithItsContext(t *testing.T) {
	l := newLog(t)
	fill(l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.service(query.Options{}).Timeline(ctx, query.Timeline{Limit: 10}); !errors.Is(err, context.Canceled) {
		t.Errorf("timeline: %v", err)
	}
	o := query.Object{Namespace: "shop", Type: "pods", Name: "web-01", Limit: 10}
	if _, err := l.service(query.Options{}).Object(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("object: %v", err)
	}
}

func TestManyAskWhileRecordsArrive(t *testing.T) {
	l := newLog(t)
	fill(l)
	s := l.service(query.Options{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 20 {
				page, err := s.Timeline(t.Context(), query.Timeline{Limit: 30})
				if err != nil || len(page.Versions) < 22 || page.Total < len(page.Versions) {
					t.Errorf("%d of %d versions, %v", len(page.Versions), page.Total, err)
				}
				h, err := s.Object(t.Context(), query.Object{Namespace: "shop", Type: "po", Name: "web-03", Limit: 5, Descendants: true})
				if err != nil || len(h.Own.Versions) != 2 {
					t.Errorf("%d versions, %v", len(h.Own.Versions), err)
				}
			}
		})
	}
	for i := range 50 {
		r := record(ref("", "pods", "shop", fmt.Sprintf("late-%d", i), 1), history.Create, `{}`)
		if err := l.Append(t.Context(), &history.Batch{Records: []*history.Record{r}}); err != nil {
			t.Error(err)
		}
	}
	asking.Wait()
}
