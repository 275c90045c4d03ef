package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/report"
	"github.com/watchhistory/watchhistory/pkg/restore"
)

// read reads the objects that are to be restored.
func (r *restoration) read(ctx context.Context, targets []target) error {
	if targets[0].isNamespace() {
		return r.readNamespace(ctx, &targets[0])
	}
	r.from, r.revisions, r.now = map[restore.Key]string{}, map[restore.Key]uint64{}, restore.State{}
	for i := range targets {
		if err := r.readObject(ctx, &targets[i]); err != nil {
			return err
		}
	}
	return r.addDefinitions(ctx, time.Time{})
}

// readObject reads one named object.
func (r *restoration) readObject(ctx context.Context, t *target) error {
	e, err := r.version(ctx, t)
	if err != nil {
		return err
	}
	o, err := r.objectOf(ctx, e)
	if err != nil {
		return err
	}
	if r.from[o.Key()] != "" {
		return withAdvice("Leave out one of them.", "%s is given twice", o)
	}
	o.Named = true
	r.objects = append(r.objects, o)
	r.revisions[o.Key()] = e.Revision
	r.from[o.Key()] = fmt.Sprintf("as in revision %d of %s", e.Revision, r.clock(e.Timestamp))
	if strings.Contains(string(e.ObjectChanges), "hmac-sha256:") {
		now, err := r.session.state(ctx, []client.StateQuery{{
			Namespace: history.ScopeOf(o.Namespace), Resources: []string{t.resourceArg()}, Name: o.Name,
		}})
		if err != nil {
			return err
		}
		for _, o := range now.objects {
			r.now[o.Key()] = o
		}
	}
	return nil
}

// objectOf returns the object of a version.
func (r *restoration) objectOf(ctx context.Context, e *v1.Event) (*restore.Object, error) {
	o, err := r.session.objectOf(ctx, e.ObjectChanges)
	if err != nil {
		return nil, err
	}
	version, err := schema.ParseGroupVersion(e.APIVersion)
	if err != nil {
		return nil, fmt.Errorf("read revision %d of %s: %w", e.Revision, e.ResourceName, err)
	}
	o.GVR, o.Kind = version.WithResource(e.ResourceType), e.Kind
	o.Namespace, o.Name = e.Namespace, e.ResourceName
	metadata, _ := o.Body["metadata"].(map[string]any)
	if metadata == nil {
		return nil, history.Errorf(history.Internal,
			"revision %d of %s was recorded without its contents", e.Revision, o)
	}
	metadata["uid"] = e.UID
	return o, nil
}

// version returns the version that a target selects: that of its revision or
// time, or the last one before the object was deleted.
func (r *restoration) version(ctx context.Context, t *target) (*v1.Event, error) {
	given := &r.restoreOptions.at
	if t.ref.isSet() && given.isSet() {
		return nil, withAdvice("Leave out one of them.",
			"--at can't be combined with a revision or a time after the name")
	}
	if err := r.resolveMoments(ctx, r.session, r.location, &t.ref.at, given); err != nil {
		return nil, err
	}
	ref := t.ref
	if given.isSet() {
		ref.at = *given
	}
	v := newVersions(r.session, &r.env, t.subject, r.uid)
	if !ref.isSet() {
		return r.lastVersion(ctx, v, t)
	}
	e, err := v.version(ctx, &ref)
	switch {
	case ref.at.isSet() && history.CodeOf(err) == history.NotFound:
		return nil, r.withDeleteCommand(ctx, t, ref.at.time, err)
	case err != nil:
		return nil, err
	case ref.at.isSet() && e.Verb == history.Delete.String():
		return nil, history.WithHint(
			history.Errorf(history.NotFound, "%s%s did not exist at %s: it was deleted at %s",
				t.subject, r.in(t.subject), r.clock(ref.at.time), r.clock(e.Timestamp)),
			r.command(t, "restore")+" brings back what it was before that.")
	case e.Verb == history.Delete.String():
		return v.beforeDeletion(ctx)
	}
	gaps, err := v.gapsBetween(ctx, e, &v1.Event{Timestamp: latest(e.Timestamp, ref.at.time)})
	if err == nil {
		r.env.note(gapsNote(len(gaps), true, ""))
	}
	return e, err
}

