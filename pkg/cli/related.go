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

// relatedOptions are those of related: the Kubernetes Events regarding an object.
type relatedOptions struct {
	question

	descendants bool
	uid         string
}

func newRelated(conn *connection) *cobra.Command {
	o := &relatedOptions{question: question{connection: conn}}
	cmd := &cobra.Command{
		Use:   "related (TYPE NAME | TYPE/NAME)",
		Short: "Show the Kubernetes Events regarding an object and what it owned",
		Long: paragraphs(`
			Show the Kubernetes Events regarding an object and everything that it owned then, as a
			Deployment's ReplicaSets and pods, dead ones too. The one seen last comes first.

			Events are kept here for longer than the hour that the cluster keeps them. --since and
			--until select by when an Event happened. The object may be of any type, recorded or not.

			A line across the table says when and why the recorder could not see Events: some may be
			missing there.`),
		Example: examples(conn.env, `
			# What was reported about a Deployment and its pods within the last 10 minutes
			watchhistory related deploy/web -n shop --since 10m

			# Only about the Deployment itself
			watchhistory related deploy web -n shop --descendants=false

			# What was reported about an autoscaler, and about a namespace
			watchhistory related hpa/web -n shop
			watchhistory related ns/shop`),
		Args:              arguments(1, 2, "TYPE NAME or TYPE/NAME"),
		ValidArgsFunction: conn.completeOne,
		RunE:              inSteps(o),
	}
	o.window.addFlags(cmd.Flags(), "records of Events")
	o.output.addFlags(cmd)
	cmd.Flags().BoolVar(&o.descendants, "descendants", true, "Show also the Events regarding everything that the object owned.")
	cmd.Flags().StringVar(&o.uid, "uid", "", "Only this incarnation of the object.")
	_ = cmd.RegisterFlagCompletionFunc("uid", o.completeUIDs)
	return cmd
}

func (o *relatedOptions) run(ctx context.Context, args []string) error {
	object, err := parseObject(args)
	if err != nil {
		return err
	}
	return o.with(ctx, func(s *session) error {
		resolved, err := s.types.resolve(ctx, object.kind)
		if err != nil {
			return err
		}
		t := target{resolved, object.name}
		found, err := o.read(ctx, s, t)
		if err != nil {
			return err
		}
		return o.show(ctx, s, t, found)
	})
}

// reading is what came of the pages of an object's answer.
type reading struct {
	events []v1.Event // regarding it, newest first
	known  bool       // the object itself has history
	more   bool       // older ones were left out
	blind  bool       // gaps touch the object's type or Events

	ignored ignored // of either
	covered coverage
}

// isEmpty tells whether there is nothing, not even of the object itself.
func (r *reading) isEmpty() bool { return len(r.events) == 0 && !r.known }

// add takes what was read of the object in another namespace. The newest come first, as many as the limit allows.
func (r *reading) add(other *reading, limit int) {
	r.known, r.more, r.blind = r.known || other.known, r.more || other.more, r.blind || other.blind
	for _, rules := range other.ignored {
		r.ignored.add(rules)
	}
	if len(other.events) == 0 {
		return
	}
	r.events = append(r.events, other.events...)
	slices.SortStableFunc(r.events, func(x, y v1.Event) int { return y.Timestamp.Compare(x.Timestamp) })
	r.events = slices.CompactFunc(r.events, func(x, y v1.Event) bool { return x.Timestamp.Equal(y.Timestamp) && x.UID == y.UID })
	if limit > 0 && len(r.events) > limit {
		r.events, r.more = r.events[:limit], true
	}
}

// read asks for the Events in all namespaces that the object may have been in.
func (o *relatedOptions) read(ctx context.Context, s *session, t target) (*reading, error) {
	namespaces := t.namespaces(s.namespace)
	found, err := o.readIn(ctx, s, t, namespaces[0])
	if err != nil {
		return nil, err
	}
	for _, namespace := range namespaces[1:] {
		other, err := o.readIn(ctx, s, t, namespace)
		if err != nil {
			return nil, err
		}
		found.add(other, o.limit)
	}
	return found, nil
}

