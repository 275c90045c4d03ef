package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// TestDaemon_KeepsPromisesInRealTime runs tests that mostly wait at the same
// time. Meanwhile, a resource is quiet for long enough for the last one.
func TestDaemon_KeepsPromisesInRealTime(t *testing.T) {
	noLeaks(t)
	createViewer(t)
	quiet := startQuiet(t)
	t.Run("concurrently", func(t *testing.T) {
		for name, test := range map[string]func(*testing.T){
			"attribution is correct or empty":   testAttributionIsCorrectOrEmpty,
			"resources that can't be listed":    testRecordsNextToResourcesThatCannotBeListed,
			"withdrawn right ends":              testWithdrawnRightEnds,
			"withdrawn right ends for a stream": testWithdrawnRightEndsForStream,
			"lost identity ends a stream":       testLostIdentityEndsStream,
			"stream has a new namespace":        testStreamHasNewNamespace,
			"CRD is deleted unobserved":         testGapIsOpenAfterUnobservedCRDDeletion,
			"CRD is ignored and recorded":       testReloadIgnoresAndRecordsCRD,
		} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t)
			})
		}
	})
	checkDisconnect(t, quiet)
}

// startQuiet starts a recorder of a resource that no other test changes.
func startQuiet(t *testing.T) *running {
	t.Helper()
	kubectl(t, "create", "namespace", "dated")
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) {
		onlyConfigMaps(c)
		c.Resources = []history.Resource{{Version: "v1", Kind: "LimitRange", Plural: "limitranges", Namespaced: true}}
	})
	apply(t, `{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"one","namespace":"dated"}}`)
	return r
}

// checkDisconnect stops the API server long after the last bookmark of a quiet
// resource. The gap must not start at that bookmark.
func checkDisconnect(t *testing.T, r *running) {
	t.Helper()
	const quiet, margin = 25 * time.Second, 15 * time.Second
	checkpoint := func() time.Time {
		_, body := r.get(t, v1.MetricsPath)
		_, rest, _ := strings.Cut(body, `watchhistory_checkpoint_timestamp_seconds{group="",resource="limitranges"} `)
		value, _, _ := strings.Cut(rest, "\n")
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("got checkpoint time %q, want a number", value)
		}
		return time.UnixMilli(int64(seconds * 1000))
	}
	r.eventually(t, fmt.Sprint("no watch event for ", quiet), func() (bool, string) {
		at := checkpoint()
		return time.Since(at) > quiet, at.String()
	})
	// Without a write after its last bookmark, the watch resumes without a gap.
	kubectl(t, "create", "configmap", "later-than-the-bookmark", "-n", "dated")
	if err := cluster.StopComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	if _, err := cluster.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := cluster.StartComponent(t.Context(), clustertest.APIServer); err != nil {
		t.Fatal(err)
	}
	apply(t, `{"apiVersion":"v1","kind":"LimitRange","metadata":{"name":"two","namespace":"dated"}}`)
	r.eventually(t, "one closed gap and the creation", func() (bool, string) {
		gaps, got := r.gaps(t, ""), verbs(r.events(t, "namespace=dated&resourceName=two"))
		return len(gaps) == 1 && !gaps[0].End.IsZero() && strings.HasSuffix(got, "create"),
			fmt.Sprintf("%v, changes %q, last checkpoint %s", gaps, got, checkpoint())
	})
	gap := r.gaps(t, "")[0]
	if gap.Start.Before(stopped.Add(-margin)) || gap.Start.After(stopped) ||
		gap.Reason != string(history.GapDisconnected) || gap.Detail == "" {
		t.Errorf("got gap %+v, want a start at most %v before %s, reason disconnected and a detail",
			gap, margin, stopped)
	}
}

// testWithdrawnRightEnds waits in real time: less than a minute is the promise.
func testWithdrawnRightEnds(t *testing.T) {
	t.Helper()
	token := leaver(t, "withdrawn")
	kubectl(t, "create", "configmap", "a", "-n", "withdrawn")
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) { c.SecurePort = 0 })
	client := secureClient(t, r.authorities())
	status := func() int {
		return fetch(t, client, "https://"+r.secure+v1.EventsPath+"?namespace=withdrawn", token).StatusCode
	}
	r.eventually(t, "the caller sees records", func() (bool, string) { return status() == http.StatusOK, "" })
	kubectl(t, "delete", "rolebinding", "leaver", "-n", "withdrawn")
	for deadline := time.Now().Add(time.Minute); status() == http.StatusOK; time.Sleep(time.Second) {
		if time.Now().After(deadline) {
			t.Fatal("got records a minute after the right was withdrawn, want none")
		}
	}
}

