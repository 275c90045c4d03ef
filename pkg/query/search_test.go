package query_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/selector"
)

// expression returns a selector with an expression.
func expression(tb testing.TB, text string) *selector.Selector {
	tb.Helper()
	e, err := selector.Compile(text)
	if err != nil {
		tb.Fatal(err)
	}
	return &selector.Selector{Expression: e}
}

func labelSelector(tb testing.TB, text string) *selector.Selector {
	tb.Helper()
	l, err := selector.ParseLabels(text)
	if err != nil {
		tb.Fatal(err)
	}
	return &selector.Selector{Labels: l}
}

func fieldSelector(tb testing.TB, text string) *selector.Selector {
	tb.Helper()
	f, err := selector.ParseFields(text)
	if err != nil {
		tb.Fatal(err)
	}
	return &selector.Selector{Fields: f}
}

// decoded is a record with its decoded object, and the one before it.
type decoded struct {
	*history.Record
	object, old map[string]any
}

// at returns a value of an object as text, "" if there is none.
func at(object map[string]any, path ...string) string {
	var value any = object
	for _, field := range path {
		fields, _ := value.(map[string]any)
		value = fields[field]
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

// changed returns the paths that differ from the version before.
func (d *decoded) changed() (paths []string) {
	if d.old == nil {
		return nil
	}
	for _, c := range diff.Objects(d.old, d.object) {
		if path := c.Path.String(); path != "metadata.resourceVersion" {
			paths = append(paths, path)
		}
	}
	return paths
}

func (d *decoded) wroteBy(names ...string) bool {
	return slices.ContainsFunc(d.Managers, func(m history.Manager) bool { return slices.Contains(names, m.Name) })
}

// diverse appends versions with all that filters select, and returns them.
func diverse(l *log, rng *rand.Rand) (all []decoded) {
	l.t.Helper()
	newest := map[types.UID]map[string]any{}
	pick := func(from ...string) string { return from[rng.IntN(len(from))] }
	for i := range 200 {
		resource := pick("pods", "pods", "services", "nodes", "events")
		namespace := pick("a", "b", "c")
		if resource == "nodes" {
			namespace = ""
		}
		ref := ref("", resource, namespace, pick("x", "y", "z"), rng.IntN(2))
		ref.UID += types.UID("-" + namespace)
		object := map[string]any{
			"metadata": map[string]any{"name": ref.Name, "resourceVersion": fmt.Sprint(i)},
			"spec": map[string]any{
				"replicas": rng.IntN(4), "nodeName": pick("node-1", "node-2", ""),
				"items": []any{map[string]any{"name": "web", "image": pick("1", "2")}},
			},
			"status": map[string]any{"phase": pick("Running", "Pending")},
		}
		if rng.IntN(2) == 0 {
			object["metadata"].(map[string]any)["labels"] = map[string]any{
				"app": pick("web", "db"), "tier": pick("front", "back"),
			}
		}
		if resource == "events" {
			object["reason"], object["type"] = pick("BackOff", "Started"), pick("Normal", "Warning")
			object["involvedObject"] = map[string]any{"kind": pick("Pod", "Node"), "name": pick("x", "y")}
		}
		body, err := json.Marshal(object)
		if err != nil {
			l.t.Fatal(err)
		}
		object = map[string]any{}
		if err := json.Unmarshal(body, &object); err != nil {
			l.t.Fatal(err)
		}
		r := record(ref, []history.Verb{history.Create, history.Update, history.Delete}[min(rng.IntN(9), 2)],
			string(body))
		r.RV = fmt.Sprint(i)
		if rng.IntN(3) > 0 {
			r.Managers = []history.Manager{
				{Name: pick("kubelet", "helm", "kube-controller-manager"), Operation: "Update"},
			}
		}
		if rng.IntN(2) == 0 {
			r.Summary = &history.Summary{Text: "a summary"}
		}
		l.put(r)
		all = append(all, decoded{r, object, newest[ref.UID]})
		newest[ref.UID] = object
	}
	return all
}

// filterCase is a filter, and what it selects according to plain Go.
type filterCase struct {
	name  string
	query query.Timeline
	want  func(*decoded) bool
}

func selected(s *selector.Selector, want func(*decoded) bool) (query.Timeline, func(*decoded) bool) {
	return query.Timeline{Selector: s}, want
}

func filterCases(t *testing.T) (cases []filterCase) {
	t.Helper()
	add := func(name string, q query.Timeline, want func(*decoded) bool) {
		cases = append(cases, filterCase{name, q, want})
	}
	sel := func(name string, s *selector.Selector, want func(*decoded) bool) {
		q, want := selected(s, want)
		add(name, q, want)
	}
	isEvent := func(d *decoded) bool { return d.Ref.Resource == "events" }
	add("two namespaces", query.Timeline{Namespaces: []history.NamespaceScope{"a", "c"}}, func(d *decoded) bool {
		return d.Ref.Namespace == "a" || d.Ref.Namespace == "c"
	})
	add("one of a list", query.Timeline{Namespaces: []history.NamespaceScope{"b"}}, func(d *decoded) bool {
		return d.Ref.Namespace == "b"
	})
	add("a namespace and cluster-scoped",
		query.Timeline{Namespaces: []history.NamespaceScope{"a", history.ClusterScoped}}, func(d *decoded) bool {
			return d.Ref.Namespace == "a" || d.Ref.Namespace == ""
		})
	add("a namespace and all", query.Timeline{Namespaces: []history.NamespaceScope{"a", history.AllNamespaces}},
		func(*decoded) bool { return true })
	add("unknown namespaces", query.Timeline{Namespaces: []history.NamespaceScope{"d", "e"}}, func(*decoded) bool {
		return false
	})
	add("two namespaces of a type",
		query.Timeline{Types: []string{"po"}, Namespaces: []history.NamespaceScope{"a", "b", "d"}},
		func(d *decoded) bool {
			return d.Ref.Resource == "pods" && (d.Ref.Namespace == "a" || d.Ref.Namespace == "b")
		})
	add("verbs and managers", query.Timeline{Filter: history.Filter{
		Verbs: []history.Verb{history.Create, history.Delete}, Managers: []string{"helm", "kubelet"},
	}}, func(d *decoded) bool {
		return d.Verb != history.Update && d.wroteBy("helm", "kubelet")
	})
	sel("label", labelSelector(t, "app=web"), func(d *decoded) bool {
		return at(d.object, "metadata", "labels", "app") == "web"
	})
	sel("labels", labelSelector(t, "app in (web,db),tier!=back"), func(d *decoded) bool {
		return at(d.object, "metadata", "labels", "app") != "" && at(d.object, "metadata", "labels", "tier") != "back"
	})
	sel("no label", labelSelector(t, "!app"), func(d *decoded) bool {
		return at(d.object, "metadata", "labels", "app") == ""
	})
	sel("name", fieldSelector(t, "metadata.name=x"), func(d *decoded) bool { return d.Ref.Name == "x" })
	sel("namespace", fieldSelector(t, "metadata.namespace=b,metadata.name!=x"), func(d *decoded) bool {
		return d.Ref.Namespace == "b" && d.Ref.Name != "x"
	})
	sel("no namespace", fieldSelector(t, "metadata.namespace="), func(d *decoded) bool { return d.Ref.Namespace == "" })
	sel("uid", fieldSelector(t, "metadata.uid=uid-pods-x-1-a"), func(d *decoded) bool {
		return d.Ref.UID == "uid-pods-x-1-a"
	})
	sel("phase", fieldSelector(t, "status.phase=Running,spec.nodeName!=node-1"), func(d *decoded) bool {
		return at(d.object, "status", "phase") == "Running" && at(d.object, "spec", "nodeName") != "node-1"
	})
	sel("target", fieldSelector(t, "involvedObject.kind=Pod,regarding.name=x"), func(d *decoded) bool {
		return isEvent(d) && at(d.object, "involvedObject", "kind") == "Pod" &&
			at(d.object, "involvedObject", "name") == "x"
	})
	sel("reasons", &selector.Selector{Reasons: []string{"BackOff"}, EventTypes: []string{"Warning", "Normal"}},
		func(d *decoded) bool {
			return isEvent(d) && at(d.object, "reason") == "BackOff"
		})
	sel("changed",
		expression(t, `changed.exists(p, p.startsWith("spec.items")) && !("kube-controller-manager" in managers)`),
		func(d *decoded) bool {
			return slices.ContainsFunc(d.changed(), func(p string) bool {
				return strings.HasPrefix(p, "spec.items")
			}) &&
				!d.wroteBy("kube-controller-manager")
		})
	sel("scaled up", expression(t, `object.spec.replicas > old.spec.replicas`), func(d *decoded) bool {
		return d.old != nil && at(d.object, "spec", "replicas") > at(d.old, "spec", "replicas")
	})
	sel("missing field", expression(t, `object.metadata.labels.app == "web" || verb == "delete"`),
		func(d *decoded) bool {
			return at(d.object, "metadata", "labels", "app") == "web" || d.Verb == history.Delete
		})
	sel("many changes", expression(t, `size(changed) >= 4`), func(d *decoded) bool { return len(d.changed()) >= 4 })
	writers, err := selector.ParseWriters([]string{"kube", "helm", "!kube-controller-manager"})
	if err != nil {
		t.Fatal(err)
	}
	sel("writers", &selector.Selector{Writers: writers}, func(d *decoded) bool {
		return slices.ContainsFunc(d.Managers, func(m history.Manager) bool {
			return m.Name != "kube-controller-manager" &&
				(m.Name == "helm" || m.Name == "kube" || strings.HasPrefix(m.Name, "kube-"))
		})
	})
	text := func(text string) *selector.Selector {
		t.Helper()
		parsed, err := selector.ParseText(text)
		if err != nil {
			t.Fatal(err)
		}
		return &selector.Selector{Text: parsed}
	}
	sel("text in a name", text("d/x"), func(d *decoded) bool { return d.Kind == "Pod" && d.Ref.Name == "x" })
	sel("unknown text, with case", text("a Summ"), func(*decoded) bool { return false })
	sel("text in a summary", text("a summ"), func(d *decoded) bool { return d.Summary != nil })
	sel("metadata only", expression(t, `verb != "update" && "helm" in managers`), func(d *decoded) bool {
		return d.Verb != history.Update && d.wroteBy("helm")
	})
	all := labelSelector(t, "app=web")
	all.Fields, all.Expression = fieldSelector(t, "status.phase=Running").Fields, expression(t,
		`old == null || object.spec != old.spec`).Expression
	add("all of it", query.Timeline{
		Filter:     history.Filter{Verbs: []history.Verb{history.Update, history.Create}},
		Namespaces: []history.NamespaceScope{"a", "b"}, Selector: all,
	}, func(d *decoded) bool {
		return d.Verb != history.Delete && (d.Ref.Namespace == "a" || d.Ref.Namespace == "b") &&
			at(d.object, "metadata", "labels", "app") == "web" &&
			at(d.object, "status", "phase") == "Running" && (d.old == nil ||
			slices.ContainsFunc(d.changed(), func(p string) bool { return strings.HasPrefix(p, "spec") }))
	})
	return cases
}

// pages reads all pages of a timeline, and checks what each of them promises.
func pages(t *testing.T, s *query.Service, q query.Timeline, want int) (rvs []string) {
	t.Helper()
	for n := 0; ; n++ {
		page, err := s.Timeline(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page.Versions {
			rvs = append(rvs, v.RV)
			if (v.Object == nil) != q.Bare {
				t.Errorf("got object %t, want %t", v.Object != nil, !q.Bare)
			}
		}
		if page.Total > want || page.Exact && page.Total != want || page.Total < len(page.Versions) ||
			len(page.Versions) > q.Limit {
			t.Errorf("page of %d, limit %d: got total %d, exact %t, want %d",
				len(page.Versions), q.Limit, page.Total, page.Exact, want)
		}
		if !page.More {
			return rvs
		}
		if page.Next == q.After || n > 1000 {
			t.Fatalf("page %d: got the cursor %v after %v, want a later one", n, page.Next, q.After)
		}
		q.After = page.Next
	}
}

// TestTimeline_FiltersMatchPlainPredicates compares each filter with a function
// of the decoded object, for pages of several sizes and for little effort.
func TestTimeline_FiltersMatchPlainPredicates(t *testing.T) {
	l := newLog(t)
	rng := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test with a fixed seed
	all := diverse(l, rng)
	for n, c := range filterCases(t) {
		t.Run(c.name, func(t *testing.T) {
			var want []string
			for i := range all {
				if c.want(&all[i]) {
					want = append(want, all[i].RV)
				}
			}
			if interesting := 0 < len(want) && len(want) < len(all); !interesting &&
				!strings.Contains(c.name, "unknown") && !strings.Contains(c.name, "all") {
				t.Errorf("got %d of %d records, want some", len(want), len(all))
			}
			for i := range 12 {
				if testing.Short() && (i+n)%4 > 0 {
					continue
				}
				q := c.query
				q.Limit, q.Order, q.Bare = []int{6, 50, 1000}[i%3], history.Order(i/3%2), i%2 == 0
				s := l.service(query.Options{Effort: []int{0, 40}[i/6]})
				got := pages(t, s, q, len(want))
				if q.Order == history.NewestFirst {
					slices.Reverse(got)
				}
				if !slices.Equal(got, want) {
					t.Errorf("limit %d, order %d: got %d records %v, want %d %v",
						q.Limit, q.Order, len(got), got, len(want), want)
				}
			}
		})
	}
}

// A page without a match that stopped early must not look like the end.
func TestSearch_StopsEarlyWithCursor(t *testing.T) {
	l := newLog(t)
	fill(l)
	s := l.service(query.Options{Effort: 5})
	page, err := s.Timeline(t.Context(), query.Timeline{Limit: 10, Selector: labelSelector(t, "app=none")})
	if err != nil || len(page.Versions) != 0 || !page.More || page.Next.IsZero() || page.Exact || page.Total != 0 {
		t.Errorf("got %d versions, total %d, exact %t, more %t, error %v, want an empty page with more, at least 0",
			len(page.Versions), page.Total, page.Exact, page.More, err)
	}
	page, err = l.service(query.Options{}).Timeline(t.Context(),
		query.Timeline{Limit: 10, Selector: labelSelector(t, "app=none")})
	if err != nil || len(page.Versions) != 0 || page.More || !page.Exact {
		t.Errorf("enough effort: got more %t, exact %t, error %v, want the end", page.More, page.Exact, err)
	}
	page, err = l.service(query.Options{}).Timeline(t.Context(),
		query.Timeline{Limit: 3, Selector: expression(t, `object.spec.a == 2`)})
	if err != nil || len(page.Versions) != 3 || !page.More || page.Total != 11 || !page.Exact {
		t.Errorf("few records: got total %d, exact %t, error %v, want 11, exact", page.Total, page.Exact, err)
	}
}

// slowReader is a log without an end. Reading a record takes 10 ms.
type slowReader struct{ query.Reader }

func (slowReader) Resources(context.Context) ([]history.Resource, error) { return nil, nil }

func (slowReader) Gaps(context.Context, []schema.GroupResource, time.Time, time.Time) ([]history.Gap, error) {
	return nil, nil
}

func (slowReader) Scan(ctx context.Context, scan history.Scan) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		for i := range scan.Limit {
			time.Sleep(10 * time.Millisecond)
			r := record(ref("", "pods", "shop", "web", 1), history.Update, `{}`)
			r.Time = scan.After.Add(time.Duration(i + 1))
			if err := ctx.Err(); !yield(r, err) || err != nil {
				return
			}
		}
	}
}

func TestSearch_StopsBeforeDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		q := query.Timeline{Limit: 10, Selector: expression(t, `"x" in managers`)}
		page, err := query.New(slowReader{}, query.Options{}).Timeline(ctx, q)
		if err != nil || !page.More || page.Next.IsZero() || page.Exact {
			t.Errorf("got more %t, exact %t, error %v, want more", page.More, page.Exact, err)
		}
	})
}

