package storetest

import (
	"bytes"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// headsOfLiveObjects compares the heads of each resource with the newest
// versions that are not deletions. Two incarnations with the same name are two
// objects.
func headsOfLiveObjects(s *subject) {
	next := version("web", "5", history.Create)
	next.Ref.UID = "next"
	other := version("web", "6", history.Create)
	other.Ref.Group = "example.com"
	node := version("node", "7", history.Create)
	node.Ref.Resource, node.Ref.Namespace = "nodes", ""
	want := map[history.ObjectRef]history.Head{}
	for _, batch := range [][]*history.Record{
		{version("web", "1", history.Create), version("db", "2", history.Create), version("web", "3", history.Update)},
		{version("web", "4", history.Delete), next, other, node},
		{version("db", "8", history.Delete), version("db", "9", history.Update)},
		{
			version("db", "10", history.Delete), version("web", "11", history.Create),
			version("never", "12", history.Delete),
		},
	} {
		s.put(batch...)
		for _, r := range batch {
			want[r.Ref] = history.Head{Ref: r.Ref, RV: r.RV, ManagedHashes: newVersion(r).ManagedHashes}
			if r.Verb == history.Delete {
				delete(want, r.Ref)
			}
		}
		for range 2 {
			got := s.heads(pods())
			maps.Copy(got, s.heads(other.Ref.GroupResource()))
			maps.Copy(got, s.heads(node.Ref.GroupResource()))
			if d := cmp.Diff(want, got); d != "" {
				s.t.Errorf("heads (-want +got):\n%s", d)
			}
			s.reopen()
		}
	}
	if got := s.heads(schema.GroupResource{Resource: "unknown"}); len(got) > 0 {
		s.t.Errorf("unknown resource: got heads %v, want none", got)
	}
	s.headsAreSnapshot()
}

// headsAreSnapshot deletes and creates objects while their heads are read, and
// stops reading others early.
func (s *subject) headsAreSnapshot() {
	s.t.Helper()
	s.put(version("one", "100", history.Create), version("two", "101", history.Create),
		version("three", "102", history.Create))
	want, got := s.heads(pods()), map[history.ObjectRef]history.Head{}
	next, stop := iter.Pull2(s.Heads(s.t.Context(), pods()))
	defer stop()
	for h, err, ok := next(); ok; h, err, ok = next() {
		if err != nil {
			s.t.Fatal(err)
		}
		if len(got) == 0 {
			s.put(version("one", "103", history.Delete), version("two", "104", history.Delete),
				version("four", "105", history.Create))
		}
		got[h.Ref] = h
	}
	if d := cmp.Diff(want, got); d != "" {
		s.t.Errorf("heads of one moment (-want +got):\n%s", d)
	}
	next, enough := iter.Pull2(s.Heads(s.t.Context(), pods()))
	_, _, _ = next()
	enough()
}

// latestIsTheNewest reads objects with and without their UID, deleted ones, and
// unknown ones.
func latestIsTheNewest(s *subject) {
	first := version("web", "1", history.Create)
	last := version("web", "2", history.Delete)
	next := version("web", "3", history.Create)
	next.Ref.UID = "next"
	node := version("web", "4", history.Create)
	node.Ref.Namespace = ""
	other := version("web", "5", history.Create)
	other.Ref.Group = "example.com"
	s.put(first, last, next, node, other)
	anyOf := func(o history.ObjectRef) history.ObjectRef { o.UID = ""; return o }
	for name, tt := range map[string]struct {
		ask  history.ObjectRef
		want *history.Record
	}{
		"incarnation":         {last.Ref, last},
		"next incarnation":    {next.Ref, next},
		"newest incarnation":  {anyOf(last.Ref), next},
		"without a namespace": {anyOf(node.Ref), node},
		"of another group":    {anyOf(other.Ref), other},
	} {
		got, err := s.Latest(s.t.Context(), tt.ask)
		if err != nil {
			s.t.Errorf("%s: got error %v, want none", name, err)
			continue
		}
		s.same(name, read(true, tt.want), []*history.Record{got})
	}
	for _, absent := range []func(*history.ObjectRef){
		func(o *history.ObjectRef) { o.UID = "another" }, func(o *history.ObjectRef) { o.Name = "we" },
		func(o *history.ObjectRef) { o.Namespace = "another" }, func(o *history.ObjectRef) { o.Resource = "others" },
	} {
		ref := first.Ref
		absent(&ref)
		if r, err := s.Latest(s.t.Context(), ref); history.CodeOf(err) != history.NotFound {
			s.t.Errorf("unknown object %s (%s): got %v, error %v, want not found", ref, ref.UID, r, err)
		}
	}
	if _, err := s.Latest(s.t.Context(), history.ObjectRef{Resource: "pods"}); history.CodeOf(err) != history.Invalid {
		s.t.Errorf("without a name: got error %v, want an invalid one", err)
	}
}

// catalogueKeeps registers resources, one of them again with another API
// version, and one without a name.
func catalogueKeeps(s *subject) {
	deploy := history.Resource{
		Group: "apps", Version: "v1", Plural: "deployments", Kind: "Deployment", Singular: "deployment",
		ShortNames: []string{"deploy"}, Namespaced: true,
	}
	beta, pods, others := deploy, deploy, deploy
	beta.Version, beta.ShortNames = "v1beta1", nil
	pods.Group, pods.Plural, pods.Kind = "", "pods", "Pod"
	others.Group = "example.com"
	for _, r := range []history.Resource{beta, others, pods, pods, deploy} {
		if err := s.Register(s.t.Context(), r); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := s.Register(s.t.Context(), history.Resource{
		Group: "apps", Version: "v1",
	}); history.CodeOf(err) != history.Invalid {
		s.t.Errorf("resource without a name: got error %v, want an invalid one", err)
	}
	s.put(version("web", "1", history.Create)) // recording adds nothing to the catalogue
	for range 2 {
		got, err := s.Resources(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if d := cmp.Diff([]history.Resource{pods, deploy, others}, got); d != "" {
			s.t.Errorf("catalogue (-want +got):\n%s", d)
		}
		s.reopen()
	}
}

// catalogueKeepsSince starts to record two resources at different times. The
// retention passes the first one's beginning.
func catalogueKeepsSince(s *subject) {
	const retention = 3 * time.Hour
	s = s.another(s.t, Options{Retention: retention})
	pods := history.Resource{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true}
	roles := history.Resource{
		Group: "rbac.authorization.k8s.io", Version: "v1", Plural: "roles", Kind: "Role", Namespaced: true,
	}
	for _, r := range []history.Resource{pods, roles} {
		if err := s.Register(s.t.Context(), r); err != nil {
			s.t.Fatal(err)
		}
	}
	checkpoint := func(r history.Resource, rv string) {
		s.commit(&history.Batch{Checkpoints: []history.Checkpoint{{Group: r.Group, Resource: r.Plural, RV: rv}}})
	}
	expect := func(when string, sincePods, sinceRoles time.Time) {
		s.t.Helper()
		pods.Since, roles.Since = sincePods, sinceRoles
		got, err := s.Resources(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if d := cmp.Diff([]history.Resource{pods, roles}, got); d != "" {
			s.t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	checkpoint(pods, "") // a list begins
	expect("before the first list has ended", time.Time{}, time.Time{})
	began := s.now.UTC()
	checkpoint(pods, "1")
	s.now = s.now.Add(time.Hour)
	checkpoint(pods, "")
	checkpoint(pods, "2")
	later := s.now.UTC()
	checkpoint(roles, "2")
	expect("after both began", began, later)
	s.now = s.now.Add(time.Hour)
	s.reopen()
	checkpoint(pods, "3")
	checkpoint(roles, "3")
	err := s.Register(s.t.Context(), history.Resource{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true})
	if err != nil {
		s.t.Fatal(err)
	}
	expect("after a restart", began, later)
	s.now = later.Add(retention - time.Minute)
	pods.Trimmed = true
	expect("after retention has passed the first beginning", s.now.Add(-retention).UTC(), later)
}

// redactionKeyIsStable compares the keys of a log that is reopened, and of
// another log.
func redactionKeyIsStable(s *subject) {
	before := s.RedactionKey()
	if len(before) < 16 || bytes.Equal(before, make([]byte, len(before))) {
		s.t.Fatalf("got key %x, want at least 16 random bytes", before)
	}
	clear(s.RedactionKey()) // must not change the log's key
	for range 2 {
		if after := s.RedactionKey(); !slices.Equal(before, after) {
			s.t.Errorf("got key %x, want %x", after, before)
		}
		s.reopen()
	}
	if other := s.another(s.t, Options{}).RedactionKey(); slices.Equal(before, other) {
		s.t.Errorf("another log: got key %x, want another one", other)
	}
}
