package access

import (
	"context"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/watchhistory/watchhistory/pkg/access/internal/outage"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// namespacesLife is how long a list of namespaces is used.
const namespacesLife = 30 * time.Second

// namespaces lists the namespaces that exist now. It is safe for concurrent
// use.
//
// Invariants: a list is read after the newest right was granted. So a right in
// a namespace that was deleted and created again is never applied to the
// creation time of the earlier one. And it is read after the newest record of a
// namespace that it lacks. So a new namespace has no record that its readers
// miss.
type namespaces struct {
	client metadata.Getter
	log    *outage.Log
	now    func() time.Time
	flight singleflight.Group

	mu      sync.Mutex // guards the fields below
	rights  uint64     // rights that were granted until now
	current namespaceList
}

// namespaceList is one list of namespaces.
type namespaceList struct {
	created map[string]time.Time
	read    time.Time // before the request
	rights  uint64    // granted until then
}

// lacks returns the time of the newest record of a namespace that the list does
// not have, or zero.
func (l *namespaceList) lacks(had history.Activity) time.Time {
	newest := had.Unknown
	for namespace, at := range had.Newest {
		if _, exists := l.created[namespace]; !exists && at.After(newest) {
			newest = at
		}
	}
	return newest
}

// newNamespaces returns namespaces that were not listed yet.
func newNamespaces(client metadata.Interface, log *outage.Log, now func() time.Time) *namespaces {
	resource := schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	return &namespaces{client: client.Resource(resource), log: log, now: now}
}

// granted makes the current list outdated, because a right was granted.
func (n *namespaces) granted() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rights++
}

// list returns the namespaces with the times of their creation, in whole
// seconds. had are namespaces that had records. The caller must not modify the
// map.
func (n *namespaces) list(ctx context.Context, had history.Activity) (map[string]time.Time, error) {
	n.mu.Lock()
	rights, current := n.rights, n.current
	n.mu.Unlock()
	now, after := n.now(), current.lacks(had)
	if after.After(now) { // the clock was set back
		after = now
	}
	if current.created != nil && current.rights >= rights && now.Sub(current.read) < namespacesLife &&
		!current.read.Before(after) {
		return current.created, nil
	}
	// A request that began before the right was granted, or before the record,
	// is not shared.
	flight := strconv.FormatUint(rights, 10) + " " + strconv.FormatInt(after.UnixNano(), 10)
	answer := n.flight.DoChan(flight, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
		defer cancel()
		return n.read(ctx)
	})
	select {
	case a := <-answer:
		if a.Err != nil {
			return nil, a.Err //nolint:wrapcheck // read has named the operation
		}
		return a.Val.(map[string]time.Time), nil //nolint:forcetypeassert,errcheck // what read returns
	case <-ctx.Done():
		return nil, unavailable(ctx)
	}
}

// read lists the namespaces and stores the list, unless a newer one is stored.
func (n *namespaces) read(ctx context.Context) (map[string]time.Time, error) {
	operation := outage.Operation{Name: "list the namespaces", Grant: "grant list of namespaces to the recorder"}
	n.mu.Lock()
	l := namespaceList{read: n.now(), rights: n.rights, created: map[string]time.Time{}}
	n.mu.Unlock()
	all, err := n.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, n.log.Error(ctx, operation, err)
	}
	n.log.Success(ctx, operation)
	for i := range all.Items {
		l.created[all.Items[i].Name] = all.Items[i].CreationTimestamp.Time
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !l.read.Before(n.current.read) && l.rights >= n.current.rights {
		n.current = l
	}
	return l.created, nil
}
