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

// follower reads the batches of one stream of a restricted caller.
type follower struct {
	*log

	caller  *rights
	clock   time.Time
	service *query.Service
	query   query.Timeline
	rights  query.Rights
	seen    []string
}

// rightsLife is how long a follower uses decisions.
const rightsLife = 20 * time.Second

func newFollower(t *testing.T, l *log, caller *rights) *follower {
	t.Helper()
	l.put(record(ref("", "pods", "before", "before", 1), history.Create, created(l.now)))
	f := &follower{log: l, caller: caller, clock: l.now, rights: query.Rights{Life: rightsLife}}
	f.service = l.service(query.Options{Feed: l.Store, Now: func() time.Time { return f.clock }}).As(caller)
	f.query = query.Timeline{Limit: 100, Each: func(v *query.Version) error {
		f.seen = append(f.seen, v.Ref.Name)
		return nil
	}}
	f.query.After, _ = l.Committed()
	return f
}

// next reads a batch. It returns the names of its versions, and the rights that
// were asked for.
func (f *follower) next() (names, asked []string) {
	f.t.Helper()
	f.seen = nil
	clear(f.caller.asked)
	batch, err := f.service.Follow(f.t.Context(), f.query, time.Hour, &f.rights)
	if err != nil {
		f.t.Fatal(err)
	}
	f.query.After = batch.Next
	for right := range f.caller.asked {
		asked = append(asked, right)
	}
	slices.Sort(asked)
	return f.seen, asked
}

// pod appends a pod of a namespace.
func (f *follower) pod(namespace, name string) {
	f.t.Helper()
	f.put(record(ref("", "pods", namespace, name, 1), history.Create, created(f.now)))
}

// manyNamespaces returns a caller who may list pods in the first of n
// namespaces.
func manyNamespaces(n int) *rights {
	caller := newRights("list pods ns-0/")
	for i := range n {
		caller.namespaces[fmt.Sprint("ns-", i)] = time.Unix(0, 0)
	}
	return caller
}

// The rights of a stream over all namespaces are asked for once, and after that
// only those that are new.
func TestFollow_AsksOnlyForNewRights(t *testing.T) {
	const namespaces, namespaced = 50, 7 // the log has one cluster-scoped resource
	l := newLog(t)
	f := newFollower(t, l, manyNamespaces(namespaces))
	_, asked := f.next()
	if want := namespaced*(1+namespaces) + 1; len(asked) != want {
		t.Fatalf("first batch: got %d reviews, want %d", len(asked), want)
	}
	for i := range 100 {
		f.clock = f.clock.Add(rightsLife / 101)
		f.pod("ns-0", "web")
		f.pod("ns-1", "hidden")
		if names, asked := f.next(); !slices.Equal(names, []string{"web"}) || len(asked) > 0 {
			t.Fatalf("batch %d: got %v and reviews %v, want web and no review", i, names, asked)
		}
	}

	f.caller.namespaces["new"] = time.Unix(0, 0)
	f.caller.allowed["list pods new/"] = true
	f.pod("new", "first")
	names, asked := f.next()
	if !slices.Equal(names, []string{"first"}) || len(asked) != namespaced {
		t.Errorf("a new namespace: got %v and reviews %v, want first and %d reviews", names, asked, namespaced)
	}

	f.caller.allowed["list gadgets.example.com ns-0/"] = true
	if err := l.Register(t.Context(), history.Resource{
		Group: "example.com", Version: "v1", Plural: "gadgets", Kind: "Gadget", Namespaced: true,
	}); err != nil {
		t.Fatal(err)
	}
	f.put(record(ref("example.com", "gadgets", "ns-0", "gadget", 1), history.Create, created(l.now)))
	names, asked = f.next()
	if !slices.Equal(names, []string{"gadget"}) || len(asked) != 1+namespaces+1 {
		t.Errorf("a new resource: got %v and %d reviews, want gadget and %d reviews",
			names, len(asked), 1+namespaces+1)
	}

	f.pod("gone", "deleted") // of a namespace that does not exist any more
	if names, asked := f.next(); len(names)+len(asked) > 0 {
		t.Errorf("a namespace that is gone: got %v and reviews %v, want none", names, asked)
	}
	f.caller.namespaces["gone"] = time.Unix(0, 0)
	f.caller.allowed["list pods gone/"] = true
	f.pod("gone", "again")
	if names, asked := f.next(); !slices.Equal(names, []string{"again"}) || len(asked) != namespaced+1 {
		t.Errorf("a namespace that was created again: got %v and reviews %v, want again and %d reviews",
			names, asked, namespaced+1)
	}
}

// Every life of the rights, those that were granted are asked for again, and a
// part of those that were denied.
func TestFollow_RenewsRights(t *testing.T) {
	const renewals = 3
	for _, c := range []struct {
		namespaces int
		atOnce     bool
	}{{20, true}, {500, false}} {
		t.Run(fmt.Sprint(c.namespaces), func(t *testing.T) {
			f := newFollower(t, newLog(t), manyNamespaces(c.namespaces))
			_, all := f.next()
			again := map[string]int{}
			for range renewals {
				f.clock = f.clock.Add(rightsLife)
				_, asked := f.next()
				if most := len(all) / 2; !c.atOnce && len(asked) > most {
					t.Errorf("got %d reviews in a renewal, want at most %d of %d", len(asked), most, len(all))
				}
				if !slices.Contains(asked, "list pods ns-0/") {
					t.Error("got no review of the right that was granted, want one in each renewal")
				}
				for _, right := range asked {
					again[right]++
				}
				if _, asked := f.next(); len(asked) > 0 {
					t.Errorf("got reviews %v after a renewal, want none", asked)
				}
			}
			for _, right := range all {
				want := renewals
				if !c.atOnce && !strings.HasSuffix(right, " /") && right != "list pods ns-0/" {
					want = 1
				}
				if again[right] != want {
					t.Fatalf("%s: got %d reviews in %d renewals, want %d", right, again[right], renewals, want)
				}
			}
		})
	}
}

