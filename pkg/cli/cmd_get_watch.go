package cli

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// maxWatched bounds the streams of one command. The recorder bounds those of
// one client.
const maxWatched = 16

// gapDelay is how long a gap waits for others, which then share its row. A
// restart of the recorder leaves a gap for each resource.
const gapDelay = 250 * time.Millisecond

// addWatchFlags adds the flags that let the timeline continue.
func (o *getOptions) addWatchFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.watch, "watch", "w", false,
		"After showing the timeline, watch for further changes.")
	cmd.Flags().BoolVar(&o.watchOnly, "watch-only", false,
		"Watch for further changes, without showing the timeline first.")
}

// watches reports whether the timeline continues with further changes.
func (o *getOptions) watches() bool { return o.watch || o.watchOnly }

// validate rejects flags that contradict a timeline without an end.
func (o *getOptions) validate() error {
	switch {
	case o.watches() && o.until != "":
		return invalidf("--until and --watch can't be combined")
	case o.watches() && o.exitCode:
		return invalidf("--exit-code and --watch can't be combined")
	case o.watches() && o.file != "":
		return invalidf("--filename and --watch can't be combined: a file does not change")
	case o.expand < 0 || o.expand > v1.MaxConsequences:
		return invalidf("--expand %d: want a number from 0 to %d", o.expand, v1.MaxConsequences)
	case o.expand > 0 && o.watches():
		return withAdvice("--flat --watch shows every version.", "--expand and --watch can't be combined")
	case o.expand > 0 && !o.folds():
		return invalidf("--expand needs a folded table: it excludes --flat, --show-noise, --sort-by and --output")
	case o.sortBy != "" && o.watches():
		return invalidf("--sort-by and --watch can't be combined")
	}
	return o.queryOptions.validate()
}

// follower writes further changes of queries.
type follower struct {
	o       *getOptions
	env     *Environment
	queries []client.EventsQuery // with the cursors of their streams
	printer *render.Printer

	until   []time.Time                   // of the newest record of each query that was written
	gaps    map[gapID]time.Time           // the ends of gaps that were written, zero if they were open
	outside map[schema.GroupResource]bool // resources that have no objects in the namespace
	only    map[schema.GroupResource]bool // resources whose gaps are written; nil: all
	lost    map[int]bool                  // the streams that are disconnected
	wait    []client.Update               // gaps that wait for others
}

// gapID identifies a gap.
type gapID struct {
	resource schema.GroupResource
	start    int64 // nanoseconds since 1970
}

func idOfGap(g *v1.Gap) gapID {
	return gapID{schema.GroupResource{Group: g.Group, Resource: g.Resource}, g.Start.UnixNano()}
}

// streamUpdate is an update of the stream of one query.
type streamUpdate struct {
	client.Update

	query int
	err   error // ends the stream
}

// follow writes the newest changes and then further ones, until ctx ends.
//
// The positions of the streams are determined before the newest changes are
// read. What is recorded meanwhile is in both, and left out the second time:
// times of records are unique.
func (o *getOptions) follow(
	ctx context.Context, s *session, subjects []subject, queries []client.EventsQuery,
) error {
	if len(queries) > maxWatched {
		return invalidf("--watch: %d objects, want at most %d; watch their types instead", len(queries), maxWatched)
	}
	if o.folds() {
		if folded, err := o.followRows(ctx, s, subjects, queries); folded || err != nil {
			return err
		}
	}
	f := &follower{
		o: o, env: &o.env, queries: slices.Clone(queries), until: make([]time.Time, len(queries)),
		gaps: map[gapID]time.Time{}, lost: map[int]bool{},
	}
	if err := f.locate(ctx, s); err != nil {
		return err
	}
	var found *result
	if !o.watchOnly {
		var err error
		if found, err = s.newest(ctx, queries, &o.window); err != nil {
			return err
		}
	}
	f.printer = o.printer(&o.env, o.allNamespaces, o.showNoise)
	if found != nil {
		for i := range f.until {
			f.until[i] = found.newestOf[i]
		}
		if _, err := o.show(s, subjects, found, f.printer); err != nil {
			return err
		}
		if err := o.reportMissing(ctx, s, subjects, found, len(found.events) == 0); err != nil {
			return err
		}
		for i := range found.gaps {
			f.gaps[idOfGap(&found.gaps[i])] = found.gaps[i].End
		}
	}
	return f.run(ctx, s.Client)
}

