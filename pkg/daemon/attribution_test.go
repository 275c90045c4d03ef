package daemon_test

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/diff"
)

var (
	whoSeed   = flag.Uint64("who-seed", 0, "seed of the writes of the attribution test; 0 means a new one")
	whoWrites = flag.Int("who-writes", 60,
		"number of writes to each object of the attribution test; the long run uses 1000")
)

// authored is who made a version, and how.
type authored struct {
	manager, subresource, how string
}

// truth has the writes that the API server accepted, by name and
// resourceVersion.
type truth struct {
	mu     sync.Mutex
	writes map[string]authored
}

func (w *truth) add(name, rv string, a authored) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes[name+" "+rv] = a
}

// testAttributionIsCorrectOrEmpty makes random managers write to objects in
// every way that the API server supports. Many writes fall into the same
// second. Each recorded manager must be the one that wrote the version.
func testAttributionIsCorrectOrEmpty(t *testing.T) {
	t.Helper()
	seed := *whoSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-who-seed=%d", seed)
	apply(t, gauges)
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "crd", "gauges.who.example.com")
	})
	kubectl(t, "wait", "--for=condition=Established", "crd/gauges.who.example.com")
	kubectl(t, "create", "namespace", "who")
	r := start(t, t.TempDir(), cluster.Config(), nil)
	r.watches(t, "gauges")
	written := &truth{writes: map[string]authored{}}
	var group sync.WaitGroup
	for i := range 2 * len(subjects()) {
		s := subjects()[i%len(subjects())]
		a := newAuthor(t, written, s, fmt.Sprintf("%s-%d", s.resource.Resource, i),
			rand.New(rand.NewPCG(seed, uint64(i))))
		group.Go(a.live)
	}
	group.Wait()
	const query = "namespace=who"
	r.eventually(t, "as many records as writes", func() (bool, string) {
		n := 0
		for _, e := range r.events(t, query+"&summary=true") {
			if _, ok := written.writes[e.ResourceName+" "+e.ResourceVersion]; ok {
				n++
			}
		}
		return n >= len(written.writes), fmt.Sprintf("got %d, want %d", n, len(written.writes))
	})
	check(t, r.events(t, query), written)
}

// TestAttribution_OfWritesWithoutManagedEntry scales to 0 and back, binds pods,
// evicts one and deletes one.
func TestAttribution_OfWritesWithoutManagedEntry(t *testing.T) {
	kubectl(t, "create", "namespace", "unmanaged")
	r := start(t, t.TempDir(), cluster.Config(), nil)
	kubectl(t, "create", "deployment", "web", "-n", "unmanaged", "--image=web:1", "--replicas=2")
	for _, replicas := range []string{"3", "0", "2"} {
		kubectl(t, "scale", "deployment", "web", "-n", "unmanaged", "--replicas="+replicas)
	}
	for _, scheduler := range []string{"default-scheduler", "volcano"} {
		apply(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"`+scheduler+`","namespace":"unmanaged"},`+
			`"spec":{"schedulerName":"`+scheduler+`","containers":[{"name":"app","image":"app:1"}]}}`)
		post(t, scheduler, "binding", `{"apiVersion":"v1","kind":"Binding","metadata":{"name":"`+
			scheduler+`"},"target":{"kind":"Node","name":"node-1"}}`)
		if scheduler == "volcano" {
			post(t, scheduler, "eviction",
				`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"volcano","namespace":"unmanaged"}}`)
			continue
		}
		kubectl(t, "delete", "pod", scheduler, "-n", "unmanaged", "--wait=false")
	}
	for query, want := range map[string]string{
		"resourceType=deployments&resourceName=web":        "kubectl-create, kubectl (scale), ? (scale), ? (scale)",
		"resourceType=pods&resourceName=default-scheduler": "kubectl-client-side-apply, kube-scheduler (binding), ?",
		// A condition, then the deletion.
		"resourceType=pods&resourceName=volcano": "kubectl-client-side-apply, volcano (binding), ?, ?",
	} {
		r.eventually(t, query, func() (bool, string) {
			got := who(r.events(t, "namespace=unmanaged&summary=true&"+query))
			return got == want, "got " + got + ", want " + want
		})
	}
}

