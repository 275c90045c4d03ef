package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func object(t *testing.T, s *server, target string) (v1.ObjectHistory, http.Header) {
	t.Helper()
	code, header, body := s.get(target)
	var h v1.ObjectHistory
	if err := json.Unmarshal([]byte(body), &h); code != http.StatusOK || err != nil {
		t.Fatalf("%s: got %d %s, error %v, want 200 with a history", target, code, body, err)
	}
	if h.WatchEvents == nil || h.RelatedEvents == nil {
		t.Errorf("%s: got %s, want lists that are not null", target, body)
	}
	return h, header
}

// story appends a Deployment with a ReplicaSet, Events regarding both, and a
// node.
func story(s *server) {
	deployment := change(history.Create, "deployments", "shop", "web", `{"kind":"Deployment"}`)
	set := change(history.Create, "replicasets", "shop", "web-1", `{}`)
	set.Owners = []types.UID{deployment.Ref.UID}
	s.put(
		deployment, set,
		change(history.Update, "deployments", "shop", "web", `{"kind":"Deployment","spec":{"replicas":3}}`),
		regarding("e1", deployment, `{"type":"Normal","reason":"ScalingReplicaSet","message":"Scaled up"}`),
		regarding("e2", set, `{"type":"Warning","reason":"FailedCreate","message":"exceeded quota"}`),
		change(history.Create, "nodes", "", "node-1", `{"kind":"Node"}`),
	)
}

func TestObject_AnswersHistory(t *testing.T) {
	s := newServer(t, api.Options{})
	story(s)
	h, header := object(t, s, "/api/v1/events/shop/deploy/web")
	if h.Namespace != "shop" || h.ResourceType != "deployments" || h.ResourceName != "web" ||
		len(h.WatchEvents) != 2 || len(h.RelatedEvents) != 1 {
		t.Errorf("got %+v, want 2 versions of shop/web and 1 Event", h)
	}
	if header.Get("X-Total-Count") != "3" || header.Get("X-Has-More") != "false" ||
		header.Get("Content-Type") != "application/json" {
		t.Errorf("headers: got %v, want 3 matches, no more, JSON", header)
	}
	if got, want := h.RelatedEvents[0].Summary, "ScalingReplicaSet: Scaled up"; got != want {
		t.Errorf("summary of the Event: got %q, want %q", got, want)
	}
	h, _ = object(t, s, "/api/v1/events/shop/deployments/web?descendants=true&order=desc")
	if len(h.RelatedEvents) != 2 ||
		h.RelatedEvents[0].Message != "Create events shop/e2: FailedCreate: exceeded quota" {
		t.Errorf("with descendants: got %+v, want e2 and e1", h.RelatedEvents)
	}
	h, _ = object(t, s, "/api/v1/events/shop/deployments/web?revision=2&summary=true")
	if len(h.WatchEvents) != 1 || h.WatchEvents[0].Revision != 2 || h.WatchEvents[0].ObjectChanges != nil ||
		h.WatchEvents[0].Summary == "" {
		t.Errorf("revision 2: got %+v, want one version without a body", h.WatchEvents)
	}
	h, _ = object(t, s, "//api/v1/events/-/nodes/node-1/")
	if h.Namespace != "" || len(h.WatchEvents) != 1 || h.WatchEvents[0].RequestURI != "/api/v1/nodes/node-1" {
		t.Errorf("a node: got %+v, want one version", h)
	}
}

func TestObject_UnknownIs404OrEmpty(t *testing.T) {
	s := newServer(t, api.Options{})
	story(s)
	for _, target := range []string{
		"/api/v1/events/shop/pods/missing", "/api/v1/events/shop/gadgets/web", "/api/v1/events/-/deployments/web",
		"/api/v1/events/shop/nodes/node-1", "/api/v1/events/shop/deploy/web?uid=other",
		"/api/v1/events/shop/deploy/web?group=batch",
	} {
		code, header, body := s.get(target)
		if code != http.StatusNotFound || body != "no events found for this object\n" ||
			!strings.HasPrefix(header.Get("Content-Type"), "text/plain") {
			t.Errorf("%s: got %d %q, want 404 with the fixed text", target, code, body)
		}
		h, _ := object(t, s, target+cond(strings.Contains(target, "?"), "&", "?")+"empty=200")
		if len(h.WatchEvents)+len(h.RelatedEvents) != 0 {
			t.Errorf("%s with empty=200: got %+v, want empty lists", target, h)
		}
	}
}

func cond(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// An object that was never recorded may have Events.
func TestObject_MayHaveOnlyEvents(t *testing.T) {
	s := newServer(t, api.Options{})
	s.put(regarding("e1", change(history.Create, "pods", "shop", "ghost", ""), `{"reason":"Killing"}`))
	h, _ := object(t, s, "/api/v1/events/shop/pods/ghost")
	if len(h.WatchEvents) != 0 || len(h.RelatedEvents) != 1 {
		t.Errorf("got %+v, want no version and one Event", h)
	}
}

func TestObject_PagesOfBothListsAreComplete(t *testing.T) {
	s := newServer(t, api.Options{})
	pod := change(history.Create, "pods", "shop", "web", `{}`)
	s.put(pod)
	for range 3 {
		s.put(change(history.Update, "pods", "shop", "web", `{}`))
	}
	for _, name := range []string{"e1", "e2", "e3", "e4", "e5", "e6"} {
		s.put(regarding(name, pod, `{}`))
	}
	for _, order := range []string{"asc", "desc"} {
		var revisions []uint64
		var events []string
		target := "/api/v1/events/shop/pods/web?limit=2&order=" + order
		for pages := 0; target != ""; pages++ {
			h, header := object(t, s, target)
			for _, e := range h.WatchEvents {
				revisions = append(revisions, e.Revision)
			}
			for _, e := range h.RelatedEvents {
				events = append(events, e.ResourceName)
			}
			target = ""
			if next := header.Get("X-Next-Cursor"); next != "" && pages < 10 {
				target = "/api/v1/events/shop/pods/web?limit=2&order=" + order + "&cursor=" + next
			}
			if header.Get("X-Total-Count") != "10" {
				t.Errorf("total: got %q, want 10", header.Get("X-Total-Count"))
			}
		}
		if order == "desc" {
			slices.Reverse(revisions)
			slices.Reverse(events)
		}
		if !slices.Equal(revisions, []uint64{1, 2, 3, 4}) ||
			!slices.Equal(events, []string{"e1", "e2", "e3", "e4", "e5", "e6"}) {
			t.Errorf("%s: got revisions %v, Events %v, want 1 to 4, e1 to e6", order, revisions, events)
		}
	}
}
