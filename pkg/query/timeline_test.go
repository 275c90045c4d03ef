package query_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// fill appends eleven pods, each with a create and an update.
func fill(l *log) {
	for i := range 11 {
		o := ref("", "pods", "shop", fmt.Sprintf("web-%02d", i), 1)
		l.put(record(o, history.Create, `{"spec":{"a":1}}`), record(o, history.Update, `{"spec":{"a":2}}`))
	}
}

func TestTimeline_PagesAreComplete(t *testing.T) {
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
					t.Errorf("limit %d: got total %d, exact %v, want 22, exact", limit, page.Total, page.Exact)
				}
				for _, v := range page.Versions {
					got = append(got, v.Time)
				}
				if !page.More {
					break
				}
				if len(page.Versions) != limit {
					t.Fatalf("limit %d: got a page of %d versions before the last one", limit, len(page.Versions))
				}
				q.After = page.Next
			}
			if order == history.NewestFirst {
				slices.Reverse(got)
			}
			if len(got) != 22 || !slices.IsSortedFunc(got, time.Time.Compare) || len(slices.Compact(got)) != 22 {
				t.Errorf("order %d, limit %d: got %d records, sorted %t, want 22, sorted",
					order, limit, len(got), slices.IsSortedFunc(got, time.Time.Compare))
			}
		}
	}
}

func TestTimeline_CountingIsBounded(t *testing.T) {
	l := newLog(t)
	fill(l)
	page, err := l.service(query.Options{Effort: 5}).Timeline(t.Context(), query.Timeline{Limit: 2})
	if err != nil || page.Total != 5 || page.Exact {
		t.Errorf("got total %d, exact %v, error %v, want 5, not exact", page.Total, page.Exact, err)
	}
	page, err = l.service(query.Options{Effort: 5}).Timeline(t.Context(), query.Timeline{Limit: 10})
	if err != nil || page.Total != 11 || page.Exact {
		t.Errorf("got total %d, exact %v, error %v, want the page's 10 and one more", page.Total, page.Exact, err)
	}
}

func TestTimeline_PageIsBoundedInBytes(t *testing.T) {
	l := newLog(t)
	o := ref("", "pods", "shop", "web", 1)
	for range 4 {
		l.put(record(o, history.Update, `{"spec":"`+strings.Repeat("x", 1000)+`"}`))
	}
	page, err := l.service(query.Options{PageBytes: 2500}).Timeline(t.Context(), query.Timeline{Limit: 10})
	if err != nil || len(page.Versions) != 2 || !page.More || page.Total != 4 {
		t.Errorf("got %d versions, more %v, total %d, error %v, want 2 of 4",
			len(page.Versions), page.More, page.Total, err)
	}
	// An object that is larger than a page has a page of its own. Otherwise it
	// could not be read.
	page, err = l.service(query.Options{PageBytes: 10}).Timeline(t.Context(), query.Timeline{Limit: 10})
	if err != nil || len(page.Versions) != 1 || !page.More {
		t.Errorf("got %d versions, more %v, error %v, want 1, more", len(page.Versions), page.More, err)
	}
}

func TestTimeline_TypesAreResolvedByCatalogue(t *testing.T) {
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
			t.Errorf("types %q: got total %d, more %v, want %d and no more",
				c.types, page.Total, page.More, len(c.want))
		}
	}
}

func TestService_EndsWithContext(t *testing.T) {
	l := newLog(t)
	fill(l)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.service(query.Options{}).Timeline(ctx, query.Timeline{Limit: 10})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("timeline: got error %v, want Canceled", err)
	}
	o := query.Object{Namespace: "shop", Type: "pods", Name: "web-01", Limit: 10}
	if _, err := l.service(query.Options{}).Object(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("object: got error %v, want Canceled", err)
	}
}