func TestSearch_EndsWithContextAndCost(t *testing.T) {
	l := newLog(t)
	l.put(record(ref("", "pods", "shop", "large", 1), history.Create, `{"a":[`+strings.Repeat("1,", 3000)+`1]}`))
	q := query.Timeline{Limit: 1, Selector: expression(t, `object.a.all(x, object.a.all(y, x == 1 && y == 1))`)}
	if _, err := l.service(query.Options{}).Timeline(t.Context(), q); !errors.Is(err, selector.ErrTooExpensive) {
		t.Errorf("got error %v, want %v", err, selector.ErrTooExpensive)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.service(query.Options{}).Timeline(ctx, q); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want Canceled", err)
	}
}

// An expression must not be a way to compare the hashes of a Secret's values.
func TestAs_SelectorsSeeHiddenHashes(t *testing.T) {
	const hash, other = "hmac-sha256:0123456789abcdef0123456789abcdef", "hmac-sha256:fedcba9876543210fedcba9876543210"
	l := newLog(t)
	if err := l.Register(t.Context(), history.Resource{
		Version: "v1", Plural: "secrets", Kind: "Secret", Namespaced: true,
	}); err != nil {
		t.Fatal(err)
	}
	pin := ref("", "secrets", "shop", "pin", 1)
	l.put(
		record(pin, history.Create,
			`{"metadata":{"labels":{"of":"`+hash+`"}},"type":"`+hash+`","data":{"pin":"`+hash+`"}}`),
		record(pin, history.Update,
			`{"metadata":{"labels":{"of":"`+hash+`"}},"type":"`+hash+`","data":{"pin":"`+other+`"}}`),
	)
	selectors := []*selector.Selector{
		expression(t, `object.data.pin == "`+hash+`"`),
		expression(t, `old.data.pin.startsWith("hmac-sha256:0")`),
		expression(t, `object.data != old.data`),
		expression(t, `"data.pin" in changed`),
		fieldSelector(t, "type="+hash),
	}
	for _, c := range []struct {
		rights []string
		seen   bool
	}{
		{[]string{"list secrets shop/"}, false},
		{[]string{"list secrets shop/", "get secrets shop/other"}, false},
		{[]string{"list secrets shop/", "get secrets shop/"}, true},
		{[]string{"list secrets /", "get secrets /"}, true},
	} {
		s := l.service(query.Options{EarlierNamespaces: true}).As(newRights(c.rights...))
		for i, sel := range selectors {
			page, err := s.Timeline(t.Context(),
				query.Timeline{Filter: history.Filter{Namespace: "shop"}, Limit: 10, Selector: sel})
			if err != nil || (len(page.Versions) > 0) != c.seen || (page.Total > 0) != c.seen {
				t.Errorf("%v, selector %d: got %d of %d versions, error %v, want some: %t",
					c.rights, i, len(page.Versions), page.Total, err, c.seen)
			}
		}
	}
	named := l.service(query.Options{EarlierNamespaces: true}).As(newRights("get secrets shop/pin"))
	q := query.Timeline{Filter: history.Filter{Namespace: "shop", Name: "pin"}, Limit: 10, Selector: selectors[2]}
	if page, err := named.Timeline(t.Context(), q); err != nil || len(page.Versions) != 1 {
		t.Errorf("the named Secret: got %d versions, error %v, want 1", len(page.Versions), err)
	}
}