// withDeleteCommand adds to the error about an object that did not exist at a
// time how to delete it, if it was created later. Before the history begins, it
// may have existed.
func (r *restoration) withDeleteCommand(ctx context.Context, t *target, at time.Time, notFound error) error {
	newest, err := r.session.newestVersions(ctx, t.subject, "", 1)
	if err != nil || len(newest) == 0 || newest[0].Verb == history.Delete.String() {
		return notFound
	}
	page, err := r.session.Events(ctx, client.EventsQuery{
		Namespace: history.ScopeOf(newest[0].Namespace), Resources: []string{t.resourceArg()}, Limit: 1, Summary: true,
	})
	if err != nil || page.Since.After(at) {
		return notFound
	}
	first, err := newVersions(r.session, &r.env, t.subject, newest[0].UID).
		exactly(ctx, history.ScopeOf(newest[0].Namespace), newest[0].UID, 1)
	if err != nil || first[1] == nil || first[1].Initial {
		return notFound // it may have existed before it was recorded
	}
	return history.WithHint(
		history.Errorf(history.NotFound, "%s%s did not exist at %s: it was created at %s", t.subject, r.in(t.subject),
			r.clock(at), r.clock(first[1].Timestamp)),
		"'"+deleteCommand(t.GroupResource(), newest[0].Namespace, t.name)+"' removes it.")
}

// lastVersion returns the last version of an object that was deleted. It fails
// if the object exists.
func (r *restoration) lastVersion(ctx context.Context, v *versions, t *target) (*v1.Event, error) {
	newest, err := v.newestVersion(ctx)
	if err != nil {
		return nil, err
	}
	if newest.Verb != history.Delete.String() {
		found, err := v.exactly(ctx, v.namespaces[0], newest.UID, newest.Revision)
		if err != nil {
			return nil, err
		}
		newest = found[newest.Revision]
		if newest == nil {
			return nil, history.Errorf(history.NotFound, "the newest version of %s is not kept", t.subject)
		}
		o, err := r.objectOf(ctx, newest)
		if err != nil {
			return nil, err
		}
		live, err := r.reader.Get(ctx, o)
		switch {
		case err != nil && !isAPIError(err) && !isOwnError(err):
			return nil, unreachable(err)
		case live != nil && restore.IsBeingDeleted(live):
			return nil, isBeingDeleted(t.subject, r.session.namespace)
		case live != nil || err != nil:
			if earlier, err := r.beforeRestore(ctx, t, newest); earlier != nil || err != nil {
				return earlier, err
			}
			example := t.arg + "#-2"
			if t.isNamespace() {
				example = t.arg + " --at 12:30"
			}
			return nil, withAdvice(r.command(t, "history")+" lists its versions.",
				"%s%s exists: want a revision or a time to go back to, as in restore %s",
				t.subject, r.in(t.subject), example)
		case !restore.IsBeingDeleted(o.Body) && t.isNamespace():
			return nil, history.WithHint(
				history.Errorf(history.Unavailable, "the deletion of %s is not recorded yet", t.subject),
				"Run the same command again, or give a time with --at.")
		case !restore.IsBeingDeleted(o.Body):
			return newest, nil // its deletion is not recorded yet
		}
	}
	return v.beforeDeletion(ctx)
}

// beforeRestore returns what an object was that this command brought back after
// its deletion, so that the same command continues. It returns nil for others.
// newest is the newest version.
func (r *restoration) beforeRestore(ctx context.Context, t *target, newest *v1.Event) (*v1.Event, error) {
	v := newVersions(r.session, &r.env, t.subject, newest.UID)
	first, err := v.exactly(ctx, history.ScopeOf(newest.Namespace), newest.UID, 1)
	if err != nil || first[1] == nil || !slices.ContainsFunc(first[1].Managers, isRestore) {
		return nil, err
	}
	uids, err := r.session.incarnations(ctx, t.subject)
	i := slices.IndexFunc(uids, func(uid string) bool { return uid != newest.UID })
	if err != nil || i < 0 {
		return nil, err
	}
	v = newVersions(r.session, &r.env, t.subject, uids[i])
	last, err := v.newestVersion(ctx)
	if err != nil || last.Verb != history.Delete.String() {
		return nil, err
	}
	return v.beforeDeletion(ctx)
}

