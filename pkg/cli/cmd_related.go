package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// relatedOptions are the options of related, which shows the Kubernetes Events
// about an object.
type relatedOptions struct {
	queryOptions

	descendants bool
	uid         string
}

func newRelated(conn *connection) *cobra.Command {
	o := &relatedOptions{queryOptions: queryOptions{connection: conn}}
	cmd := &cobra.Command{
		Use:   "related (TYPE NAME | TYPE/NAME)",
		Short: "Show the Kubernetes Events about an object and its descendants",
		Long: paragraphs(`
			Show the Kubernetes Events about an object and everything that it owned at the time, such as
			the ReplicaSets and pods of a Deployment, including deleted ones. The Event that was seen
			last comes first.

			The recorder keeps Events longer than the cluster, which keeps them for an hour. --since and
			--until select Events by when they happened. The object may be of any type, recorded or not.

			A line across the table shows when and why the recorder could not observe Events. Some may
			be missing there.`),
		Example: examples(conn.env, `
			# What was reported about a Deployment and its pods within the last 10 minutes
			watchhistory related deploy/web -n shop --since 10m

			# Only about the Deployment itself
			watchhistory related deploy web -n shop --descendants=false

			# What was reported about an autoscaler, and about a namespace
			watchhistory related hpa/web -n shop
			watchhistory related ns/shop`),
		Args:              oneObject,
		ValidArgsFunction: conn.completeOne,
		RunE:              runE(o),
	}
	o.window.addFlags(cmd.Flags(), "Event records")
	o.output.addFlags(cmd)
	cmd.Flags().BoolVar(&o.descendants, "descendants", true,
		"Also show the Events about everything that the object owned.")
	cmd.Flags().StringVar(&o.uid, "uid", "", "Only show Events about the object with this UID.")
	_ = cmd.RegisterFlagCompletionFunc("uid", o.completeUIDs)
	return cmd
}

// run writes the Events about the object, and the notes about missing ones.
func (o *relatedOptions) run(ctx context.Context, args []string) error {
	object, err := parseObject(args)
	if err != nil {
		return err
	}
	if err := object.reject("Use --until to see the Events until a time."); err != nil {
		return err
	}
	return o.withSession(ctx, func(s *session) error {
		resolved, err := s.types.resolve(ctx, object.kind)
		if err != nil {
			return err
		}
		sub := subject{resolved, object.name}
		found, err := o.read(ctx, s, sub)
		if err != nil {
			return err
		}
		return o.show(ctx, s, sub, found)
	})
}

// relatedResult is the merged result of the pages about an object.
type relatedResult struct {
	events     []v1.Event // records of Events about it, newest first
	hasHistory bool       // the object itself has history
	cut        bool       // older records were omitted
	hasGaps    bool       // gaps overlap the object's type or Events

	ignored  ignoreRules
	coverage coverage
}

// isEmpty reports whether there are neither Events nor history of the object.
func (r *relatedResult) isEmpty() bool { return len(r.events) == 0 && !r.hasHistory }

// merge adds the result for another namespace. It keeps the newest records, as
// many as limit allows.
func (r *relatedResult) merge(other *relatedResult, limit int) {
	r.hasHistory = r.hasHistory || other.hasHistory
	r.cut = r.cut || other.cut
	r.hasGaps = r.hasGaps || other.hasGaps
	for _, rules := range other.ignored {
		r.ignored.add(rules)
	}
	if len(other.events) == 0 {
		return
	}
	r.events = append(r.events, other.events...)
	slices.SortStableFunc(r.events, func(x, y v1.Event) int { return y.Timestamp.Compare(x.Timestamp) })
	// Both results may contain the same record.
	r.events = slices.CompactFunc(r.events, func(x, y v1.Event) bool {
		return x.Timestamp.Equal(y.Timestamp) && x.UID == y.UID
	})
	if limit > 0 && len(r.events) > limit {
		r.events, r.cut = r.events[:limit], true
	}
}

// read reads the Events of all namespaces in which the object may have been.
func (o *relatedOptions) read(ctx context.Context, s *session, sub subject) (*relatedResult, error) {
	namespaces := sub.namespaces(s.namespace)
	found, err := o.readIn(ctx, s, sub, namespaces[0])
	if err != nil {
		return nil, err
	}
	for _, namespace := range namespaces[1:] {
		other, err := o.readIn(ctx, s, sub, namespace)
		if err != nil {
			return nil, err
		}
		found.merge(other, o.limit)
	}
	return found, nil
}

