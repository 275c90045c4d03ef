package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/fold"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/symptom"
)

// Outcome is how a change ended.
type Outcome struct {
	State symptom.State
	Text  string // in a few words
	// Reached is when the state was reached, or zero if that is not known.
	Reached time.Time
}

// unclear reports whether problems of other objects may say more.
func (o *Outcome) unclear() bool {
	return o == nil || o.State == symptom.Failing || o.State == symptom.Progressing
}

// The bounds of the work on one outcome.
const (
	maxOutcomeVersions = 100 // of the changed object
	maxOutcomeObjects  = 50  // with a problem
)

// outcome returns how the newest change of a row ended, or nil if the record
// does not show it. Without a change, it returns the problem. until is when the
// consequences of that change end.
func (f *folding) outcome(ctx context.Context, row *FoldedRow, until time.Time) (*Outcome, error) {
	if len(row.Changes) == 0 {
		return f.problems(ctx, row.Onsets, f.present())
	}
	last := row.Last()
	if last.Verb == history.Delete && row.beyond == 0 {
		return nil, nil
	}
	// What happens while the namespace is deleted is not an outcome.
	namespace := last.Ref.Namespace
	if last.Ref.GroupResource() == namespacesOf {
		namespace = last.Ref.Name
	}
	if ends := f.terminating(namespace, last.Time); !ends.IsZero() && (until.IsZero() || ends.Before(until)) {
		until = ends
	}
	at := until
	if at.IsZero() {
		at = f.present()
	}
	var own *Outcome
	var err error
	first := last.Time
	switch {
	case row.Kind == fold.Bulk:
		own, err = f.bulkHealth(ctx, row, at)
		first = row.First().Time
	case last.Verb != history.Delete:
		own, err = f.health(ctx, last.Record, until, at)
	}
	if err != nil || !own.unclear() {
		return own, err
	}
	if refused, err := f.refused(ctx, last.Record, own, at); err != nil || refused != nil {
		return refused, err
	}
	var after []*Version
	for _, v := range row.Onsets {
		if v.Time.After(first) && v.Time.Before(at) {
			after = append(after, v)
		}
	}
	if after, err = f.withoutRefusals(ctx, last.Record, after, at); err != nil {
		return nil, err
	}
	problem, err := f.problems(ctx, after, at)
	if err != nil || problem != nil {
		return problem, err
	}
	return own, nil
}

// present returns the end of the question, or the present time.
func (f *folding) present() time.Time {
	if f.end.IsZero() {
		return f.service.options.Now()
	}
	return f.end
}

// health returns the health of the changed object at a time, and since when it
// has been in that state. It returns nil if the object does not show it, or if
// it was as healthy right after the change.
func (f *folding) health(ctx context.Context, of *history.Record, until, at time.Time) (*Outcome, error) {
	scan := history.Scan{Filter: exactly(of.Ref), Order: history.NewestFirst, Limit: maxOutcomeVersions, Bodies: true}
	scan.Start, scan.End, scan.View = of.Time, until, f.view
	var outcome *Outcome
	read := 0
	for r, err := range f.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		read++
		if outcome == nil {
			h, err := f.extra.HealthAt(ctx, r, at)
			if err != nil {
				return nil, err
			}
			if h.State == symptom.Unknown {
				return nil, nil
			}
			outcome = &Outcome{State: h.State, Text: h.Text, Reached: r.Time}
			continue
		}
		before, err := f.extra.HealthAt(ctx, r, r.Time)
		if err != nil {
			return nil, err
		}
		if before.State != outcome.State {
			return outcome, nil
		}
		outcome.Reached = r.Time
	}
	switch {
	case outcome == nil || outcome.Reached.After(of.Time) && read < maxOutcomeVersions:
	case outcome.Reached.After(of.Time):
		outcome.Reached = time.Time{} // earlier versions were not read
	case outcome.State == symptom.Ready:
		return nil, nil // nothing happened
	}
	return outcome, nil
}

