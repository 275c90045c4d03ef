package local

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

const (
	catchUpWithin = 30 * time.Second
	listPage      = 500
	listsAtOnce   = 8
)

// listing is what the API server has of a resource: the least that the record
// must have.
type listing struct {
	resource history.Resource
	rv       string // of the list; "" if there is nothing to wait for
	objects  map[types.UID]*listed
}

// listed is an object of a listing.
type listed struct {
	ref      history.ObjectRef
	rv       string
	recorded bool // in this version or a later one
}

// CaughtUp waits until the record has everything that the API server had
// accepted before the call. It lists the recorded resources, and waits until
// each object is recorded in that version or a later one, and the deletion of
// each other one. After half a minute, or when ctx ends, the error names the
// resources of which the record lacks something.
func (r *Recorder) CaughtUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, catchUpWithin, fmt.Errorf("not caught up within %s", catchUpWithin))
	defer cancel()
	behind, err := r.list(ctx)
	if err != nil {
		return err
	}
	return r.wait(ctx, func() (string, error) {
		var still []*listing
		var names []string
		for _, l := range behind {
			name := l.resource.GroupResource().String()
			lacks, err := r.isBehind(ctx, l)
			if err != nil && ctx.Err() == nil {
				return "", fmt.Errorf("read the record of %s: %w", name, err)
			}
			if lacks || err != nil {
				still, names = append(still, l), append(names, name)
			}
		}
		behind = still
		if len(behind) == 0 {
			return "", nil
		}
		return "the record lacks changes of " + shortened(names), nil
	})
}

// list lists the recorded resources.
func (r *Recorder) list(ctx context.Context) ([]*listing, error) {
	s := r.survey()
	resources := s.observed
	for _, status := range s.pending { // they may come back before the timeout
		if status.Synced {
			resources = append(resources, status.Resource)
		}
	}
	var mu sync.Mutex // guards all
	var all []*listing
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listsAtOnce)
	for _, resource := range resources {
		group.Go(func() error {
			l, err := r.listObjects(ctx, resource)
			if err != nil {
				return fmt.Errorf("list %s: %w", resource.GroupResource(), err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, l)
			return nil
		})
	}
	return all, group.Wait()
}

// listObjects lists the metadata of a resource. A resource that was removed or
// refused meanwhile has nothing to wait for.
func (r *Recorder) listObjects(ctx context.Context, resource history.Resource) (*listing, error) {
	client := r.objects.Resource(schema.GroupVersionResource{
		Group: resource.Group, Version: resource.Version, Resource: resource.Plural,
	})
	l := &listing{resource: resource, objects: map[types.UID]*listed{}}
	namespace := ""
	if resource.Namespaced {
		namespace = r.opts.Namespace
	}
	options := metav1.ListOptions{Limit: listPage}
	for {
		page, err := client.Namespace(namespace).List(ctx, options)
		switch {
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err), apierrors.IsMethodNotSupported(err):
			return &listing{resource: resource}, nil
		case apierrors.IsResourceExpired(err) && options.Limit > 0: // the pages took too long
			clear(l.objects)
			l.rv, options = "", metav1.ListOptions{}
			continue
		case err != nil:
			return nil, err
		}
		if l.rv == "" { // of the first page, as that of all others
			l.rv = page.ResourceVersion
		}
		for i := range page.Items {
			o := &page.Items[i]
			l.objects[o.UID] = &listed{rv: o.ResourceVersion, ref: history.ObjectRef{
				Group: resource.Group, Resource: resource.Plural, Namespace: o.Namespace, Name: o.Name, UID: o.UID,
			}}
		}
		if page.Continue == "" {
			return l, nil
		}
		options.Continue = page.Continue
	}
}

// isBehind reports whether the record lacks something of a listing.
func (r *Recorder) isBehind(ctx context.Context, l *listing) (bool, error) {
	if l.rv == "" {
		return false, nil
	}
	log, undeleted := r.daemon.Log(), false
	for h, err := range log.Heads(ctx, l.resource.GroupResource()) {
		if err != nil {
			return false, err
		}
		o := l.objects[h.Ref.UID]
		switch {
		case o != nil:
			o.recorded = o.recorded || !history.Older(h.RV, o.rv)
		case !history.Older(l.rv, h.RV): // not newer than the list
			undeleted = true
		}
	}
	for _, o := range l.objects {
		if o.recorded {
			continue
		}
		// It may have been recorded, and deleted after the list.
		last, err := log.Latest(ctx, o.ref)
		switch {
		case history.CodeOf(err) == history.NotFound:
			return true, nil
		case err != nil:
			return false, err
		case last.Verb != history.Delete:
			return true, nil
		}
		o.recorded = true
	}
	return undeleted, nil
}