// isRestore reports whether a manager is this command: install uses the same
// name, and applies.
func isRestore(m v1.Manager) bool {
	return m.Manager == restore.FieldManager && m.Operation == string(metav1.ManagedFieldsOperationUpdate)
}

// isBeingDeleted returns the error for an object whose deletion has begun.
func isBeingDeleted(sub subject, scope history.NamespaceScope) error {
	scope = sub.namespaceOf(scope)
	return history.WithHint(history.Errorf(history.Unavailable, "%s%s is being deleted", sub, in(scope)),
		fmt.Sprintf("Wait until it is gone, then run the same command again: kubectl wait --for=delete %s/%s%s "+
			"--timeout=5m", sub.GroupResource(), sub.name, namespaceFlag(scope)))
}

// beforeDeletion returns the last version of a deleted object before its
// deletion was requested. newestVersion or version must have been called.
//
// An object with finalizers changes while it is being deleted: controllers
// remove what belongs to it.
func (v *versions) beforeDeletion(ctx context.Context) (*v1.Event, error) {
	var last *v1.Event
	q := v.queries(false)[0]
	q.Limit = previousPage
	for e, err := range v.All(ctx, q) {
		if err != nil {
			return nil, err
		}
		last = &e
		isDeleting := bytes.Contains(e.ObjectChanges, []byte(`"deletionTimestamp"`))
		if e.Verb != history.Delete.String() && !isDeleting {
			return last, nil
		}
	}
	if last == nil {
		return nil, history.Errorf(history.NotFound, "no version of %s is kept from before its deletion", v.subject)
	}
	return last, nil
}

// deletionOf returns when the deletion of an object was requested, or the zero
// time. e is the version before.
func (v *versions) deletionOf(ctx context.Context, e *v1.Event) (time.Time, error) {
	found, err := v.exactly(ctx, history.ScopeOf(e.Namespace), e.UID, e.Revision+1)
	if next := found[e.Revision+1]; err == nil && next != nil {
		return next.Timestamp, nil
	}
	return time.Time{}, err
}

// readNamespace reads a namespace with all its objects.
func (r *restoration) readNamespace(ctx context.Context, t *target) error {
	r.namespace, r.place = t.name, history.ScopeOf(t.name)
	at, deleted, err := r.namespaceTime(ctx, t)
	if err != nil {
		return err
	}
	own := client.StateQuery{
		At: at, Namespace: history.ClusterScoped, Resources: []string{t.resourceArg()}, Name: t.name,
	}
	then, err := r.session.state(ctx, []client.StateQuery{{At: at, Namespace: r.place}, own})
	if err != nil {
		return err
	}
	present, err := r.session.state(ctx, []client.StateQuery{{Namespace: r.place}, {
		Namespace: history.ClusterScoped, Resources: own.Resources, Name: t.name,
	}})
	if err != nil {
		return err
	}
	if r.at = at; at.IsZero() {
		r.at = then.at
	}
	r.now = present.byKey()
	if known, ok := r.reader.(*recorded); ok {
		known.state, known.namespace = r.now, t.name
	}
	for _, o := range then.objects {
		if !history.IsEventResource(o.GVR.GroupResource()) {
			r.objects = append(r.objects, o)
		}
	}
	objects, err := r.addNamespace(ctx, t)
	if err != nil {
		return err
	}
	r.heading = fmt.Sprintf("namespace/%s at %s: %s", t.name, r.clock(r.at), plural(objects, "object"))
	if r.deleted = deleted; !deleted.IsZero() {
		r.heading = fmt.Sprintf("namespace/%s: deleted at %s; %s in it at %s", t.name, r.clock(deleted),
			plural(objects, "object"), r.clock(r.at))
	}
	for i := range then.pages {
		r.notePages(&then.pages[i])
	}
	return r.addDefinitions(ctx, at)
}