// bulkHealth returns the health of all objects of a bulk row at a time, each
// before its next root change: ready if all are. It returns nil if one of the
// objects does not show its health, or if there are too many.
func (f *folding) bulkHealth(ctx context.Context, row *FoldedRow, at time.Time) (*Outcome, error) {
	newest := map[types.UID]*history.Record{}
	for _, c := range row.Changes {
		newest[c.Ref.UID] = c.Record
	}
	if len(newest) > maxOutcomeObjects {
		return nil, nil
	}
	all := &Outcome{State: symptom.Ready}
	ready := 0
	for _, of := range newest {
		if of.Verb == history.Delete {
			return nil, nil
		}
		after, err := f.sequel(ctx, of)
		if err != nil {
			return nil, err
		}
		until := after.until
		if until.IsZero() || at.Before(until) {
			until = at
		}
		one, err := f.health(ctx, of, until, until)
		switch {
		case err != nil || one == nil:
			return nil, err
		case !one.unclear():
			ready++
			all.State = one.State
		}
		if one.Reached.After(all.Reached) {
			all.Reached = one.Reached
		}
	}
	all.Text = fmt.Sprintf("%d of %d %s", ready, len(newest), all.State)
	if ready < len(newest) {
		all.State, all.Reached = symptom.Progressing, time.Time{}
	}
	return all, nil
}

// problems describes the problems of objects that still have them at a time. It
// returns nil if all recovered.
func (f *folding) problems(ctx context.Context, onsets []*Version, at time.Time) (*Outcome, error) {
	type group struct {
		text    string
		kind    string
		named   string
		objects map[string]bool
		first   time.Time
		// owners are the outermost owners of the objects. alone means that some
		// have none.
		owners map[types.UID]bool
		alone  bool
	}
	var groups []*group
	seen := map[types.UID]bool{}
	complete := true
	for _, v := range onsets {
		if seen[v.Ref.UID] {
			continue
		}
		if len(seen) == maxOutcomeObjects {
			complete = false
			break
		}
		seen[v.Ref.UID] = true
		newest, err := f.newest(ctx, v.Ref, at)
		if err != nil {
			return nil, err
		}
		if newest == nil || newest.Verb == history.Delete && v.Regarding == nil {
			continue
		}
		found, err := f.extra.At(ctx, newest, at)
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			continue
		}
		text, kind, name := found[0].Text, v.Kind, v.Ref.Name
		if v.Regarding != nil {
			kind, name = v.Regarding.Kind, v.Regarding.Name
		}
		var g *group
		for _, other := range groups {
			if other.text == text && other.kind == kind {
				g = other
			}
		}
		if g == nil {
			g = &group{
				text: text, kind: kind, named: name, first: v.Time,
				objects: map[string]bool{}, owners: map[types.UID]bool{},
			}
			groups = append(groups, g)
		}
		g.objects[name] = true // several Events may be about it
		chain, err := f.chain(ctx, v.Record)
		if err != nil {
			return nil, err
		}
		top := chain[len(chain)-1]
		g.owners[top.Ref.UID] = true
		g.alone = g.alone || len(chain) == 1 || top.Ref.GroupResource() == nodesOf
	}
	if len(groups) == 0 {
		return nil, nil
	}
	// An object's own status says more than an Event about it, and what most
	// objects have says more than what one has.
	best := groups[0]
	for _, g := range groups[1:] {
		if len(g.objects) > len(best.objects) {
			best = g
		}
	}
	subject := strings.ToLower(best.kind) + "/" + best.named
	if n := len(best.objects); n > 1 {
		subject = fmt.Sprintf("%d %ss", n, strings.ToLower(best.kind))
		if len(best.owners) > 1 && !best.alone {
			subject += fmt.Sprintf(" of %d workloads", len(best.owners))
		}
		if !complete {
			subject = "at least " + subject
		}
	}
	return &Outcome{State: symptom.Failing, Text: subject + " " + best.text, Reached: best.first}, nil
}

// newest returns the newest version of an object before a time, with its
// object, or nil.
func (f *folding) newest(ctx context.Context, ref history.ObjectRef, before time.Time) (*history.Record, error) {
	scan := history.Scan{Filter: exactly(ref), Order: history.NewestFirst, Limit: 1, Bodies: true}
	scan.End, scan.View = before, f.view
	for r, err := range f.service.reader.Scan(ctx, scan) {
		return r, err
	}
	return nil, nil
}