// leaver creates a namespace with a service account that may read it, and
// returns its token.
func leaver(t *testing.T, namespace string) (token string) {
	t.Helper()
	kubectl(t, "create", "namespace", namespace)
	kubectl(t, "create", "rolebinding", "leaver", "-n", namespace,
		"--clusterrole=viewer", "--serviceaccount="+namespace+":leaver")
	token, err := cluster.Token(t.Context(), namespace, "leaver")
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// secureStream is a stream of ConfigMaps on the secure listener of a recorder.
type secureStream struct {
	t     *testing.T
	items chan v1.StreamItem
}

// openSecureStream opens a stream as the leaver of a new namespace, and waits
// for its first event.
func openSecureStream(t *testing.T, namespace, filter string) *secureStream {
	t.Helper()
	token := leaver(t, namespace)
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) {
		onlyConfigMaps(c)
		c.SecurePort = 0
	})
	ctx, cancel := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"https://"+r.secure+v1.EventsPath+"?watch=true&resourceType=cm&"+filter, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := secureClient(t, r.authorities()).Do(request) //nolint:bodyclose // closed by its reader
	if err != nil {
		t.Fatal(err)
	}
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
		t.Fatalf("got %s with HTTP/%d, want 200 with HTTP/2", response.Status, response.ProtoMajor)
	}
	f := &secureStream{t: t, items: make(chan v1.StreamItem)}
	go func() {
		defer close(f.items)
		defer response.Body.Close()
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			var item v1.StreamItem
			_ = json.Unmarshal(lines.Bytes(), &item) // an invalid line has no type
			f.items <- item
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range f.items { // until the reader has ended
		}
	})
	kubectl(t, "create", "configmap", "first", "-n", namespace)
	if item, found := f.next(patience, isEvent); !found || item.Event.ResourceName != "first" {
		t.Fatalf("got %+v, want the event of first", item)
	}
	return f
}

// next returns the next line that matches, unless the stream ends or the time
// is over before.
func (f *secureStream) next(within time.Duration, match func(v1.StreamItem) bool) (v1.StreamItem, bool) {
	f.t.Helper()
	limit := time.After(within)
	for {
		select {
		case item, open := <-f.items:
			if !open || match(item) {
				return item, open
			}
		case <-limit:
			return v1.StreamItem{}, false
		}
	}
}

func isEvent(item v1.StreamItem) bool { return item.Type == v1.StreamEvent }

// testWithdrawnRightEndsForStream waits in real time: less than a minute is the
// promise.
func testWithdrawnRightEndsForStream(t *testing.T) {
	t.Helper()
	f := openSecureStream(t, "streams", "namespace=streams")
	maps := cluster.Client(t).CoreV1().ConfigMaps("streams")
	kubectl(t, "delete", "rolebinding", "leaver", "-n", "streams")
	withdrawn := time.Now()
	for seen := true; seen; {
		_, err := maps.Patch(t.Context(), "first", types.MergePatchType,
			[]byte(`{"metadata":{"annotations":{"at":"`+time.Now().String()+`"}}}`), metav1.PatchOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, seen = f.next(3*time.Second, isEvent)
		if seen && time.Since(withdrawn) > time.Minute {
			t.Fatal("got a record a minute after the right was withdrawn, want none")
		}
	}
}

// testLostIdentityEndsStream waits in real time: less than a minute is the
// promise.
func testLostIdentityEndsStream(t *testing.T) {
	t.Helper()
	f := openSecureStream(t, "identities", "namespace=identities")
	accounts := cluster.Client(t).CoreV1().ServiceAccounts("identities")
	if err := accounts.Delete(t.Context(), "leaver", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	item, found := f.next(time.Minute, func(item v1.StreamItem) bool { return item.Type == v1.StreamError })
	if !found || item.Error.Code != string(history.Unauthorized) || !strings.Contains(item.Error.Message, "token") {
		t.Errorf("a minute after the token became invalid: got %+v, want an error with the code unauthorized", item)
	}
}

// testStreamHasNewNamespace grants a right in a namespace that is created while
// a stream over all namespaces is open. Its first record must not be missing.
func testStreamHasNewNamespace(t *testing.T) {
	t.Helper()
	f := openSecureStream(t, "first-home", "")
	kubectl(t, "create", "namespace", "second-home")
	kubectl(t, "create", "rolebinding", "mover", "-n", "second-home",
		"--clusterrole=viewer", "--serviceaccount=first-home:leaver")
	mover := &caller{user: "system:serviceaccount:first-home:leaver", cluster: cluster.Client(t)}
	may := func() bool {
		return mover.review(t, authorizationv1.ResourceAttributes{
			Verb: "list", Resource: "configmaps", Namespace: "second-home",
		})
	}
	for deadline := time.Now().Add(patience); !may(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got no right within %v, want it", patience)
		}
	}
	kubectl(t, "create", "configmap", "moved", "-n", "second-home")
	if item, found := f.next(patience, isEvent); !found || item.Event.ResourceName != "moved" {
		t.Errorf("got %+v, want the event of moved", item)
	}
}