// TestAs_FiltersShowOnlyWhatIsAllowed compares filters of a caller with random
// rights with the plain predicates, and with the rule of [rights.mayRead].
func TestAs_FiltersShowOnlyWhatIsAllowed(t *testing.T) {
	l := newLog(t)
	rng := rand.New(rand.NewPCG(5, 6)) //nolint:gosec // a test with a fixed seed
	all := diverse(l, rng)
	for range 40 {
		caller := randomRights(rng)
		for namespace := range caller.namespaces {
			caller.namespaces[namespace] = time.Time{}
		}
		s := l.service(query.Options{}).As(caller)
		for _, c := range filterCases(t) {
			name := c.query.Name
			if c.query.Selector != nil {
				if exact, is := c.query.Selector.Fields.Exact(selector.FieldName); is {
					name = exact
				}
			}
			var want []string
			for i := range all {
				if c.want(&all[i]) && caller.mayRead(all[i].Record, name) {
					want = append(want, all[i].RV)
				}
			}
			q := c.query
			q.Limit = 50
			if got := pages(t, s, q, len(want)); !slices.Equal(got, want) {
				t.Errorf("%s, rights %v: got %v, want %v", c.name, caller.allowed, got, want)
			}
		}
	}
}

func TestObject_FiltersSelectOwnRecordsAndEvents(t *testing.T) {
	l := newLog(t)
	web := ref("", "pods", "shop", "web", 1)
	create := record(web, history.Create, `{"spec":{"a":1}}`)
	scale := record(web, history.Update, `{"spec":{"a":2}}`)
	status := record(web, history.Update, `{"spec":{"a":2},"status":{}}`)
	scale.Managers = []history.Manager{{Name: "helm", Operation: "Update"}}
	warning := event("web.2", web, web.UID)
	warning.Object = []byte(`{"type":"Warning","reason":"BackOff"}`)
	l.put(create, scale, status, event("web.1", web, web.UID), warning)
	for _, c := range []struct {
		name        string
		query       query.Object
		own, events int
	}{
		{"nothing", query.Object{}, 3, 2},
		{"verb", query.Object{Verbs: []history.Verb{history.Update}}, 2, 2},
		{"manager", query.Object{Managers: []string{"helm", "x"}}, 1, 2},
		{"changes", query.Object{Selector: expression(t, `"spec.a" in changed`)}, 1, 2},
		{"reason", query.Object{Selector: &selector.Selector{Reasons: []string{"BackOff", "x"}}}, 3, 1},
		{"type", query.Object{Selector: &selector.Selector{EventTypes: []string{"Normal"}}}, 3, 1},
	} {
		for _, bare := range []bool{false, true} {
			q := c.query
			q.Namespace, q.Type, q.Name, q.Limit, q.Bare = "shop", "pods", "web", 10, bare
			h, err := l.service(query.Options{}).Object(t.Context(), q)
			if err != nil || len(h.Own.Versions) != c.own || h.Own.Total != c.own ||
				len(h.Related.Versions) != c.events || h.Related.Total != c.events {
				t.Errorf("%s: got %d and %d, error %v, want %d and %d",
					c.name, len(h.Own.Versions), len(h.Related.Versions), err, c.own, c.events)
			}
			if len(h.Related.Versions) > 0 && (h.Related.Versions[0].Object == nil) != bare {
				t.Errorf("%s: got an Event with object %t, want %t", c.name, h.Related.Versions[0].Object != nil, !bare)
			}
		}
	}
}

