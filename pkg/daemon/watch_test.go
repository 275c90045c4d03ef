package daemon_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestWatch_ContinuesAcrossRestarts follows a namespace of a real API server
// while the recorder restarts, and compares the stream with the pages.
func TestWatch_ContinuesAcrossRestarts(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "followed")
	dir, q := t.TempDir(), client.EventsQuery{Namespace: "followed", Resources: []string{"cm"}}
	var got []string
	for round := range 3 {
		r := start(t, dir, cluster.Config(), onlyConfigMaps)
		c, err := client.New(r.url, client.Options{})
		if err != nil {
			t.Fatal(err)
		}
		name := "map-" + string(rune('a'+round))
		for u, err := range c.Watch(t.Context(), q) {
			if err != nil {
				t.Fatal(err)
			}
			q.Cursor = u.Cursor
			switch u.Type {
			case client.Connected:
				kubectl(t, "create", "configmap", name, "-n", "followed")
				kubectl(t, "label", "configmap", name, "-n", "followed", "a=b")
				kubectl(t, "delete", "configmap", name, "-n", "followed")
			case client.Recorded:
				got = append(got, u.Event.Verb+" "+u.Event.ResourceName)
			}
			last := map[bool]string{true: "delete", false: "update"}[round == 2]
			if u.Type == client.Recorded && u.Event.ResourceName == name && u.Event.Verb == last {
				break // the rest is read from the cursor, after the restart
			}
		}
		if round == 2 {
			var want []string
			for _, e := range r.events(t, "namespace=followed&resourceType=cm") {
				want = append(want, e.Verb+" "+e.ResourceName)
			}
			if !slices.Equal(got, want) || len(got) != 9 {
				t.Errorf("got %v, want 9 events: %v", got, want)
			}
		} else {
			r.records(t, "namespace=followed&resourceName="+name, "create update delete")
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		r.stop(t)
	}
}

// TestWatch_EndsWithStop stops the recorder while a stream is open.
func TestWatch_EndsWithStop(t *testing.T) {
	noLeaks(t)
	r := start(t, t.TempDir(), cluster.Config(), onlyConfigMaps)
	response, err := http.Get(r.url + v1.EventsPath + "?watch=true") //nolint:noctx // ends with the recorder
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	var types []v1.StreamType
	for lines.Scan() {
		var item v1.StreamItem
		if err := json.Unmarshal(lines.Bytes(), &item); err != nil {
			t.Fatalf("got line %q, error %v, want an item", lines.Text(), err)
		}
		if types = append(types, item.Type); len(types) == 1 {
			r.cancel()
		}
	}
	if err := lines.Err(); err != nil || types[0] != v1.StreamStart || types[len(types)-1] != v1.StreamEnd {
		t.Errorf("got lines %v, error %v, want the first to be %s and the last %s",
			types, err, v1.StreamStart, v1.StreamEnd)
	}
	r.stop(t)
}

// TestWatch_LossOfRightsAndIdentityEnds waits in real time: less than a minute
// is the promise.
func TestWatch_LossOfRightsAndIdentityEnds(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "streams")
	createViewer(t)
	kubectl(t, "create", "rolebinding", "leaver", "-n", "streams",
		"--clusterrole=viewer", "--serviceaccount=streams:leaver")
	token, err := cluster.Token(t.Context(), "streams", "leaver")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, t.TempDir(), cluster.Config(), func(c *daemon.Config) { c.SecurePort = 0 })
	web := secureClient(t, r.authorities())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"https://"+r.secure+v1.EventsPath+"?watch=true&resourceType=cm&namespace=streams", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := web.Do(request) //nolint:bodyclose // closed below
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.ProtoMajor != 2 || response.StatusCode != http.StatusOK {
		t.Fatalf("got %s with HTTP/%d, want 200 with HTTP/2", response.Status, response.ProtoMajor)
	}
	items := make(chan v1.StreamItem)
	go func() {
		defer close(items)
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			var item v1.StreamItem
			_ = json.Unmarshal(lines.Bytes(), &item) // an invalid line has no type
			items <- item
		}
	}()
	next := func(within time.Duration, match func(v1.StreamItem) bool) (v1.StreamItem, bool) {
		t.Helper()
		limit := time.After(within)
		for {
			select {
			case item, open := <-items:
				if !open || match(item) {
					return item, open
				}
			case <-limit:
				return v1.StreamItem{}, false
			}
		}
	}
	isEvent := func(item v1.StreamItem) bool { return item.Type == v1.StreamEvent }
	kubectl(t, "create", "configmap", "first", "-n", "streams")
	if item, found := next(patience, isEvent); !found || item.Event.ResourceName != "first" {
		t.Fatalf("got %+v, want the event of first", item)
	}
	kubectl(t, "delete", "rolebinding", "leaver", "-n", "streams")
	withdrawn := time.Now()
	for seen := true; seen; {
		kubectl(t, "annotate", "configmap", "first", "-n", "streams", "--overwrite", "at="+time.Now().String())
		_, seen = next(3*time.Second, isEvent)
		if seen && time.Since(withdrawn) > time.Minute {
			t.Fatal("got a record a minute after the right was withdrawn, want none")
		}
	}
	clients, err := kubernetes.NewForConfig(cluster.Config())
	if err != nil {
		t.Fatal(err)
	}
	err = clients.CoreV1().ServiceAccounts("streams").Delete(t.Context(), "leaver", metav1.DeleteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	item, found := next(time.Minute, func(item v1.StreamItem) bool { return item.Type == v1.StreamError })
	if !found || item.Error.Code != string(history.Unauthorized) || !strings.Contains(item.Error.Message, "token") {
		t.Errorf("a minute after the token became invalid: got %+v, want an error with the code unauthorized", item)
	}
	cancel()
	for range items { // until the reader has ended
	}
	r.stop(t)
}