func TestService_IsSafeForConcurrentUse(t *testing.T) {
	l := newLog(t)
	fill(l)
	s := l.service(query.Options{})
	var asking sync.WaitGroup
	for range 4 {
		asking.Go(func() {
			for range 20 {
				page, err := s.Timeline(t.Context(), query.Timeline{Limit: 30})
				if err != nil || len(page.Versions) < 22 || page.Total < len(page.Versions) {
					t.Errorf("timeline: got %d of %d versions, error %v, want at least 22",
						len(page.Versions), page.Total, err)
				}
				h, err := s.Object(t.Context(),
					query.Object{Namespace: "shop", Type: "po", Name: "web-03", Limit: 5, Descendants: true})
				if err != nil || len(h.Own.Versions) != 2 {
					t.Errorf("object: got %d versions, error %v, want 2", len(h.Own.Versions), err)
				}
			}
		})
	}
	for i := range 50 {
		r := record(ref("", "pods", "shop", fmt.Sprintf("late-%d", i), 1), history.Create, `{}`)
		if err := l.Append(t.Context(), &history.Batch{Versions: []history.NewVersion{{Record: r}}}); err != nil {
			t.Errorf("append: got error %v, want none", err)
		}
	}
	asking.Wait()
}

// countingReader counts how often the catalogue is read.
type countingReader struct {
	query.Reader
	catalogue int
}

func (c *countingReader) Resources(ctx context.Context) ([]history.Resource, error) {
	c.catalogue++
	return c.Reader.Resources(ctx)
}

func TestService_ReadsCatalogueOncePerQuestion(t *testing.T) {
	l := newLog(t)
	fill(l)
	reader := &countingReader{Reader: l.Store}
	s := query.New(reader, query.Options{
		IgnoreRules: func() []history.IgnoreRule { return []history.IgnoreRule{{Namespaces: []string{"shop"}}} },
	})
	for name, ask := range map[string]func() error{
		"timeline": func() error {
			_, err := s.Timeline(t.Context(), query.Timeline{Types: []string{"po"}, Limit: 1})
			return err
		},
		"object": func() error {
			_, err := s.Object(t.Context(),
				query.Object{Namespace: "shop", Type: "po", Name: "web-01", Limit: 1, Descendants: true})
			return err
		},
		"gaps": func() error { _, err := s.Gaps(t.Context(), query.Gaps{Types: []string{"po"}}); return err },
	} {
		reader.catalogue = 0
		if err := ask(); err != nil || reader.catalogue != 1 {
			t.Errorf("%s: read the catalogue %d times, error %v, want once", name, reader.catalogue, err)
		}
	}
}

// TestTimeline_PreviousIsVersionBefore compares the previous objects of updates
// with the versions of the log, in both orders and with a selector.
func TestTimeline_PreviousIsVersionBefore(t *testing.T) {
	l := newLog(t)
	version := func(name string, n int, verb history.Verb) *history.Record {
		return record(ref("", "pods", "shop", name, 1), verb, fmt.Sprintf(`{"spec":{"n":%d}}`, n))
	}
	l.put(version("a", 1, history.Create), version("b", 1, history.Create), version("a", 2, history.Update),
		version("b", 2, history.Update), version("a", 3, history.Update), version("b", 2, history.Delete))
	want := map[string]string{"a#2": `{"spec":{"n":1}}`, "a#3": `{"spec":{"n":2}}`, "b#2": `{"spec":{"n":1}}`}
	expression, err := selector.Compile("object.spec.n > 1")
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range []query.Timeline{
		{Order: history.OldestFirst},
		{Order: history.NewestFirst},
		{Selector: &selector.Selector{Expression: expression}},
		{Endings: true},
	} {
		q.Previous, q.Limit = true, 10
		page, err := l.service(query.Options{}).Timeline(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, v := range page.Versions {
			if v.Previous != nil {
				got[fmt.Sprintf("%s#%d", v.Ref.Name, v.Revision)] = string(v.Previous)
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", q, got, want)
		}
	}
	page, err := l.service(query.Options{}).Timeline(t.Context(), query.Timeline{Previous: true, Bare: true, Limit: 10})
	if err != nil || slices.ContainsFunc(page.Versions, func(v query.Version) bool { return v.Previous != nil }) {
		t.Errorf("without objects: got %+v, error %v, want no previous objects", page.Versions, err)
	}
}
