package query

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/symptom"
	"github.com/watchhistory/watchhistory/pkg/why"
)

// Why is a query for the changes that may have caused the problem of an object.
type Why struct {
	Namespace history.NamespaceScope // one namespace, or [history.ClusterScoped]
	Type      string                 // one resource in any form that kubectl accepts
	Name      string
	Group     string // as in [Timeline]

	At time.Time // inclusive; zero: now
	// Lookback is how long before the onset changes are searched. Zero means
	// [defaultLookback].
	Lookback time.Duration
	// Limit is the number of causes; 0 means [defaultCauses].
	Limit int
}

// The defaults of [Why].
const (
	defaultLookback = 24 * time.Hour
	defaultCauses   = 5
)

// The bounds of the work on one answer.
const (
	maxCandidates      = 300              // root changes that are compared with the previous version
	perObject          = 20               // of them of one object
	maxNeighbours      = 500              // objects whose changes are read, the nearest first
	nearbyTime         = 15 * time.Minute // before the onset: changes of objects without a relation
	onsetsOfOwned      = 200              // onsets that are read of the object and what it owns
	recreationTime     = 5 * time.Minute  // between a deletion and a creation that are one change
	episodePause       = time.Hour        // without an onset; then an earlier one is another episode
	healthyBeforeOnset = 200              // versions of the object that are read to find when it was healthy
)

// The bounds of reading relations for one answer. The time bounds what the
// effort cannot know: whether the states were read before.
const (
	whyEffort   = 20_000 // records, as in [Options]
	whyTime     = 800 * time.Millisecond
	presentTime = 500 * time.Millisecond // of that, for the present relations
)

// Unread is something that was not looked at for an answer to [Why], because a
// bound was reached. The texts are part of the REST API.
type Unread string

// What may be unread.
const (
	// UnreadRelations are some of the object's relations.
	UnreadRelations Unread = "relations"
	// UnreadEarlierRelations are some of the relations before the onset.
	UnreadEarlierRelations Unread = "earlierRelations"
	// UnreadOnsets are the older problems of the object and of what it owns.
	UnreadOnsets Unread = "onsets"
	// UnreadDangling are earlier times at which a reference may have led
	// nowhere. The onset may be earlier.
	UnreadDangling Unread = "dangling"
	// UnreadChanges are changes of distant relatives.
	UnreadChanges Unread = "changes"
)

// WhyAnswer is the answer to [Why]: what is wrong, since when, and the changes
// that may have caused it. It never claims that one did.
//
// Its Gaps touch the time in which changes were searched.
type WhyAnswer struct {
	Moments

	Of *history.Record // the object at the time
	// Health is that of the object at the time.
	Health symptom.Health
	// Symptoms are those of the object and of what it owns, most serious first.
	// They are empty if it is healthy.
	Symptoms []ObservedSymptom
	// Onset is when the first symptom began. It is zero if there is none.
	Onset time.Time
	// HealthyUntil is the newest time before the onset at which the object is
	// known to have been healthy. It is zero if it never was.
	HealthyUntil time.Time
	// Initial means that the first symptom existed when the recording of its
	// object began. Onset is that time.
	Initial bool
	// Searched is the start of the time in which changes were searched. It is
	// not before the history of the first resource begins, as far as that is
	// known, and not after Onset.
	Searched time.Time
	// Causes are the candidates, the likeliest first.
	Causes []Cause
	// Unread is what was not looked at, because a bound was reached.
	Unread []Unread
}

// ObservedSymptom is a symptom of some objects.
type ObservedSymptom struct {
	symptom.Symptom

	Of    Subject // the first object that had it
	Since time.Time
	// Initial means that it existed when the recording of the object began.
	// Since is that time.
	Initial bool
	Count   int // objects that have it
}

// Subject identifies an object. Its Resource is empty if only an Event names
// the object.
type Subject struct {
	Ref  history.ObjectRef
	Kind string
}

// subjectOf returns the object that a record is about: the target of an Event.
func subjectOf(r *history.Record) Subject {
	if t := r.Regarding; t != nil {
		return Subject{history.ObjectRef{Group: t.Group, Namespace: t.Namespace, Name: t.Name, UID: t.UID}, t.Kind}
	}
	return Subject{r.Ref, r.Kind}
}

// Cause is a root change that may have caused the symptoms.
type Cause struct {
	why.Ranked

	Summary string
	// Path leads from the object with the symptom to the changed object.
	Path []PathStep
}

// PathStep is a relation on the way to a cause.
type PathStep struct {
	Rule string
	To   history.ObjectRef
	Kind string
}