// notePages notes what a page of the state does not contain. Types that were
// not recorded are part of the plan.
func (r *restoration) notePages(page *client.Page) {
	for entry := range strings.SplitSeq(page.NotRecorded, ", ") {
		name, reason, _ := strings.Cut(entry, " ")
		if entry != "" && reason != "excluded" && !slices.Contains(r.unknown, name) {
			r.unknown = append(r.unknown, name)
		}
	}
	shown := *page
	shown.NotRecorded = ""
	r.notePage(&shown)
}

// namespaceTime returns the time of the state to bring back, and when the
// namespace was deleted after it, or the zero time.
func (r *restoration) namespaceTime(ctx context.Context, t *target) (at, deleted time.Time, err error) {
	given := &r.restoreOptions.at
	if given.isSet() || t.ref.at.isSet() {
		at, err = r.resolveAt(ctx, r.session, r.location, t.subject, &t.ref, given)
		if err != nil {
			return at, deleted, err
		}
		return at, r.deletionSince(ctx, t, at), nil
	}
	e, err := r.version(ctx, t)
	if err != nil {
		return at, deleted, err
	}
	deleted, err = newVersions(r.session, &r.env, t.subject, "").deletionOf(ctx, e)
	switch {
	case err != nil:
		return at, deleted, err
	case t.ref.isSet() || deleted.IsZero(): // a revision, or the present
		return e.Timestamp, r.deletionSince(ctx, t, e.Timestamp), nil
	default:
		return deleted.Add(-1), deleted, nil
	}
}

// deletionSince returns when the namespace was deleted after a time, or the
// zero time.
func (r *restoration) deletionSince(ctx context.Context, t *target, at time.Time) time.Time {
	newest, err := r.session.newestVersions(ctx, t.subject, "", 1)
	if err == nil && len(newest) > 0 && newest[0].Verb == history.Delete.String() && newest[0].Timestamp.After(at) {
		return newest[0].Timestamp
	}
	return time.Time{}
}

// addNamespace checks the namespace itself, and returns how many objects were
// in it.
func (r *restoration) addNamespace(ctx context.Context, t *target) (objects int, err error) {
	isOwn := func(o *restore.Object) bool { return o.GVR.GroupResource() == restore.Namespaces }
	i := slices.IndexFunc(r.objects, isOwn)
	if objects = len(r.objects); i >= 0 {
		objects--
	}
	if i < 0 && objects == 0 {
		return 0, r.session.didNotExist(ctx, &r.env, t.subject, r.clock(r.at))
	}
	if i < 0 {
		r.objects = append(r.objects, &restore.Object{
			GVR: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, Kind: "Namespace", Name: t.name,
			Body: map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": t.name}},
		})
		i = len(r.objects) - 1
		r.env.note("The namespace itself was not recorded: its labels and annotations are not restored.")
	} else if restore.IsBeingDeleted(r.objects[i].Body) {
		r.env.note(fmt.Sprintf("namespace/%s was being deleted at %s: objects may be missing. "+
			"An earlier time has them.", t.name, r.clock(r.at)))
	}
	live, err := r.reader.Get(ctx, r.objects[i])
	switch {
	case err != nil && !isAPIError(err):
		return 0, unreachable(err)
	case apierrors.IsForbidden(err):
		r.env.note("You may not read the namespace itself: it is not compared.")
		r.objects = slices.Delete(r.objects, i, i+1)
	case err != nil:
		return 0, err
	case live != nil && restore.IsBeingDeleted(live):
		return 0, isBeingDeleted(t.subject, r.place)
	case live != nil && r.objects[i].UID() == "":
		r.objects = slices.Delete(r.objects, i, i+1) // it was not recorded, and exists
	}
	return objects, nil
}

