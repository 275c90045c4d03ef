package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/manifest"
	"github.com/watchhistory/watchhistory/pkg/render"
	"github.com/watchhistory/watchhistory/pkg/report"
)

// reverser writes manifests that bring the earlier state of a comparison back.
type reverser struct {
	*diffOptions
	session  *session
	printer  *render.Printer
	from, to time.Time
	refused  int // objects that can't be brought back
}

// writeReverse writes the manifests, and returns how many objects differ. It
// fails if some can't be brought back, after it has written the others.
func (o *diffOptions) writeReverse(
	ctx context.Context, s *session, p *render.Printer, found *report.Comparison, stats []render.Stat,
) (shown int, err error) {
	r := reverser{diffOptions: o, session: s, printer: p, from: found.From, to: found.To}
	stats = slices.Clone(stats)
	slices.SortStableFunc(stats, func(a, b render.Stat) int {
		return cmp.Compare(manifest.Rank(resourceOf(&a.Difference)), manifest.Rank(resourceOf(&b.Difference)))
	})
	var created []string
	for i := range stats {
		d := &stats[i].Difference
		switch {
		case stats[i].Mark == render.StatSame:
			continue
		case d.Derived && (d.Change != "changed" || !manifest.IsMadeForNamespace(resourceOf(d), d.ResourceName)):
			// A controller makes it again from what is brought back.
		case stats[i].Mark == render.StatAdded:
			created = append(created, "created since: "+deleteCommand(resourceOf(d), d.Namespace, d.ResourceName))
		default:
			err = r.write(ctx, d)
		}
		if err != nil {
			return shown, err
		}
		shown++
	}
	if len(created) > 0 {
		if err := p.Manifest(created, nil); err != nil {
			return shown, err
		}
	}
	if r.refused > 0 {
		return shown, history.Errorf(history.Invalid, "%s can't be brought back: only hashes of values are recorded",
			plural(r.refused, "object"))
	}
	return shown, nil
}

// resourceOf returns the resource of an object that differs.
func resourceOf(d *v1.Difference) schema.GroupResource {
	return schema.GroupResource{Group: d.Group, Resource: d.ResourceType}
}

// deleteCommand returns the command that deletes an object.
func deleteCommand(resource schema.GroupResource, namespace, name string) string {
	command := "kubectl delete " + resource.String() + " " + name
	if namespace != "" {
		command += " -n " + namespace
	}
	return command
}

// write writes the manifest of an object that was changed or deleted.
func (r *reverser) write(ctx context.Context, d *v1.Difference) error {
	before, err := r.read(ctx, d, r.from)
	if err != nil {
		return err
	}
	name := differenceName(d)
	if before == nil {
		r.refused++
		r.env.note(fmt.Sprintf("%s can't be brought back: its earlier state is not kept any more", name))
		return nil
	}
	if keys := manifest.DropHashes(before); len(keys) > 0 {
		r.refused++
		r.env.note(fmt.Sprintf("%s can't be brought back: only hashes are recorded of %s",
			name, strings.Join(keys, ", ")))
		return nil
	}
	comments := []string{fmt.Sprintf("%s as in revision %d", name, d.FromRevision)}
	if d.Change == "deleted" {
		comments[0] += ", deleted since"
		return r.printer.Manifest(comments, before)
	}
	after, err := r.read(ctx, d, r.to)
	if err != nil {
		return err
	}
	manifest.DropHashes(after)
	if kept := removeAdded(before, after); len(kept) > 0 {
		text := "kubectl apply may keep what was added to lists: " + strings.Join(kept, ", ")
		comments = append(comments, text)
		r.env.note(name + ": " + text + ". kubectl replace -f - removes it.")
	}
	return r.printer.Manifest(comments, before)
}

// differenceName returns an object's type and name, and its namespace.
func differenceName(d *v1.Difference) string {
	name := resourceOf(d).String() + "/" + d.ResourceName
	if d.Namespace != "" {
		name += " in " + d.Namespace
	}
	return name
}

// read returns an object as it was at a time, without what servers and
// controllers set. It returns nil if it is not kept.
func (r *reverser) read(ctx context.Context, d *v1.Difference, at time.Time) (map[string]any, error) {
	page, err := r.session.State(ctx, client.StateQuery{
		At: at, Namespace: history.ScopeOf(d.Namespace), Name: d.ResourceName, Strip: true, Limit: 1,
		Resources: []string{resourceOf(d).String()},
	})
	if err != nil || len(page.Items) == 0 {
		return nil, err
	}
	object := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(page.Items[0]))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("decode %s: %w", differenceName(d), err)
	}
	return object, nil
}

// removeAdded sets fields of before to null that only after has, so that
// kubectl apply removes them. It returns the paths of list items that it can't
// remove: kubectl merges some lists by the keys of their items.
func removeAdded(before, after map[string]any) (kept []string) {
	for _, c := range diff.Objects(before, after) {
		if c.Kind != diff.Added {
			continue
		}
		i := slices.IndexFunc(c.Path, func(s diff.Segment) bool { return s.Item })
		switch {
		case i < 0:
			setNull(before, c.Path, c.New)
		case slices.ContainsFunc(c.Path, func(s diff.Segment) bool { return s.Key != "" }):
			kept = append(kept, c.Path.String())
		}
	}
	return kept
}

// setNull sets the field at a path to null. All labels or annotations are not
// removed at once, because the API server and kubectl set some.
func setNull(object map[string]any, path diff.Path, added any) {
	if all, ok := added.(map[string]any); ok && len(path) == 2 && path.Below("metadata") {
		for name := range all {
			setNull(object, append(slices.Clone(path), diff.Segment{Field: name}), nil)
		}
		return
	}
	for _, s := range path[:len(path)-1] {
		inner, ok := object[s.Field].(map[string]any)
		if !ok {
			inner = map[string]any{}
			object[s.Field] = inner
		}
		object = inner
	}
	object[path[len(path)-1].Field] = nil
}
