package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"os"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// The last ten changes of a namespace, oldest first.
func Example() {
	url, stop := startExampleRecorder() // use the URL of your recorder instead
	defer stop()
	ctx := context.Background()

	c, err := client.New(url, client.Options{UserAgent: "last-ten/1.0"})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	page, err := c.Events(ctx, client.EventsQuery{
		Namespace: "shop",
		Order:     history.NewestFirst,
		Limit:     10,
		Summary:   true, // without the objects
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range slices.Backward(page.Events) {
		fmt.Println(e.Timestamp.Format(time.TimeOnly), e.Verb, e.ResourceType+"/"+e.ResourceName, e.Summary)
	}
	fmt.Println("Changes:", page.Total)
	if page.Gaps > 0 {
		fmt.Println("Changes may be missing:", page.NewestGaps[0].Resource, page.NewestGaps[0].Reason)
	}
	// Output:
	// 12:00:01 create deployments/web created
	// 12:00:02 update deployments/web image app 1.0 → 1.1
	// 12:00:03 update deployments/web image app 1.1 → 1.2
	// Changes: 3
	// Changes may be missing: deployments forbidden
}

// All changes since a time, of any number, page by page.
func ExampleClient_All() {
	c, stop := connectExample()
	defer stop()
	since := time.Date(2026, 3, 4, 12, 0, 2, 0, time.UTC)
	for e, err := range c.All(context.Background(), client.EventsQuery{Start: since}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.ResourceName, e.Revision)
	}
	// Output:
	// web 2
	// web 3
}

// All versions of one object, with the whole object in each.
func ExampleClient_Versions() {
	c, stop := connectExample()
	defer stop()
	q := client.ObjectQuery{Namespace: "shop", Resource: "deployments.apps", Name: "web", Order: history.NewestFirst}
	for e, err := range c.Versions(context.Background(), q) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Revision, e.Kind, len(e.ObjectChanges) > 0)
	}
	// Output:
	// 3 Deployment true
	// 2 Deployment true
	// 1 Deployment true
}

// Every change from a time on, also those that are still to come. The loop goes
// on over restarts of the recorder.
func ExampleClient_Watch() {
	c, stop := connectExample()
	defer stop()
	q := client.EventsQuery{Start: time.Date(2026, 3, 4, 12, 0, 2, 0, time.UTC), Summary: true}
	for u, err := range c.Watch(context.Background(), q) {
		if err != nil {
			log.Fatal(err) // nothing can be read any more
		}
		switch u.Type {
		case client.Recorded:
			fmt.Println(u.Event.ResourceName, u.Event.Summary)
			q.Cursor = u.Cursor // store it to continue from here in another process
		case client.GapChanged:
			fmt.Println("Changes may be missing:", u.Gap.Resource, u.Gap.Reason)
		case client.Disconnected:
			fmt.Println("Connecting again:", u.Err)
		}
		if u.Event.Revision == 3 {
			break // a real program goes on
		}
	}
	// Output:
	// Changes may be missing: deployments forbidden
	// web image app 1.0 → 1.1
	// web image app 1.1 → 1.2
}

// Why changes may be missing.
func ExampleClient_Gaps() {
	c, stop := connectExample()
	defer stop()
	gaps, err := c.Gaps(context.Background(), client.GapsQuery{Resources: []string{"deploy"}})
	if err != nil {
		log.Fatal(err)
	}
	for _, g := range gaps {
		fmt.Println(g.Resource, g.Start.Format(time.TimeOnly), g.Reason, g.Detail)
	}
	// Output:
	// deployments 11:00:00 forbidden deployments.apps is forbidden
}

