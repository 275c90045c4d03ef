package report_test

import (
	"fmt"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/report"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// existing returns the first version of an object that existed when its
// recording began. owner is a UID, or empty.
func existing(group, plural, kind, name, owner, status string) history.NewVersion {
	apiVersion, owners := "v1", ""
	r := &history.Record{
		Ref: history.ObjectRef{
			Group: group, Resource: plural, Namespace: "shop", Name: name, UID: types.UID("uid-" + name),
		},
		Version: "v1", Kind: kind, Verb: history.Create, RV: "1", Initial: true,
	}
	if group != "" {
		apiVersion = group + "/v1"
	}
	if owner != "" {
		r.Owners = []types.UID{types.UID("uid-" + owner)}
		owners = fmt.Sprintf(`,"ownerReferences":[{"apiVersion":"v1","kind":"Owner","name":%q,"uid":"uid-%[1]s",`+
			`"controller":true}]`, owner)
	}
	r.Object = fmt.Appendf(nil, `{"apiVersion":%q,"kind":%q,`+
		`"metadata":{"name":%q,"namespace":"shop","uid":"uid-%[3]s"%s},`+
		`"spec":{"replicas":1,"containers":[{"name":"app"}]},"status":%s}`, apiVersion, kind, name, owners, status)
	return history.NewVersion{Record: r}
}

// What was broken when the recording began is reported, although no change of
// it is recorded. Of an object and its owners, it is reported once.
func TestUnhealthy_BrokenBeforeTheRecording(t *testing.T) {
	const (
		failing = `{"phase":"Pending","containerStatuses":[{"name":"app","ready":false,` +
			`"state":{"waiting":{"reason":"ImagePullBackOff","message":"image not found"}}}]}`
		ready = `{"phase":"Running","containerStatuses":[{"name":"app","ready":true,"state":{"running":{}}}]}`
	)
	resources := []history.Resource{
		{Group: "apps", Version: "v1", Plural: "deployments", Kind: "Deployment", Namespaced: true},
		{Group: "apps", Version: "v1", Plural: "replicasets", Kind: "ReplicaSet", Namespaced: true},
		{Version: "v1", Plural: "pods", Kind: "Pod", Namespaced: true},
	}
	api := recordertest.NewAPI(t, resources, &history.Batch{Versions: []history.NewVersion{
		existing("apps", "deployments", "Deployment", "web", "", `{"replicas":2,"readyReplicas":1}`),
		existing("apps", "replicasets", "ReplicaSet", "web-1", "web", `{"replicas":2,"readyReplicas":1}`),
		existing("", "pods", "Pod", "web-1-a", "web-1", failing),
		existing("", "pods", "Pod", "web-1-b", "web-1", failing),
		existing("", "pods", "Pod", "alone", "", failing),
		existing("", "pods", "Pod", "orphan", "hidden", failing),
		existing("", "pods", "Pod", "sound", "", ready),
	}, Checkpoints: []history.Checkpoint{
		{Group: "apps", Resource: "deployments", RV: "1"},
		{Group: "apps", Resource: "replicasets", RV: "1"},
		{Resource: "pods", RV: "1"},
	}})
	source := serve(t, api)
	names := func(limit int) (got []string, more bool) {
		t.Helper()
		answers, more, err := report.Unhealthy(t.Context(), source, nil, report.UnhealthyQuery{
			Namespace: history.ScopeOf("shop"), Causes: 3, Limit: limit,
		})
		if err != nil {
			t.Fatal(err)
		}
		for i := range answers {
			got = append(got, answers[i].Object.Kind+"/"+answers[i].Object.Name)
		}
		return got, more
	}
	got, more := names(9)
	if want := []string{"Pod/alone", "Pod/orphan", "Deployment/web"}; !slices.Equal(got, want) || more {
		t.Errorf("got %v, more %t, want %v and no more", got, more, want)
	}
	if got, more := names(2); len(got) != 2 || !more {
		t.Errorf("limit 2: got %v, more %t, want 2 objects and more", got, more)
	}
}
