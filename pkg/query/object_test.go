package query_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

func ask(t *testing.T, s *query.Service, q query.Object) query.ObjectHistory {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	h, err := s.Object(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestObject_HasAllIncarnations(t *testing.T) {
	l := newLog(t)
	first := ref("", "pods", "shop", "web", 1)
	second := ref("", "pods", "shop", "web", 2)
	other := ref("", "pods", "bank", "web", 1)
	l.put(
		record(first, history.Create, `{}`), record(other, history.Create, `{}`), record(first, history.Delete, `{}`),
		record(second, history.Create, `{}`), record(second, history.Update, `{"a":1}`),
		event("one", first, first.UID), event("two", second, second.UID), event("none", second, ""),
		event("elsewhere", other, other.UID), event("before", first, "uid-from-before-recording-began"),
	)
	s := l.service(query.Options{})
	h := ask(t, s, query.Object{Namespace: "shop", Type: "po", Name: "web"})
	if h.Resource != "pods" || len(h.Own.Versions) != 4 || h.Own.Total != 4 {
		t.Errorf("got %s with %d of %d versions, want pods with 4 of 4", h.Resource, len(h.Own.Versions), h.Own.Total)
	}
	if got := names(h.Related); !slices.Equal(got, []string{"one", "two", "none", "before"}) || h.Related.Total != 4 {
		t.Errorf("Events: got %v of %d, want 4", got, h.Related.Total)
	}
	h = ask(t, s, query.Object{Namespace: "shop", Type: "po", Name: "web", UID: second.UID})
	if got := names(h.Related); len(h.Own.Versions) != 2 || !slices.Equal(got, []string{"two", "none"}) {
		t.Errorf("one incarnation: got %d versions, Events %v, want 2 and [two none]", len(h.Own.Versions), got)
	}
	h = ask(t, s, query.Object{Namespace: "shop", Type: "po", Name: "web", Revisions: []uint64{2}})
	if len(h.Own.Versions) != 2 || len(h.Related.Versions) != 0 {
		t.Errorf("revision 2: got %d versions, %d Events, want 2 and 0", len(h.Own.Versions), len(h.Related.Versions))
	}
	h = ask(t, s, query.Object{Namespace: "shop", Type: "gadgets", Name: "web"})
	if len(h.Own.Versions)+len(h.Related.Versions) != 0 {
		t.Errorf("an unknown type: got %d versions, %d Events, want none", len(h.Own.Versions), len(h.Related.Versions))
	}
}

func TestObject_ClusterScopedHasEventsOfAllNamespaces(t *testing.T) {
	l := newLog(t)
	node := ref("", "nodes", "", "node-1", 1)
	// A kubelet writes the node's name into the UID.
	l.put(record(node, history.Create, `{}`), event("ready", node, "node-1"), event("lost", node, node.UID))
	h := ask(t, l.service(query.Options{}), query.Object{Namespace: history.ClusterScoped, Type: "no", Name: "node-1"})
	if got := names(h.Related); len(h.Own.Versions) != 1 || !slices.Equal(got, []string{"ready", "lost"}) {
		t.Errorf("got %d versions, Events %v, want 1 and [ready lost]", len(h.Own.Versions), got)
	}
}

// Events may be recorded under either of the two groups that serve them.
func TestObject_HasGapsAndRulesOfEventsOfEitherGroup(t *testing.T) {
	for _, group := range []string{"", "events.k8s.io"} {
		l := newLog(t)
		resource := history.Resource{Group: group, Version: "v1", Plural: "events", Kind: "Event", Namespaced: true}
		if err := l.Register(t.Context(), resource); err != nil {
			t.Fatal(err)
		}
		gap := history.Gap{Group: group, Resource: "events", Start: l.now, Reason: history.GapForbidden}
		if err := l.Append(t.Context(), &history.Batch{Gaps: []history.Gap{gap}}); err != nil {
			t.Fatal(err)
		}
		l.put(record(ref("", "pods", "shop", "web", 1), history.Create, `{}`))
		rules := []history.IgnoreRule{{Resource: resource.GroupResource(), Namespaces: []string{"shop"}}}
		h := ask(t, l.service(query.Options{IgnoreRules: func() []history.IgnoreRule { return rules }}),
			query.Object{Namespace: "shop", Type: "po", Name: "web"})
		if len(h.Gaps) != 1 || len(h.Ignored) != 1 {
			t.Errorf("group %q: got gaps %v, rules %v, want one of each", group, h.Gaps, h.Ignored)
		}
	}
}

// An owner that was not observed, of any resource, may connect the object to
// further descendants.
func TestObject_WithDescendantsHasGapsOfAllOwnableResources(t *testing.T) {
	l := newLog(t)
	var gaps []history.Gap
	for _, r := range []history.Resource{
		{Group: "apps", Version: "v1", Plural: "replicasets", Kind: "ReplicaSet", Namespaced: true},
		{Version: "v1", Plural: "nodes", Kind: "Node"},
		{Version: "v1", Plural: "persistentvolumes", Kind: "PersistentVolume"},
	} {
		if err := l.Register(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		gaps = append(gaps, history.Gap{Group: r.Group, Resource: r.Plural, Start: l.now, Reason: history.GapExpired})
	}
	if err := l.Append(t.Context(), &history.Batch{Gaps: gaps}); err != nil {
		t.Fatal(err)
	}
	l.put(record(ref("apps", "deployments", "shop", "web", 1), history.Create, `{}`),
		record(ref("", "nodes", "", "n", 1), history.Create, `{}`))
	web := query.Object{Namespace: "shop", Type: "deploy", Name: "web"}
	n := query.Object{Namespace: history.ClusterScoped, Type: "nodes", Name: "n"}
	for _, tc := range []struct {
		of          query.Object
		descendants bool
		revisions   []uint64
		want        []string
	}{
		{web, true, nil, []string{"replicasets"}},
		{web, false, nil, nil},
		{web, true, []uint64{1}, nil},
		{n, true, nil, []string{"nodes", "persistentvolumes", "replicasets"}},
		{n, false, nil, []string{"nodes"}},
	} {
		q := tc.of
		q.Descendants, q.Revisions = tc.descendants, tc.revisions
		var got []string
		for _, g := range ask(t, l.service(query.Options{}), q).Gaps {
			got = append(got, g.Resource)
		}
		if slices.Sort(got); !slices.Equal(got, tc.want) {
			t.Errorf("%s, descendants %t, revisions %v: gaps: got %v, want %v",
				q.Name, q.Descendants, q.Revisions, got, tc.want)
		}
	}
}

func TestObject_ExcludesEventsOfOtherGroup(t *testing.T) {
	l := newLog(t)
	core, knative := ref("", "services", "shop", "web", 1), ref("serving.knative.dev", "services", "shop", "web", 2)
	l.put(
		record(core, history.Create, `{}`), record(knative, history.Create, `{}`),
		event("core", core, core.UID), event("knative", knative, knative.UID), event("unknown", core, ""),
	)
	s := l.service(query.Options{})
	for group, want := range map[string][]string{
		query.CoreGroup: {"core", "unknown"}, "serving.knative.dev": {"knative", "unknown"},
		"": {"core", "knative", "unknown"},
	} {
		h := ask(t, s, query.Object{Namespace: "shop", Type: "services", Name: "web", Group: group})
		if got := names(h.Related); !slices.Equal(got, want) || h.Related.Total != len(want) {
			t.Errorf("group %q: Events: got %v of %d, want %v", group, got, h.Related.Total, want)
		}
	}
}

// rollout appends a Deployment, its ReplicaSets and their pods, and an Event
// regarding each.
func rollout(l *log, replicaSets, pods int) (deployment history.ObjectRef, events []string) {
	deployment = ref("apps", "deployments", "shop", "web", 1)
	addEvent := func(o history.ObjectRef) {
		events = append(events, "about-"+o.Name)
		l.put(event("about-"+o.Name, o, o.UID))
	}
	l.put(record(deployment, history.Create, `{}`))
	addEvent(deployment)
	for i := range replicaSets {
		set := ref("apps", "replicasets", "shop", fmt.Sprintf("web-%d", i), 1)
		l.put(owned(set, deployment))
		addEvent(set)
		for j := range pods {
			pod := ref("", "pods", "shop", fmt.Sprintf("web-%d-%d", i, j), 1)
			l.put(owned(pod, set), record(pod, history.Delete, `{}`))
			addEvent(pod)
		}
	}
	return deployment, events
}

func TestObject_WithDescendantsHasTheirEvents(t *testing.T) {
	l := newLog(t)
	deployment, want := rollout(l, 2, 3)
	stranger := ref("", "pods", "shop", "web-0-0", 2) // a pod with the same name and no owner
	l.put(record(stranger, history.Create, `{}`), event("about-a-stranger", stranger, stranger.UID))
	s := l.service(query.Options{})
	q := query.Object{Namespace: "shop", Type: "deploy", Name: "web"}
	if got := names(ask(t, s, q).Related); !slices.Equal(got, want[:1]) {
		t.Errorf("without descendants: got %v, want %v", got, want[:1])
	}
	q.Descendants = true
	h := ask(t, s, q)
	if got := names(h.Related); !slices.Equal(got, want) || h.Related.Total != len(want) || !h.Related.Exact {
		t.Errorf("with descendants:\ngot  %v of %d\nwant %v", got, h.Related.Total, want)
	}
	if len(h.Own.Versions) != 1 {
		t.Errorf("own versions: got %d, want 1", len(h.Own.Versions))
	}
	q.UID = deployment.UID
	if got := names(ask(t, s, q).Related); !slices.Equal(got, want) {
		t.Errorf("by UID: got %v, want %v", got, want)
	}
	q.UID = "unknown"
	if got := names(ask(t, s, q).Related); len(got) != 0 {
		t.Errorf("by another UID: got %v, want none", got)
	}
}

func TestObject_PagesOfEventsAreComplete(t *testing.T) {
	l := newLog(t)
	_, want := rollout(l, 3, 4)
	s := l.service(query.Options{})
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		for _, limit := range []int{1, 3, 5, 15, 16} {
			q := query.Object{
				Namespace: "shop", Type: "deploy", Name: "web", Descendants: true, Order: order, Limit: limit,
			}
			var got []string
			for {
				h := ask(t, s, q)
				if h.Related.Total != len(want) {
					t.Errorf("limit %d: total: got %d, want %d", limit, h.Related.Total, len(want))
				}
				got = append(got, names(h.Related)...)
				if q.RelatedAfter = h.Related.Next; !h.Related.More {
					break
				}
			}
			if order == history.NewestFirst {
				slices.Reverse(got)
			}
			if !slices.Equal(got, want) {
				t.Errorf("order %d, limit %d:\ngot  %v\nwant %v", order, limit, got, want)
			}
		}
	}
}

func TestObject_EventsAreInInterval(t *testing.T) {
	l := newLog(t)
	pod := ref("", "pods", "shop", "web", 1)
	l.put(record(pod, history.Create, `{}`), event("early", pod, pod.UID), event("late", pod, pod.UID))
	h := ask(t, l.service(query.Options{}),
		query.Object{Namespace: "shop", Type: "pod", Name: "web", Start: l.now.Add(-time.Second / 2)})
	if got := names(h.Related); !slices.Equal(got, []string{"late"}) || len(h.Own.Versions) != 0 {
		t.Errorf("from start: got Events %v, %d versions, want [late] and 0", got, len(h.Own.Versions))
	}
	h = ask(t, l.service(query.Options{}), query.Object{Namespace: "shop", Type: "pod", Name: "web", End: l.now})
	if got := names(h.Related); !slices.Equal(got, []string{"early"}) || len(h.Own.Versions) != 1 {
		t.Errorf("until end: got Events %v, %d versions, want [early] and 1", got, len(h.Own.Versions))
	}
}

func TestObject_DescendantsAreBounded(t *testing.T) {
	l := newLog(t)
	_, want := rollout(l, 3, 4)
	q := query.Object{Namespace: "shop", Type: "deploy", Name: "web", Descendants: true}
	h := ask(t, l.service(query.Options{Descendants: 2}), q)
	if got := len(h.Related.Versions); got != 3 || h.Related.Exact {
		t.Errorf("got %d Events, exact %v, want 3, not exact", got, h.Related.Exact)
	}
	h = ask(t, l.service(query.Options{Effort: 4}), q)
	if got := len(h.Related.Versions); got >= len(want) || h.Related.Exact {
		t.Errorf("got %d Events, exact %v, want less than %d, not exact", got, h.Related.Exact, len(want))
	}
}

func TestObject_OwnershipMayBeCircularOrDeep(t *testing.T) {
	l := newLog(t)
	widget := func(i int) history.ObjectRef { return ref("example.com", "widgets", "shop", fmt.Sprintf("w-%d", i), 1) }
	l.put(owned(widget(0), widget(2)), owned(widget(1), widget(0)), owned(widget(2), widget(1)),
		event("two", widget(2), widget(2).UID))
	s := l.service(query.Options{})
	h := ask(t, s, query.Object{Namespace: "shop", Type: "widgets", Name: "w-0", Descendants: true})
	if got := names(h.Related); !slices.Equal(got, []string{"two"}) || !h.Related.Exact {
		t.Errorf("circular ownership: got Events %v, exact %v, want [two], exact", got, h.Related.Exact)
	}
	for i := 3; i < 20; i++ {
		l.put(owned(widget(i), widget(i-1)))
	}
	h = ask(t, s, query.Object{Namespace: "shop", Type: "widgets", Name: "w-3", UID: widget(3).UID, Descendants: true})
	if h.Related.Exact {
		t.Errorf("chain deeper than the bound: got exact %v, want false", h.Related.Exact)
	}
}

// The state at any time within the retention is known, also if the object last
// changed before the retention.
func TestObject_StateAtTimeIsNewestVersionBefore(t *testing.T) {
	l := newLog(t)
	web := ref("", "pods", "shop", "web", 1)
	l.put(record(web, history.Create, image("1")), record(web, history.Update, image("2")))
	l.now = l.now.Add(40 * 24 * time.Hour)
	l.put(record(ref("", "pods", "shop", "other", 1), history.Create, image("1")))
	if err := l.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, at := range []time.Time{l.now.Add(-10 * 24 * time.Hour), l.now} {
		q := query.Object{Namespace: "shop", Type: "pods", Name: "web", End: at, Order: history.NewestFirst, Limit: 1}
		found, err := l.service(query.Options{}).Object(t.Context(), q)
		if err != nil || len(found.Own.Versions) != 1 || string(found.Own.Versions[0].Object) != image("2") ||
			found.Own.Total != 1 {
			t.Errorf("at %v: got %+v, error %v, want the version with image 2", at, found.Own, err)
		}
	}
}

// Descendants are found although they last changed before the retention, both
// before and after the days are dropped.
func TestObject_DescendantsMayBeOlderThanRetention(t *testing.T) {
	l := newLog(t)
	web := ref("apps", "deployments", "shop", "web", 1)
	set, pod := ref("apps", "replicasets", "shop", "web-1", 1), ref("", "pods", "shop", "web-1-a", 1)
	l.put(record(web, history.Create, image("1")), owned(set, web), owned(pod, set))
	l.now = l.now.Add(15 * 24 * time.Hour)
	l.put(event("unhealthy", pod, pod.UID))
	for _, when := range []string{"before dropping", "after dropping"} {
		h := ask(t, l.service(query.Options{}),
			query.Object{Namespace: "shop", Type: "deployments", Name: "web", Descendants: true})
		if got := names(h.Related); !slices.Equal(got, []string{"unhealthy"}) || !h.Related.Exact {
			t.Errorf("%s: got Events %v, exact %v, want [unhealthy], exact", when, got, h.Related.Exact)
		}
		if err := l.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// ownerReferences are by UID.
func TestObject_WithoutUIDOwnsNothing(t *testing.T) {
	l := newLog(t)
	web, stranger := ref("", "pods", "shop", "web", 1), ref("", "pods", "shop", "stranger", 1)
	web.UID = ""
	l.put(record(web, history.Create, `{}`), record(stranger, history.Create, `{}`),
		event("own", web, ""), event("other", stranger, stranger.UID))
	h := ask(t, l.service(query.Options{}),
		query.Object{Namespace: "shop", Type: "pod", Name: "web", Descendants: true})
	if got := names(h.Related); !slices.Equal(got, []string{"own"}) || !h.Related.Exact {
		t.Errorf("got Events %v, exact %v, want [own], exact", got, h.Related.Exact)
	}
}

// The object has large versions, and large Events.
func TestObject_ListsShareBoundOfBytes(t *testing.T) {
	l := newLog(t)
	web := ref("", "pods", "shop", "web", 1)
	large := `{"spec":"` + strings.Repeat("x", 1000) + `"}`
	for i := range 4 {
		about := event(fmt.Sprint("about-", i), web, web.UID)
		about.Object = []byte(large)
		l.put(record(web, history.Update, large), about)
	}
	s := l.service(query.Options{PageBytes: 2500})
	q := query.Object{Namespace: "shop", Type: "pod", Name: "web", Limit: 10}
	var own, related []string
	for range 8 {
		h := ask(t, s, q)
		if n := len(h.Own.Versions) + len(h.Related.Versions); n > 3 {
			t.Errorf("large objects in one answer: got %d, want at most 3", n)
		}
		own, related = append(own, names(h.Own)...), append(related, names(h.Related)...)
		for page, after := range map[*query.Page]*history.Cursor{&h.Own: &q.After, &h.Related: &q.RelatedAfter} {
			if n := len(page.Versions); n > 0 {
				after.Time = page.Versions[n-1].Time
			}
		}
	}
	if len(own) != 4 || !slices.Equal(related, []string{"about-0", "about-1", "about-2", "about-3"}) {
		t.Errorf("got versions %v, Events %v, want 4 of each", own, related)
	}
}

// The type names two resources of one kind, so each Event is found twice.
func TestObject_EventIsCountedOnce(t *testing.T) {
	l := newLog(t)
	web := ref("", "services", "shop", "web", 1)
	l.put(record(web, history.Create, `{}`))
	for i := range 9 {
		l.put(event(fmt.Sprint("about-", i), web, web.UID))
	}
	for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
		for _, limit := range []int{1, 3, 20} {
			h := ask(t, l.service(query.Options{}),
				query.Object{Namespace: "shop", Type: "services", Name: "web", Limit: limit, Order: order})
			if h.Related.Total != 9 || !h.Related.Exact || len(h.Related.Versions) != min(limit, 9) {
				t.Errorf("order %v, limit %d: got %d of %d, exact %v, want %d of 9, exact",
					order, limit, len(h.Related.Versions), h.Related.Total, h.Related.Exact, min(limit, 9))
			}
		}
	}
}