// A deployment as it was at a time.
func ExampleClient_State() {
	c, stop := connectExample()
	defer stop()
	page, err := c.State(context.Background(), client.StateQuery{
		At:        time.Date(2026, 3, 4, 12, 0, 2, 0, time.UTC),
		Namespace: "shop",
		Resources: []string{"deployments.apps"},
		Name:      "web",
		Strip:     true, // as kubectl apply accepts it
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, item := range page.Items { // each is a complete object
		fmt.Println(imageOf(item))
	}
	if page.Gaps > 0 {
		fmt.Println("The state may be older:", page.NewestGaps[0].Reason)
	}
	// Output:
	// shop:1.1
	// The state may be older: forbidden
}

// All objects of a namespace as they are now, page by page.
func ExampleClient_Objects() {
	c, stop := connectExample()
	defer stop()
	for item, err := range c.Objects(context.Background(), client.StateQuery{Namespace: "shop"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(imageOf(item))
	}
	// Output:
	// shop:1.2
}

// imageOf returns the image of a deployment's first container.
func imageOf(deployment []byte) string {
	var d struct {
		Spec struct {
			Template struct {
				Spec struct{ Containers []struct{ Image string } }
			}
		}
	}
	if err := json.Unmarshal(deployment, &d); err != nil || len(d.Spec.Template.Spec.Containers) == 0 {
		log.Fatal("not a deployment: ", err)
	}
	return d.Spec.Template.Spec.Containers[0].Image
}

// What changed between two times.
func ExampleClient_Differences() {
	c, stop := connectExample()
	defer stop()
	for d, err := range c.Differences(context.Background(), client.CompareQuery{
		From: time.Date(2026, 3, 4, 12, 0, 1, 0, time.UTC),
		To:   time.Date(2026, 3, 4, 12, 0, 3, 0, time.UTC),
	}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(d.Change, d.ResourceType, d.ResourceName, d.FromRevision, d.ToRevision, d.Summary)
		for _, c := range d.Changes {
			fmt.Println(c.Path, string(c.Old), string(c.New))
		}
	}
	// Output:
	// changed deployments web 1 3 image app 1.0 → 1.2
	// spec.template.spec.containers[name=app].image "shop:1.0" "shop:1.2"
}

// connectExample returns a client of the recorder of startExampleRecorder. stop
// ends both.
func connectExample() (c *client.Client, stop func()) {
	url, stopRecorder := startExampleRecorder()
	c, err := client.New(url, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		if err := c.Close(); err != nil {
			log.Fatal(err)
		}
		stopRecorder()
	}
}

// startExampleRecorder serves the API of a recorder that has observed three
// versions of a deployment, one second apart. stop ends it.
func startExampleRecorder() (url string, stop func()) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "watchhistory-example-")
	if err != nil {
		log.Fatal(err)
	}
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	recorder, err := recordertest.OpenAPI(dir, func() time.Time { return now })
	if err != nil {
		log.Fatal(err)
	}
	err = recorder.Record(ctx, []history.Resource{{
		Group: "apps", Version: "v1", Plural: "deployments", Kind: "Deployment",
		ShortNames: []string{"deploy"}, Namespaced: true,
	}}, &history.Batch{Gaps: []history.Gap{{
		Group: "apps", Resource: "deployments", Start: now.Add(-time.Hour),
		Reason: history.GapForbidden, Detail: "deployments.apps is forbidden",
	}}})
	if err != nil {
		log.Fatal(err)
	}
	web := history.ObjectRef{Group: "apps", Resource: "deployments", Namespace: "shop", Name: "web", UID: "8a1e"}
	for i, verb := range []history.Verb{history.Create, history.Update, history.Update} {
		now = now.Add(time.Second)
		err := recorder.Record(ctx, nil, &history.Batch{Versions: []history.NewVersion{{Record: &history.Record{
			Ref: web, Version: "v1", Kind: "Deployment", Verb: verb, RV: fmt.Sprint(100 + i),
			Object: fmt.Appendf(nil, `{"kind":"Deployment",`+
				`"spec":{"template":{"spec":{"containers":[{"name":"app","image":"shop:1.%d"}]}}}}`, i),
		}}}})
		if err != nil {
			log.Fatal(err)
		}
	}
	server := httptest.NewServer(recorder)
	return server.URL, func() {
		server.Close()
		if err := errors.Join(recorder.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}
