package query_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// document returns a version of a document. A deletion has no content.
func document(r schema.GroupResource, name string, verb history.Verb, content string, since time.Time) *history.Record {
	v := &history.Record{
		Ref:     history.ObjectRef{Group: r.Group, Resource: r.Resource, Name: name, UID: types.UID(name)},
		Version: "v1", Kind: "Document", Verb: verb, Initial: since.IsZero(), InferredSince: since,
		RV: history.VersionOfDocument([]byte(content), "").String(),
	}
	if verb != history.Delete {
		v.Object = history.EncodeDocument(name, []byte(content))
	}
	return v
}

// catalogued is a log with documents:
//
//   - "version" changes.
//   - "apis/a/v1" is deleted and served again.
//   - "apis/b/v1" can't be read at last.
type catalogued struct {
	*log

	times []time.Time // of the records
}

func newCatalogued(t *testing.T) *catalogued {
	t.Helper()
	l := newLog(t)
	documents, unread, seen := history.Documents(), history.UnreadDocuments(), l.now
	records := []*history.Record{
		document(documents, "version", history.Create, `{"v":1}`, time.Time{}),
		document(documents, "apis/a/v1", history.Create, `{"a":1}`, time.Time{}),
		document(documents, "apis/b/v1", history.Create, `{"b":1}`, time.Time{}),
		document(documents, "version", history.Update, `{"v":2}`, seen.Add(2500*time.Millisecond)),
		document(documents, "apis/a/v1", history.Delete, "", seen.Add(3500*time.Millisecond)),
		document(documents, "apis/a/v1", history.Create, `{"a":1}`, seen.Add(4500*time.Millisecond)),
		document(unread, "apis/b/v1", history.Create, `{"reason":"server_error","detail":"down"}`,
			seen.Add(5*time.Second)),
	}
	l.put(records...)
	c := &catalogued{log: l}
	for _, r := range records {
		c.times = append(c.times, r.Time)
	}
	gap := history.Gap{
		Group: documents.Group, Resource: documents.Resource, Start: c.times[3], End: c.times[4],
		Reason: history.GapRestarted,
	}
	if err := l.Append(t.Context(), &history.Batch{Gaps: []history.Gap{gap}}); err != nil {
		t.Fatal(err)
	}
	return c
}

// documentNames returns the names of documents, with "!" before unread ones.
func documentNames(c query.Catalogue) (all []string) {
	for _, d := range c.Documents {
		all = append(all, d.Ref.Name)
	}
	for _, u := range c.Unread {
		all = append(all, "!"+u.Ref.Name)
	}
	return all
}