// post writes to a subresource of a pod.
func post(t *testing.T, pod, subresource, body string) {
	t.Helper()
	file := t.TempDir() + "/body.json"
	if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "create", "--raw", "/api/v1/namespaces/unmanaged/pods/"+pod+"/"+subresource, "-f", file)
}

// who returns the writers of the versions, in order. "?" is unknown.
func who(events []v1.Event) string {
	var all []string
	for _, e := range events {
		manager, subresource := "?", ""
		switch {
		case len(e.Managers) > 0:
			manager, subresource = e.Managers[0].Manager, e.Managers[0].Subresource
		case e.Unmanaged != nil:
			manager, subresource = cmp.Or(e.Unmanaged.Writer, "?"), e.Unmanaged.Subresource
		}
		if subresource != "" {
			manager += " (" + subresource + ")"
		}
		all = append(all, manager)
	}
	return strings.Join(all, ", ")
}

// check compares the recorded managers with the truth. At least half of the
// writes must have one.
func check(t *testing.T, events []v1.Event, written *truth) {
	t.Helper()
	right, unattributed, wrong, inferred := 0, map[string]int{}, 0, 0
	before := map[string]v1.Event{}
	for _, e := range events {
		want, ours := written.writes[e.ResourceName+" "+e.ResourceVersion]
		last := before[e.UID]
		before[e.UID] = e
		if !ours {
			continue
		}
		switch m := e.Managers; {
		case len(m) == 0:
			unattributed[want.how]++
		case len(m) == 1 && m[0].Manager == want.manager && m[0].Subresource == want.subresource:
			right++
		default:
			wrong++
			t.Errorf("%s %s@%s: got managers %+v, want %+v or none", e.Verb, e.ResourceName, e.ResourceVersion, m, want)
		}
		if u := e.Unmanaged; u != nil {
			inferred++
			if u.Subresource != want.subresource || len(e.Managers) > 0 {
				t.Errorf("%s %s@%s: got unmanaged %+v, want %+v", e.Verb, e.ResourceName, e.ResourceVersion, u, want)
			}
		}
		checkFields(t, &last, &e)
	}
	left := 0
	for _, how := range slices.Sorted(maps.Keys(unattributed)) {
		t.Logf("no manager: %4d %s", unattributed[how], how)
		left += unattributed[how]
	}
	t.Logf("%d writes: %d right, %d without a manager (%d with their subresource), %d wrong",
		right+left+wrong, right, left, inferred, wrong)
	if right < (right+left)/2 {
		t.Errorf("got the managers of %d of %d writes, want at least half", right, right+left)
	}
}

// checkFields checks that the fields of each manager did change.
func checkFields(t *testing.T, last, e *v1.Event) {
	t.Helper()
	if len(e.Managers) == 0 || last.ObjectChanges == nil {
		return
	}
	changed := map[string]bool{}
	for _, c := range diff.Objects(decoded(t, last.ObjectChanges), decoded(t, e.ObjectChanges)) {
		changed[c.Path.String()] = true
	}
	for _, m := range e.Managers {
		for _, field := range m.Fields {
			if !changed[field] {
				t.Errorf("%s@%s: got field %s of manager %s, want one of %v",
					e.ResourceName, e.ResourceVersion, field, m.Manager, changed)
			}
		}
	}
}

// decoded returns an object with its numbers as they are written.
func decoded(t *testing.T, object []byte) map[string]any {
	t.Helper()
	var into map[string]any
	d := json.NewDecoder(strings.NewReader(string(object)))
	d.UseNumber()
	if err := d.Decode(&into); err != nil {
		t.Fatal(err)
	}
	return into
}