// locate sets the cursors of the queries to the newest record. It also reads
// which resources have no objects in the namespace: requests next to an open
// stream would have to wait in the same tunnel.
func (f *follower) locate(ctx context.Context, s *session) error {
	for i := range f.queries {
		for update, err := range s.Watch(ctx, f.queries[i]) {
			if err != nil {
				return err
			}
			f.queries[i].Cursor = update.Cursor
			break
		}
	}
	if len(f.queries[0].Resources) > 0 || s.namespace == history.AllNamespaces {
		return nil
	}
	list, err := s.Resources(ctx)
	if err != nil {
		return err
	}
	f.outside = map[schema.GroupResource]bool{}
	for _, r := range resources(list) {
		f.outside[r.GroupResource()] = !r.Scoped(s.namespace != history.ClusterScoped)
	}
	return nil
}

// run writes the updates of all streams until one ends with an error.
func (f *follower) run(ctx context.Context, c *client.Client) error {
	var streams sync.WaitGroup
	defer streams.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	updates := make(chan streamUpdate)
	for i := range f.queries {
		streams.Go(func() { f.watch(ctx, c, i, updates) })
	}
	grouped := time.NewTimer(gapDelay)
	defer grouped.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case u := <-updates:
			if u.err != nil {
				return u.err
			}
			if err := f.write(&u); err != nil {
				return err
			}
			grouped.Reset(gapDelay)
		case <-grouped.C:
			if err := f.flushGaps(); err != nil {
				return err
			}
		}
	}
}

// watch sends the updates of one stream.
func (f *follower) watch(ctx context.Context, c *client.Client, query int, to chan<- streamUpdate) {
	for update, err := range c.Watch(ctx, f.queries[query]) {
		select {
		case to <- streamUpdate{Update: update, query: query, err: err}:
		case <-ctx.Done():
			return
		}
	}
}

// write writes an update.
func (f *follower) write(u *streamUpdate) error {
	switch u.Type {
	case client.Recorded:
		if !u.Event.Timestamp.After(f.until[u.query]) {
			return nil
		}
		if err := f.flushGaps(); err != nil {
			return err
		}
		f.printer.SetNow(f.env.recorderNow())
		return f.o.writeEach(f.env, f.printer, f.o.visible([]v1.Event{u.Event}, f.o.showNoise), nil,
			f.printer.Timeline)
	case client.GapChanged, client.GapDismissed:
		f.addGap(&u.Update)
	case client.Disconnected:
		if len(f.lost) == 0 {
			f.env.note(fmt.Sprintf("Warning: %v; reconnecting", u.Err))
		}
		f.lost[u.query] = true
	case client.Connected:
		if f.lost[u.query] {
			delete(f.lost, u.query)
			if len(f.lost) == 0 {
				f.env.note("Reconnected to the recorder; no change was missed.")
			}
		}
	case client.Heartbeat:
	}
	return nil
}

// addGap notes a gap that is to be written, unless it was written before.
// Several streams have the same gaps.
func (f *follower) addGap(u *client.Update) {
	id := idOfGap(&u.Gap)
	if f.outside[id.resource] || f.only != nil && !f.only[id.resource] {
		return
	}
	end, written := f.gaps[id]
	if u.Type == client.GapDismissed {
		if written && end.IsZero() {
			delete(f.gaps, id)
			f.wait = append(f.wait, *u)
		}
		return
	}
	if written && end.Equal(u.Gap.End) {
		return
	}
	f.gaps[id] = u.Gap.End
	f.wait = append(f.wait, *u)
}

// flushGaps writes the gaps that wait.
func (f *follower) flushGaps() error {
	return f.flush(func(gaps []v1.Gap) error { return f.printer.Timeline(nil, gaps) })
}

// flush writes the gaps that wait by a table without records.
func (f *follower) flush(table func([]v1.Gap) error) error {
	if len(f.wait) == 0 {
		return nil
	}
	var changed, dismissed []v1.Gap
	for _, u := range f.wait {
		if u.Type == client.GapDismissed {
			dismissed = append(dismissed, u.Gap)
		} else {
			changed = append(changed, u.Gap)
		}
	}
	f.wait = nil
	if hidden := f.o.hidesGaps(); hidden != "" {
		f.env.note(gapsNote(len(changed), true, hidden))
		return nil
	}
	slices.SortStableFunc(changed, func(a, b v1.Gap) int { return a.Start.Compare(b.Start) })
	f.printer.SetNow(f.env.recorderNow())
	if err := f.printer.Dismissed(dismissed); err != nil {
		return err
	}
	return table(changed)
}