func TestCatalogue_HasDocumentsOfItsTime(t *testing.T) {
	l := newCatalogued(t)
	s := l.service(query.Options{LastRead: func(context.Context) (time.Time, error) { return l.times[6], nil }})
	for _, tt := range []struct {
		at      time.Time
		names   []string
		version string
		gaps    int
	}{
		{l.times[2], []string{"apis/a/v1", "apis/b/v1", "version"}, `{"v":1}`, 0},
		{l.times[3], []string{"apis/a/v1", "apis/b/v1", "version"}, `{"v":2}`, 1},
		{l.times[4].Add(1), []string{"apis/b/v1", "version"}, `{"v":2}`, 1},
		{time.Time{}, []string{"apis/a/v1", "apis/b/v1", "version", "!apis/b/v1"}, `{"v":2}`, 1},
	} {
		got, err := s.Catalogue(t.Context(), tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(documentNames(got), tt.names) || string(got.Version) != tt.version ||
			!got.Read.Equal(l.times[6]) {
			t.Errorf("at %s: got %q, version %s, read %s, want %q, version %s, read %s",
				tt.at, documentNames(got), got.Version, got.Read, tt.names, tt.version, l.times[6])
		}
		if tt.at.Equal(l.times[3]) && len(got.Gaps) != tt.gaps {
			t.Errorf("at %s: got gaps %+v, want %d", tt.at, got.Gaps, tt.gaps)
		}
	}
	first, err := s.Catalogue(t.Context(), l.times[2])
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []time.Time{l.times[4], {}, l.times[3]} {
		if d := first.Documents[i]; (d.Until == nil) != want.IsZero() || d.Until != nil && !d.Until.Time.Equal(want) {
			t.Errorf("%s: got next version %+v, want that of %s", d.Ref.Name, d.Until, want)
		}
	}
	var wrong *query.TimeError
	if _, err := s.Catalogue(t.Context(), l.times[0].Add(-1)); history.CodeOf(err) != history.NotFound ||
		!errors.As(err, &wrong) {
		t.Errorf("before the first read: got error %v, want not found", err)
	}
	if _, err := s.Catalogue(t.Context(), time.Now().Add(time.Hour)); history.CodeOf(err) != history.Invalid {
		t.Errorf("in the future: got error %v, want an invalid one", err)
	}
}

func TestDocument_HasContentOfItsTime(t *testing.T) {
	l := newCatalogued(t)
	s := l.service(query.Options{})
	hash := func(content string) string { return history.VersionOfDocument([]byte(content), "").Hash }
	for _, tt := range []struct {
		q    query.DocumentQuery
		want string // the content, or the code of the error
	}{
		{query.DocumentQuery{Name: "version"}, `{"v":2}`},
		{query.DocumentQuery{Name: "version", At: l.times[2]}, `{"v":1}`},
		{query.DocumentQuery{Name: "version", Hash: hash(`{"v":1}`)}, `{"v":1}`},
		{query.DocumentQuery{Name: "version", Hash: hash(`{"v":3}`)}, "not_found"},
		{query.DocumentQuery{Name: "apis/a/v1", At: l.times[4]}, "not_found"},
		{query.DocumentQuery{Name: "apis/a/v1"}, `{"a":1}`},
		{query.DocumentQuery{Name: "unknown"}, "not_found"},
	} {
		_, content, err := s.Document(t.Context(), tt.q)
		got := string(history.CodeOf(err))
		if err == nil {
			body, err := content()
			if err != nil {
				t.Fatal(err)
			}
			got = string(body)
		}
		if got != tt.want {
			t.Errorf("%+v: got %s (%v), want %s", tt.q, got, err, tt.want)
		}
	}
}

func TestDocumentVersions_AreTheHistory(t *testing.T) {
	l := newCatalogued(t)
	s := l.service(query.Options{})
	for _, tt := range []struct {
		q     query.DocumentVersions
		verbs string // of the versions, with "until" if there is a next one
		more  bool
	}{
		{query.DocumentVersions{Name: "apis/a/v1", Limit: 9}, "create until, delete until, create", false},
		{query.DocumentVersions{Name: "apis/a/v1", Limit: 1}, "create until", true},
		{query.DocumentVersions{Name: "apis/a/v1", Limit: 9, Start: l.times[2]}, "delete until, create", false},
		{query.DocumentVersions{Name: "apis/a/v1", Limit: 9, End: l.times[4]}, "create until", false},
	} {
		page, err := s.DocumentVersions(t.Context(), tt.q)
		if err != nil {
			t.Fatal(err)
		}
		var verbs []string
		for _, v := range page.Versions {
			if verbs = append(verbs, v.Verb.String()); v.Until != nil {
				verbs[len(verbs)-1] += " until"
			}
		}
		if got := strings.Join(verbs, ", "); got != tt.verbs || page.More != tt.more {
			t.Errorf("%+v: got %s, more %t, want %s, more %t", tt.q, got, page.More, tt.verbs, tt.more)
		}
	}
	_, err := s.DocumentVersions(t.Context(), query.DocumentVersions{Name: "unknown", Limit: 1})
	if history.CodeOf(err) != history.NotFound {
		t.Errorf("unknown document: got error %v, want not found", err)
	}
}

// What a caller may not get is as if it were not recorded.
func TestAs_HidesDocuments(t *testing.T) {
	l := newCatalogued(t)
	s := l.service(query.Options{})
	for _, tt := range []struct {
		paths []string
		want  []string
	}{
		{nil, nil},
		{[]string{"/version"}, []string{"version"}},
		{[]string{"/apis/b/v1"}, []string{"apis/b/v1", "!apis/b/v1"}},
	} {
		caller := newRights()
		for _, path := range tt.paths {
			caller.allowed["get  /"+path] = true
		}
		got, err := s.As(caller).Catalogue(t.Context(), time.Time{})
		if (err == nil) != (len(tt.want) > 0) || !slices.Equal(documentNames(got), tt.want) ||
			(got.Version != nil) != slices.Contains(tt.want, "version") ||
			len(tt.want) == 0 && len(got.Gaps) > 0 {
			t.Errorf("right to get %q: got %q, version %s, gaps %+v, error %v, want %q",
				tt.paths, documentNames(got), got.Version, got.Gaps, err, tt.want)
		}
		_, _, err = s.As(caller).Document(t.Context(), query.DocumentQuery{Name: "version"})
		_, err2 := s.As(caller).DocumentVersions(t.Context(), query.DocumentVersions{Name: "version", Limit: 1})
		if allowed := slices.Contains(tt.paths, "/version"); (err == nil) != allowed || (err2 == nil) != allowed ||
			!allowed && (history.CodeOf(err) != history.NotFound || err.Error() != err2.Error() ||
				!strings.Contains(err.Error(), "is not recorded")) {
			t.Errorf("right to get %q: got errors %v and %v, want those of an unknown document: %t",
				tt.paths, err, err2, !allowed)
		}
	}
	caller := newRights()
	caller.fail = errors.New("away")
	var unknown *query.RightsError
	if _, err := s.As(caller).Catalogue(t.Context(), time.Time{}); !errors.As(err, &unknown) {
		t.Errorf("unknown rights: got error %v, want a RightsError", err)
	}
}

// A caller who may read nothing must not find out when something was recorded:
// the catalogue of each time is the same.
func TestAs_HidesWhetherCatalogueWasRecorded(t *testing.T) {
	l := newCatalogued(t)
	s := l.service(query.Options{}).As(newRights())
	for _, at := range append([]time.Time{l.times[0].Add(-1)}, l.times...) {
		got, err := s.Catalogue(t.Context(), at)
		var none *query.TimeError
		want := "the catalogue was not recorded at " + at.UTC().Format(time.RFC3339Nano)
		if !errors.As(err, &none) || err.Error() != want || len(got.Gaps) > 0 || !got.Read.IsZero() {
			t.Errorf("at %s: got %+v, error %v, want error %q", at, got, err, want)
		}
	}
}

// Documents are in no other answer.
func TestService_HidesDocuments(t *testing.T) {
	l := newCatalogued(t)
	pod := record(ref("", "pods", "shop", "web", 1), history.Create, `{}`)
	l.put(pod)
	s := l.service(query.Options{})
	timeline, err := s.Timeline(t.Context(), query.Timeline{Limit: 1})
	if err != nil || timeline.Total != 1 || timeline.Count != 1 || timeline.More || len(timeline.Gaps) > 0 {
		t.Errorf("timeline: got %+v, error %v, want one record and no gap", timeline, err)
	}
	for _, q := range []query.Timeline{
		{Limit: 9, Types: []string{"documents"}},
		{Limit: 9, Group: history.Documents().Group},
		{Limit: 9, Namespaces: []history.NamespaceScope{history.ClusterScoped}},
		{Limit: 9, Filter: history.Filter{Name: "version"}},
		{Limit: 9, Filter: history.Filter{UID: "version"}},
	} {
		page, err := s.Timeline(t.Context(), q)
		if err != nil || page.Count > 0 || page.Total > 0 || len(page.Gaps) > 0 {
			t.Errorf("%+v: got %+v, error %v, want nothing", q, page, err)
		}
	}
	state, err := s.State(t.Context(), query.State{Limit: 9, At: pod.Time})
	if err != nil || len(state.Versions) != 1 || len(state.Gaps) > 0 {
		t.Errorf("state: got %+v, error %v, want one object and no gap", state, err)
	}
	compared, err := s.Compare(t.Context(), query.Compare{Limit: 9, From: l.times[0], To: pod.Time})
	if err != nil || len(compared.Differences) != 1 {
		t.Errorf("comparison: got %+v, error %v, want one difference", compared.Differences, err)
	}
	gaps, err := s.Gaps(t.Context(), query.Gaps{})
	if err != nil || len(gaps) > 0 {
		t.Errorf("gaps: got %+v, error %v, want none", gaps, err)
	}
	sight, err := s.Resources(t.Context())
	if err != nil || slices.ContainsFunc(sight.Resources, func(r history.Resource) bool {
		return history.IsReserved(r.GroupResource())
	}) {
		t.Errorf("catalogue: got %+v, error %v, want no reserved resource", sight.Resources, err)
	}
}