// Why returns what is wrong with an object, and the ranked changes that may
// have caused it. Errors are those of [Service.Relations].
func (s *Service) Why(ctx context.Context, q Why) (WhyAnswer, error) {
	// The present relations get a part of the work, so that the earlier ones
	// are read, too.
	begin := time.Now()
	effort := min(whyEffort, s.options.Effort)
	present := &relationBudget{effort / 2, begin.Add(presentTime)}
	graph, err := s.Relations(ctx, Relations{
		Namespace: q.Namespace, Type: q.Type, Name: q.Name, Group: q.Group, At: q.At, Depth: 2,
		budget: present, narrow: true,
	})
	answer := WhyAnswer{Moments: graph.Moments}
	if err != nil {
		return answer, err
	}
	seen, err := s.seeConsequences(ctx, Timeline{Filter: history.Filter{Namespace: q.Namespace}})
	if err != nil {
		return answer, err
	}
	at := graph.At.Add(1)
	w := investigation{
		folding: newFolding(s, seen.view, at),
		initial: map[time.Time]bool{},
		query:   q, graph: graph, answer: &answer,
		lookback: cmp.Or(q.Lookback, defaultLookback),
		budget:   &relationBudget{effort - effort/2 + max(present.effort, 0), begin.Add(whyTime)},
	}
	w.unread(UnreadRelations, !graph.Exact)
	if answer.Of = graph.Objects[0].Version; answer.Of == nil {
		return answer, nil
	}
	if err := errors.Join(w.addOwners(ctx, &w.graph), w.addRoles(ctx, &w.graph)); err != nil {
		return answer, err
	}
	if err := w.diagnose(ctx); err != nil || answer.Onset.IsZero() {
		return answer, err
	}
	answer.Searched = answer.Onset.Add(-w.lookback)
	if answer.Gaps, err = s.gapsOf(ctx, seen.view, answer.Searched, at); err != nil {
		return answer, err
	}
	candidates, err := w.candidates(ctx)
	if err != nil {
		return answer, err
	}
	if since := seen.coverage(answer.Searched, scope{}).Since; since.After(answer.Searched) {
		answer.Searched = since // there are no changes before
	}
	if answer.Searched.After(answer.Onset) {
		answer.Searched = answer.Onset
	}
	codes := make([]string, len(answer.Symptoms))
	for i := range answer.Symptoms {
		codes[i] = answer.Symptoms[i].Code
	}
	limit := cmp.Or(q.Limit, defaultCauses)
	ranked := why.Rank(why.Symptom{
		Codes: codes, Onset: answer.Onset, Healthy: answer.HealthyUntil, Initial: answer.Initial,
	}, candidates)
	for _, r := range ranked {
		if len(answer.Causes) == limit || r.Score < max(leastScore, leastShare*ranked[0].Score) {
			break
		}
		answer.Causes = append(answer.Causes, Cause{
			Ranked: r, Summary: w.summaries[r.Change], Path: w.paths[nameOf(r.Change.Ref)],
		})
	}
	return answer, nil
}

// leastScore is the score below which a candidate is not shown: a change
// without a relation, or one that can't cause such a symptom. leastShare is the
// least share of the best score.
const (
	leastScore = 0.05
	leastShare = 0.08
)

// gapsOf returns the gaps of all resources of a view that touch a time.
func (s *Service) gapsOf(ctx context.Context, view history.View, from, to time.Time) ([]history.Gap, error) {
	gaps, err := s.reader.Gaps(ctx, nil, from, to)
	return sight{view: view}.restrict(gaps), err
}

// investigation collects what is known of one object's problem.
type investigation struct {
	*folding

	query    Why
	newestOf *history.Record // the newest version of the object, with its JSON
	graph    RelationGraph   // at the time of the question
	// former are the relations at earlier times: right before the onset, and
	// before deletions. They are empty if the object did not exist.
	former   []RelationGraph
	answer   *WhyAnswer
	lookback time.Duration
	budget   *relationBudget // of the relations at earlier times
	// replaced are the times of deletions that are one change with a creation.
	replaced map[time.Time]bool

	// initial are the times at which the recording of objects began that may
	// have symptoms.
	initial map[time.Time]bool

	summaries map[*history.Record]string
	paths     map[string][]PathStep // to objects, by resource, namespace and name
}

// unread notes what was not looked at, unless it was noted before.
func (w *investigation) unread(what Unread, limited bool) {
	if limited && !slices.Contains(w.answer.Unread, what) {
		w.answer.Unread = append(w.answer.Unread, what)
	}
}