func TestFollow_ChangedRightsApplyAfterRenewal(t *testing.T) {
	f := newFollower(t, newLog(t), manyNamespaces(3))
	f.next()
	want := func(what string, want ...string) {
		t.Helper()
		f.pod("ns-0", "a")
		f.pod("ns-1", "b")
		if names, _ := f.next(); !slices.Equal(names, want) {
			t.Errorf("%s: got %v, want %v", what, names, want)
		}
	}
	want("before", "a")
	f.caller.allowed["list pods ns-1/"] = true
	delete(f.caller.allowed, "list pods ns-0/")
	f.clock = f.clock.Add(rightsLife - 1)
	want("within the life of the rights", "a")
	f.clock = f.clock.Add(1)
	want("after the renewal", "b")
	f.caller.allowed["list pods /"] = true
	f.clock = f.clock.Add(rightsLife)
	want("with rights in the cluster", "a", "b")
	delete(f.caller.allowed, "list pods /")
	f.clock = f.clock.Add(rightsLife)
	want("without rights in the cluster", "b")
	delete(f.caller.namespaces, "ns-1")
	f.clock = f.clock.Add(rightsLife)
	want("without the namespace")
	f.service = f.service.As(newRights("list pods /"))
	want("another caller", "a", "b")
}

// Rights in a new namespace are often granted after its first records.
func TestFollow_RightsInYoungNamespace(t *testing.T) {
	f := newFollower(t, newLog(t), manyNamespaces(3))
	f.rights.Life = time.Hour
	f.next()
	f.caller.namespaces["young"] = f.clock
	f.clock = f.clock.Add(time.Second)
	f.pod("ns-0", "other")
	if _, asked := f.next(); len(asked) > 0 {
		t.Errorf("before its first record: got reviews %v, want none", asked)
	}
	f.pod("young", "hidden")
	if names, asked := f.next(); len(names) > 0 || len(asked) == 0 {
		t.Fatalf("got %v and reviews %v, want reviews only", names, asked)
	}
	if names, asked := f.next(); len(names)+len(asked) > 0 {
		t.Errorf("without records there: got %v and reviews %v, want none", names, asked)
	}
	f.caller.allowed["list pods young/"] = true
	f.pod("young", "first")
	if names, _ := f.next(); !slices.Equal(names, []string{"first"}) {
		t.Errorf("with a right: got %v, want first", names)
	}
	if err := f.Register(t.Context(), history.Resource{
		Group: "example.com", Version: "v1", Plural: "gadgets", Kind: "Gadget", Namespaced: true,
	}); err != nil {
		t.Fatal(err)
	}
	f.caller.namespaces["empty"] = f.clock
	f.pod("ns-0", "other")
	_, asked := f.next()
	if slices.Contains(asked, "list gadgets.example.com empty/") ||
		!slices.Contains(asked, "list gadgets.example.com young/") {
		t.Errorf("a new resource: got reviews %v, want none in the namespace without records", asked)
	}
	f.pod("young", "still")
	if names, _ := f.next(); !slices.Equal(names, []string{"still"}) {
		t.Errorf("with a right, later: got %v, want still", names)
	}
	f.clock = f.clock.Add(2 * time.Minute)
	f.pod("young", "second")
	f.next()
	f.pod("young", "third")
	if names, asked := f.next(); !slices.Equal(names, []string{"third"}) || len(asked) > 0 {
		t.Errorf("when it is not young any more: got %v and reviews %v, want third and none", names, asked)
	}
}

// The caller of each batch is another one, as after a new configuration. What a
// new namespace had before the batch must not be missing.
func TestFollow_AnotherCallerForEachBatch(t *testing.T) {
	caller := manyNamespaces(3)
	f := newFollower(t, newLog(t), caller)
	f.next()
	caller.namespaces["young"], caller.allowed["list pods young/"] = f.clock, true
	f.query.Limit = 1
	for _, name := range []string{"a", "b", "c"} {
		f.pod("young", name)
	}
	for _, want := range []string{"a", "b", "c"} {
		f.service = f.log.service(query.Options{Feed: f.Store, Now: func() time.Time { return f.clock }}).As(
			&rights{allowed: caller.allowed, namespaces: caller.namespaces, asked: map[string]bool{}})
		if names, _ := f.next(); !slices.Equal(names, []string{want}) {
			t.Errorf("got %v, want %s", names, want)
		}
	}
}

// A stream of one namespace begins before the namespace exists.
func TestFollow_NamespaceThatDoesNotExistYet(t *testing.T) {
	f := newFollower(t, newLog(t), manyNamespaces(3))
	f.query.Namespace = "later"
	if names, asked := f.next(); len(names) > 0 || len(asked) == 0 {
		t.Fatalf("got %v and reviews %v, want reviews only", names, asked)
	}
	f.pod("ns-0", "other")
	if names, asked := f.next(); len(names)+len(asked) > 0 {
		t.Errorf("record elsewhere: got %v and reviews %v, want none", names, asked)
	}
	f.caller.namespaces["later"] = time.Unix(0, 0)
	f.caller.allowed["list pods later/"] = true
	f.pod("later", "first")
	if names, _ := f.next(); !slices.Equal(names, []string{"first"}) {
		t.Errorf("got %v, want first", names)
	}
}