// readIn reads the Events of one namespace. It reads pages until there is one
// record more than the limit. A page's HasMore is not enough: it may mean only
// more records of the object itself, which are read but not shown.
//
// The window selects Events by when they happened. A record is never much older
// than its Event, but may be much younger, if recording began later or was
// interrupted. So the pages have no end time.
func (o *relatedOptions) readIn(
	ctx context.Context, s *session, sub subject, namespace history.NamespaceScope,
) (*relatedResult, error) {
	q := client.ObjectQuery{
		Namespace: namespace, Resource: sub.resourceArg(), Name: sub.name, UID: o.uid,
		Start: o.start, Descendants: o.descendants, Order: history.NewestFirst, Limit: o.chunkSize,
	}
	if o.limit > 0 {
		q.Limit = min(q.Limit, o.limit+1)
	}
	found := &relatedResult{events: []v1.Event{}}
	for {
		page, err := s.Object(ctx, q)
		if err != nil {
			return nil, err
		}
		found.hasHistory = found.hasHistory || len(page.WatchEvents) > 0
		found.events = append(found.events, o.inWindow(page.RelatedEvents)...)
		found.cut = o.limit > 0 && len(found.events) > o.limit
		if found.cut || !page.HasMore {
			found.hasGaps = page.Gaps > 0
			found.ignored.add(page.Ignored)
			found.coverage.add(&page.Page)
			if found.cut {
				found.events = found.events[:o.limit]
			}
			return found, nil
		}
		q.Cursor = page.Next
	}
}

// inWindow returns the records of Events that happened in the window.
//
// Deletions are omitted: Events expire, and one that happened in the window was
// also recorded then. The start is truncated, because the timestamps of Events
// have no fractions of a second.
func (o *relatedOptions) inWindow(events []v1.Event) []v1.Event {
	start := o.start.Truncate(time.Second)
	return slices.DeleteFunc(events, func(e v1.Event) bool {
		at := render.LastSeen(&e)
		return e.Verb == history.Delete.String() || at.Before(start) || !o.end.IsZero() && !at.Before(o.end)
	})
}

// gaps returns the gaps of Events. The gaps of the object's type matter only if
// nothing about the object was found.
func (o *relatedOptions) gaps(ctx context.Context, s *session, sub subject, found *relatedResult) ([]v1.Gap, error) {
	if !found.hasGaps {
		return nil, nil
	}
	start, types := o.start, []string(nil)
	for _, events := range eventTypes() {
		types = append(types, events.resourceArg())
	}
	if found.cut { // gaps before the oldest Event that is shown don't matter
		start = found.events[len(found.events)-1].Timestamp
	}
	if found.isEmpty() {
		types = append(types, sub.resourceArg())
	}
	return s.gaps(ctx, []client.EventsQuery{{Resources: types}}, start, o.end)
}

// show writes the Events and the notes about them. It fails if the object has
// neither Events nor history. An object that only has no Events is not an
// error.
func (o *relatedOptions) show(ctx context.Context, s *session, sub subject, found *relatedResult) error {
	gaps, err := o.gaps(ctx, s, sub, found)
	if err != nil {
		return err
	}
	p := o.printer(&o.env, false, false)
	// The window may exclude the object's history. Only an object without any
	// history is an error.
	if found.isEmpty() {
		known, err := s.hasHistory(ctx, sub, o.uid)
		if err != nil {
			return err
		}
		if !known {
			found.coverage.note(&o.queryOptions, true)
			o.env.note(found.ignored.note())
			if err := o.writeGapsOnly(gaps, p.Related, o.hidesGaps()); err != nil {
				return err
			}
			return s.noHistory(ctx, &o.env, sub, o.uid)
		}
	}
	if err := o.write(&o.env, p, found.events, gaps, p.Related); err != nil {
		return err
	}
	if len(found.events) == 0 {
		o.env.note(fmt.Sprintf("No Events regarding %s found%s.", sub, in(sub.namespaceOf(s.namespace))))
	}
	if found.cut {
		o.env.note(fmt.Sprintf("Showing the newest %d Event records: --limit=0 shows all, --since shows fewer.",
			len(found.events)))
	}
	o.env.note(found.ignored.note())
	found.coverage.note(&o.queryOptions, len(found.events) == 0)
	o.env.note(gapsNote(len(gaps), len(found.events) == 0, o.hidesGaps()))
	return nil
}