// readIn asks for pages until there is one Event more than the limit: that more follows may be said of the object's own records,
// which come with them and are only looked at.
//
// The window is that of when Events happened. A record is never much older than
// what it records, but may be much younger: recording began, or was
// interrupted. So pages are read from the start of the window until now.
func (o *relatedOptions) readIn(ctx context.Context, s *session, t target, namespace history.NamespaceScope) (*reading, error) {
	q := client.ObjectQuery{
		Namespace: namespace, Resource: t.wire(), Name: t.name, UID: o.uid,
		Start: o.start, Descendants: o.descendants, Order: history.NewestFirst, Limit: o.chunkSize,
	}
	if o.limit > 0 {
		q.Limit = min(q.Limit, o.limit+1)
	}
	found := &reading{events: []v1.Event{}}
	for {
		page, err := s.Object(ctx, q)
		if err != nil {
			return nil, err
		}
		found.known = found.known || len(page.WatchEvents) > 0
		found.events = append(found.events, o.happened(page.RelatedEvents)...)
		found.more = o.limit > 0 && len(found.events) > o.limit
		if found.more || !page.HasMore {
			found.blind = page.Gaps > 0
			found.ignored.add(page.Ignored)
			found.covered.add(&page.Page)
			if found.more {
				found.events = found.events[:o.limit]
			}
			return found, nil
		}
		q.Cursor = page.Next
	}
}

// happened returns the records of Events that happened within the window.
// Expiries are left out: an Event that happened within it was recorded within
// it, too. Timestamps of Events have no fractions of a second.
func (o *relatedOptions) happened(events []v1.Event) []v1.Event {
	start := o.start.Truncate(time.Second)
	return slices.DeleteFunc(events, func(e v1.Event) bool {
		at := render.Happened(&e)
		return e.Verb == history.Delete.String() || at.Before(start) || !o.end.IsZero() && !at.Before(o.end)
	})
}

// gaps returns those of Events, which are what may be missing. The gaps of the object's type matter only where nothing is
// known of it.
func (o *relatedOptions) gaps(ctx context.Context, s *session, t target, found *reading) ([]v1.Gap, error) {
	if !found.blind {
		return nil, nil
	}
	start, about := o.start, []string(nil)
	for _, events := range eventTypes() {
		about = append(about, events.wire())
	}
	if found.more {
		start = found.events[len(found.events)-1].Timestamp
	}
	if found.isEmpty() {
		about = append(about, t.wire())
	}
	return s.gaps(ctx, []client.EventsQuery{{Resources: about}}, start, o.end)
}

func (o *relatedOptions) show(ctx context.Context, s *session, t target, found *reading) error {
	gaps, err := o.gaps(ctx, s, t, found)
	if err != nil {
		return err
	}
	p := o.printer(&o.env, false, false)
	if found.isEmpty() {
		known, err := s.isKnown(ctx, t, o.uid)
		if err != nil {
			return err
		}
		if !known {
			found.covered.note(&o.question, true)
			o.env.note(found.ignored.note())
			if err := o.showBlind(gaps, p.Related, o.hides()); err != nil {
				return err
			}
			return s.missing(ctx, &o.env, t, o.uid)
		}
	}
	if err := o.write(&o.env, p, found.events, gaps, p.Related); err != nil {
		return err
	}
	if len(found.events) == 0 {
		o.env.note(fmt.Sprintf("No Events regarding %s found%s.", t, in(t.namespaceOf(s.namespace))))
	}
	if found.more {
		o.env.note(fmt.Sprintf("These are the newest %d records of Events: --limit=0 reads all, --since fewer.", len(found.events)))
	}
	o.env.note(found.ignored.note())
	found.covered.note(&o.question, len(found.events) == 0)
	o.env.note(gapsNote(gaps, len(found.events) == 0, o.hides()))
	return nil
}
