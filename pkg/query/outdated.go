package query

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// User is an object that uses a ConfigMap or a Secret.
type User struct {
	Subject
	// OutdatedPods is the number of its pods that run with the contents before
	// the change: they took environment variables from it, and started earlier.
	// Pods that the caller may not read are not counted.
	OutdatedPods int
}

// use is a relation of an object to a ConfigMap or a Secret.
type use struct {
	Subject
	// environment means that pods take environment variables from it, which
	// they keep until they are replaced. Mounted files are updated.
	environment bool
}

// environmentRules are the rules of such relations.
var environmentRules = []string{"env", "envFrom"} //nolint:gochecknoglobals // a constant table

// longRunning are the resources whose pods run until they are replaced.
var longRunning = []schema.GroupResource{ //nolint:gochecknoglobals // a constant table
	{Group: "apps", Resource: "deployments"},
	{Group: "apps", Resource: "statefulsets"},
	{Group: "apps", Resource: "daemonsets"},
}

// addUse adds a use. An object that uses a ConfigMap in several ways is listed
// once.
func addUse(uses []use, u use) []use {
	i := slices.IndexFunc(uses, func(other use) bool { return other.Subject == u.Subject })
	if i < 0 {
		return append(uses, u)
	}
	uses[i].environment = uses[i].environment || u.environment
	return uses
}

// users returns the users of what a row changed last, with their outdated pods.
func (f *folding) users(ctx context.Context, row *FoldedRow) ([]User, error) {
	change := row.Last().Record
	uses, err := f.usesIn(ctx, change.Ref.Namespace)
	if err != nil {
		return nil, err
	}
	var users []User
	for _, u := range uses[subjectKey{change.Ref.GroupResource(), change.Ref.Name}] {
		user := User{Subject: u.Subject}
		if u.environment && change.Verb == history.Update && slices.Contains(longRunning, u.Ref.GroupResource()) {
			created, err := f.podsIn(ctx, change.Ref.Namespace)
			if err != nil {
				return nil, err
			}
			for _, at := range created[u.Ref.UID] {
				if at.Before(changedAt(change)) {
					user.OutdatedPods++
				}
			}
		}
		users = append(users, user)
	}
	return users, nil
}

// changedAt returns the time of a change in whole seconds, which a
// creationTimestamp has, too: by the API server's clock if that is known.
func changedAt(r *history.Record) time.Time {
	at := time.Time{}
	for i := range r.Managers {
		if t := r.Managers[i].Time; t.After(at) {
			at = t
		}
	}
	if at.IsZero() {
		at = r.Time
	}
	return at.Truncate(time.Second)
}

// hasEnded reports whether all containers of a pod ended and none restarts.
func hasEnded(pod []byte) bool {
	var o struct{ Status struct{ Phase string } }
	if json.Unmarshal(pod, &o) != nil {
		return false
	}
	return o.Status.Phase == "Succeeded" || o.Status.Phase == "Failed"
}

// podsIn returns when the pods of a namespace were created that run at the end
// of the page, by their outermost owner. In a namespace with many pods,
// only the first ones are read.
func (f *folding) podsIn(ctx context.Context, namespace string) (map[types.UID][]time.Time, error) {
	f.mu.Lock()
	known, read := f.pods[namespace]
	f.mu.Unlock()
	if read {
		return known, nil
	}
	filter := history.Filter{
		Namespace: history.ScopeOf(namespace), Resources: []schema.GroupResource{podsOf}, View: f.view,
	}
	var pods []*history.Record
	scan := history.StateScan{Filter: filter, At: f.present().Add(-1), Limit: maxSelectable, Bodies: true}
	for r, err := range f.service.reader.State(ctx, scan) {
		if history.CodeOf(err) == history.NotFound {
			break // before the retention
		}
		if err != nil {
			return nil, err
		}
		if !hasEnded(r.Object) {
			pods = append(pods, withoutObject(r))
		}
	}
	created := map[types.UID][]time.Time{}
	for _, r := range pods {
		chain, err := f.chain(ctx, r)
		if err != nil {
			return nil, err
		}
		if top := chain[len(chain)-1]; !r.Created.IsZero() {
			created[top.Ref.UID] = append(created[top.Ref.UID], r.Created)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pods[namespace] = created
	return created, nil
}