// TestSearch_ExpressionsOfLog checks the variables that are not of one version
// or two: the problem, and whether a version is the newest.
func TestSearch_ExpressionsOfLog(t *testing.T) {
	l := newEmptyLog(t)
	pod, config := ref("", "pods", "shop", "web-1", 1), ref("", "configmaps", "shop", "left", 1)
	crash := record(pod, history.Update, `{"status":{"phase":"Running"}}`)
	crash.Summary = &history.Summary{Text: "restarted", Problem: "CrashLoopBackOff, exit 1"}
	gone := ref("", "configmaps", "shop", "gone", 1)
	before := record(pod, history.Create, `{}`)
	before.Initial = true
	l.put(
		before, crash, record(pod, history.Update, `{}`),
		record(config, history.Create, `{}`), record(config, history.Update, `{"data":{}}`),
		record(gone, history.Create, `{}`), record(gone, history.Delete, `{}`),
	)
	s := l.service(query.Options{})
	for text, want := range map[string]string{
		`problem.startsWith("CrashLoopBackOff")`:      "update web-1 2",
		`newest && verb != "delete" && problem == ""`: "update web-1 3, update left 2",
		`newest`:                                                 "update web-1 3, update left 2, delete gone 2",
		`created && newest && verb != "delete"`:                  "update left 2",
		`newest && changed.exists(p, p == "data")`:               "update left 2",
		`verb == "create" && !newest && object.?data.hasValue()`: "",
	} {
		page, err := s.Timeline(t.Context(), query.Timeline{Selector: expression(t, text), Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		for _, v := range page.Versions {
			found = append(found, fmt.Sprint(v.Verb, " ", v.Ref.Name, " ", v.Revision))
		}
		if got := strings.Join(found, ", "); got != want {
			t.Errorf("%s: got %q, want %q", text, got, want)
		}
	}
}
