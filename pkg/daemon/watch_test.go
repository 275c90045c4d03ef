package daemon_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
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
