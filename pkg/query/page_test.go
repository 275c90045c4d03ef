package query_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// fillLarge appends more versions of one pod, and Events regarding it, than are
// read at a time.
func fillLarge(l *log) {
	web := ref("", "pods", "shop", "web", 1)
	for i := range 400 {
		l.put(record(web, history.Update, fmt.Sprintf(`{"spec":{"a":%d,"b":%q}}`, i, strings.Repeat("x", i%40*1000))))
		if i%2 == 0 {
			l.put(event(fmt.Sprint("web.", i), web, web.UID))
		}
	}
}

// text describes a version.
func text(v *query.Version) string {
	return fmt.Sprint(v.Time.UnixNano(), v.Ref.Name, v.Summary, v.Problem, len(v.Object))
}

// texts describes the versions of a page.
func texts(p query.Page) (all []string) {
	for i := range p.Versions {
		all = append(all, text(&p.Versions[i]))
	}
	return all
}

var errEnough = errors.New("enough")

// The versions that Each receives are those of the page, also if it stops and
// continues from there.
func TestTimeline_EachReceivesThePage(t *testing.T) {
	l := newLog(t)
	fillLarge(l)
	s := l.service(query.Options{})
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		for i, limit := range []int{1, 127, 128, 129, 599, 600, 1000} {
			if testing.Short() && (i+int(order))%2 == 0 {
				continue
			}
			q := query.Timeline{Order: order, Limit: limit}
			want, err := s.Timeline(t.Context(), q)
			if err != nil || len(want.Versions) != min(limit, 600) || want.More != (limit < 600) || want.Total != 600 {
				t.Fatalf("limit %d: got %d versions, more %t, total %d, error %v",
					limit, len(want.Versions), want.More, want.Total, err)
			}
			var got []string
			q.Each = func(v *query.Version) error { got = append(got, text(v)); return nil }
			page, err := s.Timeline(t.Context(), q)
			if err != nil || page.Versions != nil || page.Count != len(want.Versions) ||
				!page.End.Equal(want.End.Time) || page.More != want.More {
				t.Errorf("limit %d: got %+v, error %v, want a page without versions that is like %+v",
					limit, page, err, want)
			}
			if !slices.Equal(got, texts(want)) {
				t.Errorf("order %d, limit %d: got %d versions, want the %d of the page",
					order, limit, len(got), len(want.Versions))
			}
			got = nil
			for q.Rest = want.End; len(got) < page.Count; {
				n := 0
				q.Limit = page.Count - len(got)
				q.Each = func(v *query.Version) error {
					if n++; n > 50 {
						return errEnough
					}
					got, q.After = append(got, text(v)), history.Cursor{Time: v.Time}
					return nil
				}
				if _, err := s.Timeline(t.Context(), q); err != nil && !errors.Is(err, errEnough) {
					t.Fatal(err)
				}
			}
			if !slices.Equal(got, texts(want)) {
				t.Errorf("order %d, limit %d, in parts: got %d versions, want the %d of the page",
					order, limit, len(got), len(want.Versions))
			}
		}
	}
}

func TestObject_EachReceivesBothPages(t *testing.T) {
	l := newLog(t)
	fillLarge(l)
	s := l.service(query.Options{})
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		q := query.Object{
			Namespace: history.ParseNamespaceScope("shop"), Type: "po", Name: "web", Order: order, Limit: 300,
		}
		found, err := s.Object(t.Context(), q)
		if err != nil || len(found.Own.Versions) != 300 || !found.Own.More ||
			len(found.Related.Versions) != 200 || found.Related.More {
			t.Fatalf("got %d own versions and %d Events, error %v, want 300 and 200",
				len(found.Own.Versions), len(found.Related.Versions), err)
		}
		want := slices.Concat(texts(found.Own), texts(found.Related))
		var got []string
		q.Each = func(of query.List, v *query.Version) error {
			if of.Resource != "pods" || of.Related != (v.Ref.Resource == "events") {
				t.Errorf("%s: got list %+v, want its own", v.Ref, of)
			}
			got = append(got, text(v))
			return nil
		}
		if _, err = s.Object(t.Context(), q); err != nil || !slices.Equal(got, want) {
			t.Errorf("order %d: got %d versions, error %v, want the %d of both pages", order, len(got), err, len(want))
		}
		got = nil
		for q.Rest = (&query.Rest{Own: 300, Related: 200}); len(got) < len(want); {
			n := 0
			q.Each = func(of query.List, v *query.Version) error {
				if n++; n > 70 {
					return errEnough
				}
				got = append(got, text(v))
				if of.Related {
					q.Rest.Related--
					q.RelatedAfter = history.Cursor{Time: v.Time}
				} else {
					q.Rest.Own--
					q.After = history.Cursor{Time: v.Time}
				}
				return nil
			}
			rest := *q.Rest
			read := q
			read.Rest = &rest
			if _, err := s.Object(t.Context(), read); err != nil && !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("order %d, in parts: got %d versions, want the %d of both pages", order, len(got), len(want))
		}
	}
}
