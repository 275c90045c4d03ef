package report

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// UnhealthyQuery selects objects that have a problem.
type UnhealthyQuery struct {
	Namespace history.NamespaceScope
	At        time.Time // inclusive; zero: now
	Causes    int       // changes that may have caused a problem, for each object
	Limit     int       // objects
}

// The bounds of the work on one answer.
const (
	maxAsked      = 50 // objects about which Unhealthy asks
	maxOwnerDepth = 4  // owners of owners
)

// Unhealthy returns what is wrong with the objects that have a problem: first
// those of rows, the newest row first, and then others, whose problem began
// before the rows or before the recording. Instead of an object, it returns the
// answer about its outermost owner, if that includes a problem. It reports
// whether there may be more answers.
func Unhealthy(
	ctx context.Context, source *client.Client, rows []v1.Row, q UnhealthyQuery,
) (answers []v1.Why, more bool, err error) {
	u := &unhealthy{
		source: source, q: q, asked: map[named]bool{}, owners: map[types.UID]*owned{}, answers: []v1.Why{},
	}
	for _, row := range slices.Backward(rows) {
		failing := row.Kind == "problem" || row.Outcome != nil && row.Outcome.State == "failing"
		of := row.Object
		if !failing || of.ResourceType == "" || row.Objects > 1 {
			continue
		}
		_, err := u.ask(ctx, named{of.Group, of.Kind, of.Namespace, of.Name}, of.ResourceType)
		if err != nil || u.more {
			return u.answers, u.more, err
		}
	}
	err = u.others(ctx)
	return u.answers, u.more, err
}

// named identifies an object.
type named struct{ group, kind, namespace, name string }

// owned is an object with its owners.
type owned struct {
	named
	owners []metav1.OwnerReference
}

// unhealthy collects answers.
type unhealthy struct {
	source *client.Client
	q      UnhealthyQuery

	asked   map[named]bool       // the value reports a problem
	owners  map[types.UID]*owned // nil: not found
	answers []v1.Why
	more    bool
}

// ask adds the answer about an object, unless that was done. It reports whether
// the object has a problem. resource is its plural or kind.
func (u *unhealthy) ask(ctx context.Context, of named, resource string) (failing bool, err error) {
	if failing, done := u.asked[of]; done {
		return failing, nil
	}
	if len(u.answers) == u.q.Limit || len(u.asked) == maxAsked {
		u.more = true
		return false, nil
	}
	page, err := u.source.Why(ctx, client.WhyQuery{
		At: u.q.At, Namespace: history.ScopeOf(of.namespace), Name: of.name, Limit: u.q.Causes,
		Resource: schema.GroupResource{Group: of.group, Resource: resource}.String(),
	})
	missing := history.CodeOf(err) == history.NotFound // it was deleted
	if err != nil && !missing {
		return false, err
	}
	failing = !missing && len(page.Symptoms) > 0
	if failing {
		u.answers = append(u.answers, page.Why)
	}
	u.asked[of] = failing
	return failing, nil
}

// others asks about the objects that have a problem at the time.
func (u *unhealthy) others(ctx context.Context) error {
	for text, err := range u.source.Objects(ctx, client.StateQuery{
		At: u.q.At, Namespace: u.q.Namespace, Problem: true,
	}) {
		if code := history.CodeOf(err); code == history.NotFound || code == history.Gone {
			return nil // nothing was recorded at the time
		}
		if err != nil {
			return err
		}
		object := parseOwned(text)
		if object == nil {
			continue
		}
		top, err := u.outermost(ctx, object)
		if err != nil {
			return err
		}
		failing, err := u.ask(ctx, top.named, top.kind)
		if err == nil && !failing {
			_, err = u.ask(ctx, object.named, object.kind)
		}
		if err != nil || u.more {
			return err
		}
	}
	return nil
}

// outermost returns the outermost owner of an object that the caller can see,
// or the object. A node owns its static pods, but not their problems.
func (u *unhealthy) outermost(ctx context.Context, o *owned) (*owned, error) {
	for range maxOwnerDepth {
		controller := slices.IndexFunc(o.owners, func(r metav1.OwnerReference) bool {
			return r.Controller != nil && *r.Controller
		})
		if controller < 0 || o.owners[controller].Kind == "Node" {
			break
		}
		next, err := u.owner(ctx, o, o.owners[controller].UID)
		if err != nil {
			return nil, err
		}
		if next == nil {
			break
		}
		o = next
	}
	return o, nil
}

// owner returns the owner of an object with a UID, or nil.
func (u *unhealthy) owner(ctx context.Context, of *owned, uid types.UID) (*owned, error) {
	if found, known := u.owners[uid]; known {
		return found, nil
	}
	scopes := []history.NamespaceScope{history.ScopeOf(of.namespace)}
	if of.namespace != "" {
		scopes = append(scopes, history.ClusterScoped)
	}
	for _, scope := range scopes {
		page, err := u.source.State(ctx, client.StateQuery{
			At: u.q.At, Namespace: scope, UID: string(uid), Limit: 1,
		})
		if history.CodeOf(err) == history.NotFound {
			continue // nothing of the scope is recorded
		}
		if err != nil {
			return nil, err
		}
		if len(page.Items) > 0 {
			u.owners[uid] = parseOwned(page.Items[0])
			return u.owners[uid], nil
		}
	}
	u.owners[uid] = nil
	return nil, nil
}

// parseOwned parses an object, or returns nil if it has no name.
func parseOwned(text json.RawMessage) *owned {
	var o metav1.PartialObjectMetadata
	if json.Unmarshal(text, &o) != nil || o.Name == "" || o.Kind == "" {
		return nil
	}
	return &owned{
		named:  named{o.GroupVersionKind().Group, o.Kind, o.Namespace, o.Name},
		owners: o.OwnerReferences,
	}
}