// addDefinitions adds the definitions of types that are not served any more, as
// they were at a time. The zero time is the newest one at which they existed.
func (r *restoration) addDefinitions(ctx context.Context, at time.Time) error {
	seen := map[schema.GroupResource]bool{}
	for _, o := range slices.Clone(r.objects) {
		resource := o.GVR.GroupResource()
		if seen[resource] || resource.Resource == "" || isBuiltIn(resource.Group) {
			continue
		}
		seen[resource] = true
		if _, err := r.reader.Get(ctx, o); !errors.Is(err, restore.ErrNotServed) {
			continue // other errors are reported with the object
		}
		sub := subject{resourceType{restore.Definitions.Group, restore.Definitions.Resource, false}, resource.String()}
		ref := reference{}
		v := newVersions(r.session, &r.env, sub, "")
		if !at.IsZero() {
			ref.at = moment{text: "at", time: at}
		}
		e, err := v.version(ctx, &ref)
		if err == nil && e.Verb == history.Delete.String() {
			e, err = v.beforeDeletion(ctx)
		}
		if history.CodeOf(err) == history.NotFound {
			continue // the step fails, because its type is not served
		}
		if err != nil {
			return err
		}
		definition, err := r.objectOf(ctx, e)
		if err != nil {
			return err
		}
		r.objects = append(r.objects, definition)
	}
	return nil
}

// resourceOfOwner returns a function that returns the resource of a kind.
func (r *restoration) resourceOfOwner(
	ctx context.Context,
) func(apiVersion, kind string) (schema.GroupVersionResource, bool, bool) {
	return func(apiVersion, kind string) (schema.GroupVersionResource, bool, bool) {
		return r.session.resourceOf(ctx, apiVersion, kind)
	}
}

// recorded reads objects as they were recorded last. It replaces the cluster.
type recorded struct {
	session   *session
	state     restore.State // of the namespace
	namespace string
	served    map[schema.GroupResource]bool
}

// Get implements [restore.Reader].
func (r *recorded) Get(ctx context.Context, o *restore.Object) (map[string]any, error) {
	resource := o.GVR.GroupResource()
	if served, err := r.isServed(ctx, resource); err != nil || !served {
		if err == nil {
			err = restore.ErrNotServed
		}
		return nil, err
	}
	if o.Namespace != "" && o.Namespace == r.namespace {
		return r.state.Get(ctx, o)
	}
	found, err := r.List(ctx, o.GVR, o.Namespace)
	for _, body := range found {
		if textAt(body, "metadata", "name") == o.Name {
			return body, nil
		}
	}
	return nil, err
}

// isServed reports whether a type is served, as far as it is recorded: whether
// its definition was not deleted.
func (r *recorded) isServed(ctx context.Context, resource schema.GroupResource) (bool, error) {
	if isBuiltIn(resource.Group) || resource.Group == restore.Definitions.Group {
		return true, nil
	}
	if served, known := r.served[resource]; known {
		return served, nil
	}
	sub := subject{resourceType{restore.Definitions.Group, restore.Definitions.Resource, false}, resource.String()}
	newest, err := r.session.newestVersions(ctx, sub, "", 1)
	if err != nil {
		return false, err
	}
	if r.served == nil {
		r.served = map[schema.GroupResource]bool{}
	}
	r.served[resource] = len(newest) == 0 || newest[0].Verb != history.Delete.String()
	return r.served[resource], nil
}

// List implements [restore.Reader].
func (r *recorded) List(
	ctx context.Context, resource schema.GroupVersionResource, namespace string,
) (all []map[string]any, err error) {
	if namespace != "" && namespace == r.namespace {
		return r.state.List(ctx, resource, namespace)
	}
	found, err := r.session.state(ctx, []client.StateQuery{{
		Namespace: history.ScopeOf(namespace),
		Resources: []string{resourceType{Group: resource.Group, Plural: resource.Resource}.resourceArg()},
	}})
	if report.IsUnknownType(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, o := range found.objects {
		all = append(all, o.Body)
	}
	return all, nil
}
