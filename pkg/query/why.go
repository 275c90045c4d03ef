package query

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
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
	// Searched is the start of the time in which changes were searched.
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
	Count int // objects that have it
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
	view, err := s.viewOfConsequences(ctx, Timeline{Filter: history.Filter{Namespace: q.Namespace}})
	if err != nil {
		return answer, err
	}
	at := graph.At.Add(1)
	w := investigation{
		folding: newFolding(s, view, at),
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
	if answer.Gaps, err = s.gapsOf(ctx, view, answer.Searched, at); err != nil {
		return answer, err
	}
	candidates, err := w.candidates(ctx)
	if err != nil {
		return answer, err
	}
	codes := make([]string, len(answer.Symptoms))
	for i := range answer.Symptoms {
		codes[i] = answer.Symptoms[i].Code
	}
	limit := cmp.Or(q.Limit, defaultCauses)
	ranked := why.Rank(why.Symptom{Codes: codes, Onset: answer.Onset, Healthy: answer.HealthyUntil}, candidates)
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

	summaries map[*history.Record]string
	paths     map[string][]PathStep // to objects, by resource, namespace and name
}

// unread notes what was not looked at, unless it was noted before.
func (w *investigation) unread(what Unread, limited bool) {
	if limited && !slices.Contains(w.answer.Unread, what) {
		w.answer.Unread = append(w.answer.Unread, what)
	}
}

// diagnose finds the symptoms of the object and of what it owns, and when they
// began.
func (w *investigation) diagnose(ctx context.Context) error {
	newest, err := w.newest(ctx, w.answer.Of.Ref, w.end)
	if err != nil || newest == nil {
		return err
	}
	w.newestOf = newest
	if w.answer.Health, err = w.extra.HealthAt(ctx, newest, w.end); err != nil {
		return err
	}
	refusal, err := w.refusal(ctx, newest, w.end.Add(-w.lookback), w.end)
	if err != nil {
		return err
	}
	own, err := w.ownVersions(ctx)
	if err != nil {
		return err
	}
	onsets, err := w.onsets(ctx)
	if err != nil {
		return err
	}
	begin, err := w.episode(ctx, own, onsets)
	if err != nil {
		return err
	}
	onsets = slices.DeleteFunc(onsets, func(r *history.Record) bool { return r.Time.Before(begin) })
	if begin.IsZero() {
		before, err := w.failedBefore(ctx)
		if err != nil {
			return err
		}
		onsets = append(onsets, before...)
	}
	if err := w.observe(ctx, newest, onsets); err != nil {
		return err
	}
	w.observeRefusal(newest, refusal)
	if len(w.answer.Symptoms) == 0 && w.answer.Health.State == symptom.Unknown {
		return w.dangling(ctx)
	}
	if len(w.answer.Symptoms) == 0 {
		return nil
	}
	// The symptoms began with the first of those onsets that no long healthy
	// time separates from the newest one.
	w.answer.Onset = w.answer.Symptoms[0].Since
	for _, s := range w.answer.Symptoms {
		if s.Since.Before(w.answer.Onset) {
			w.answer.Onset = s.Since
		}
	}
	if err := w.narrow(ctx, own, newest); err != nil {
		return err
	}
	return w.healthyBefore(ctx)
}

// ownVersions returns the newest versions of the object, newest first, with
// their objects.
func (w *investigation) ownVersions(ctx context.Context) (all []*history.Record, err error) {
	scan := history.Scan{
		Filter: exactly(w.answer.Of.Ref), Order: history.NewestFirst, Limit: healthyBeforeOnset, Bodies: true,
	}
	scan.Start, scan.End, scan.View = w.end.Add(-w.lookback), w.end, w.view
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// recovery is how long an object must have been healthy before a change of its
// own, so that a problem after the change is another one than before. A
// container that crashes is healthy for a few seconds after each start.
const recovery = 10 * time.Second

// episode returns when the newest episode of the problem may have begun: with
// the newest change of the object's own that has an onset after it, and before
// which the object was healthy. It is zero if there is none.
func (w *investigation) episode(ctx context.Context, own, onsets []*history.Record) (time.Time, error) {
	if len(onsets) == 0 {
		return time.Time{}, nil
	}
	for i, r := range own {
		if r.Class != history.Root || r.Initial || r.Time.After(onsets[0].Time.Add(slack)) {
			continue
		}
		for _, before := range own[i+1:] {
			h, err := w.extra.HealthAt(ctx, before, before.Time)
			if err != nil {
				return time.Time{}, err
			}
			if h.State != symptom.Ready {
				break
			}
			if r.Time.Sub(before.Time) >= recovery {
				return r.Time, nil
			}
		}
	}
	return time.Time{}, nil
}

// slack is how much later than its effect a change may be recorded.
const slack = 2 * time.Second

// narrow sets the onset to the time since when the object has had one of its
// present symptoms, if another symptom of the same code was before.
func (w *investigation) narrow(ctx context.Context, own []*history.Record, newest *history.Record) error {
	if len(w.answer.Symptoms) != 1 || w.answer.Symptoms[0].Of != subjectOf(newest) {
		return nil
	}
	now, err := w.extra.At(ctx, newest, w.end)
	if err != nil {
		return err
	}
	since := w.answer.Onset
	for _, r := range own {
		if r.Time.Before(w.answer.Onset) {
			break
		}
		then, err := w.extra.At(ctx, r, r.Time)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(then, func(s symptom.Symptom) bool {
			return slices.ContainsFunc(now, func(n symptom.Symptom) bool {
				return n.Code == s.Code && n.Subject == s.Subject
			})
		}) {
			break
		}
		since = r.Time
	}
	w.answer.Onset, w.answer.Symptoms[0].Since = since, since
	return nil
}

// onsets returns the onsets of the object, of what it owns, and of Events about
// them, newest first.
func (w *investigation) onsets(ctx context.Context) ([]*history.Record, error) {
	family := map[types.UID]bool{}
	for _, o := range w.graph.family() {
		if ref := w.graph.Objects[o].Ref; ref.UID != "" {
			family[ref.UID] = true
		}
	}
	filter := history.Filter{Start: w.end.Add(-w.lookback), End: w.end, View: w.view}
	filter.Classes = []history.Class{history.Onset, history.Root}
	filter.Namespace = w.answer.Of.Ref.Scope()
	var found []*history.Record
	scan := history.Scan{Filter: filter, Order: history.NewestFirst}
	read := 0
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		if read++; read > min(whyEffort, w.service.options.Effort) || len(found) == onsetsOfOwned {
			w.unread(UnreadOnsets, true)
			break
		}
		if r.Class == history.Root && (r.Summary == nil || r.Summary.Problem == "") {
			continue
		}
		if family[r.Ref.UID] || r.Regarding != nil && family[r.Regarding.UID] || w.owns(family, r) {
			found = append(found, r)
		}
	}
	return found, nil
}

// failedBefore returns the first versions of the object and of what it owns, if
// they had a problem when their recording began. The problem began earlier, so
// the log has no onset of it.
func (w *investigation) failedBefore(ctx context.Context) (found []*history.Record, err error) {
	for _, i := range w.graph.family() {
		o := &w.graph.Objects[i]
		if o.Version == nil || len(found) == onsetsOfOwned {
			continue
		}
		scan := history.Scan{Filter: exactly(o.Ref), Limit: 1, Bodies: true}
		scan.View = w.view
		for r, err := range w.service.reader.Scan(ctx, scan) {
			if err != nil {
				return nil, err
			}
			if !r.Initial || r.Time.Before(w.end.Add(-w.lookback)) {
				continue
			}
			had, err := w.extra.At(ctx, r, r.Time)
			if err != nil {
				return nil, err
			}
			if len(had) > 0 {
				found = append(found, r)
			}
		}
	}
	slices.SortFunc(found, func(a, b *history.Record) int { return b.Time.Compare(a.Time) })
	return found, nil
}

// owns reports whether an object of the family owns the record's object.
func (w *investigation) owns(family map[types.UID]bool, r *history.Record) bool {
	return slices.ContainsFunc(r.Owners, func(uid types.UID) bool { return family[uid] })
}

// observe sets the symptoms: those that objects still have, or else those of
// the newest onsets.
func (w *investigation) observe(ctx context.Context, newest *history.Record, onsets []*history.Record) error {
	groups := map[string]*ObservedSymptom{}
	having := map[string]map[string]map[string]bool{} // the names of the objects that have a symptom, by code and kind
	var order []string
	add := func(found []symptom.Symptom, r *history.Record, since time.Time) {
		of := subjectOf(r)
		kind := of.Kind + "." + of.Ref.Group
		for _, s := range found {
			g := groups[s.Code]
			if g == nil {
				g = &ObservedSymptom{Symptom: s, Of: of, Since: since}
				groups[s.Code], having[s.Code] = g, map[string]map[string]bool{}
				order = append(order, s.Code)
			}
			if having[s.Code][kind] == nil {
				having[s.Code][kind] = map[string]bool{}
			}
			having[s.Code][kind][of.Ref.Name] = true
			if since.Before(g.Since) {
				g.Since, g.Of = since, of
			}
		}
	}
	first := map[types.UID]time.Time{} // of the episode
	var objects []*history.Record
	var last time.Time
	for _, o := range onsets { // newest first
		if !last.IsZero() && last.Sub(o.Time) > episodePause {
			break
		}
		last = o.Time
		if _, known := first[o.Ref.UID]; !known {
			objects = append(objects, o)
		}
		first[o.Ref.UID] = o.Time
	}
	own, err := w.extra.At(ctx, newest, w.end)
	if err != nil {
		return err
	}
	if len(own) > 0 {
		since := newest.Time
		if at, known := first[newest.Ref.UID]; known {
			since = at
		}
		add(own, newest, since)
	}
	// What the status of objects says comes first, because Events repeat it.
	slices.SortStableFunc(objects, func(a, b *history.Record) int {
		return cmp.Compare(rankOf(a), rankOf(b))
	})
	for _, o := range objects {
		if o.Ref.UID == newest.Ref.UID {
			continue
		}
		version, err := w.newest(ctx, o.Ref, w.end)
		if err != nil {
			return err
		}
		if version == nil {
			continue
		}
		found, err := w.extra.At(ctx, version, w.end)
		if err != nil {
			return err
		}
		if len(found) == 0 || version.Verb == history.Delete {
			if w.answer.Health.State == symptom.Ready || w.answer.Health.State == symptom.Done {
				continue // it recovered
			}
			full, err := newSummarizer(w.service.reader).withObject(ctx, o)
			if err != nil {
				return err
			}
			if found, err = w.extra.At(ctx, full, full.Time); err != nil {
				return err
			}
		}
		add(found, version, first[o.Ref.UID])
	}
	codes := symptom.Codes()
	slices.SortStableFunc(order, func(a, b string) int {
		return cmp.Compare(slices.Index(codes, a), slices.Index(codes, b))
	})
	for _, code := range order {
		g := groups[code]
		g.Count = len(having[code][g.Of.Kind+"."+g.Of.Ref.Group])
		w.answer.Symptoms = append(w.answer.Symptoms, *g)
	}
	return nil
}

// rankOf orders Events after other records.
func rankOf(r *history.Record) int {
	if r.Regarding != nil {
		return 1
	}
	return 0
}

// healthyBefore finds the newest healthy version of the object before the
// onset.
func (w *investigation) healthyBefore(ctx context.Context) error {
	scan := history.Scan{
		Filter: exactly(w.answer.Of.Ref), Order: history.NewestFirst, Limit: healthyBeforeOnset, Bodies: true,
	}
	scan.End, scan.View = w.answer.Onset.Add(1), w.view
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return err
		}
		h, err := w.extra.HealthAt(ctx, r, r.Time)
		if err != nil {
			return err
		}
		if h.State == symptom.Ready || h.State == symptom.Done {
			w.answer.HealthyUntil = r.Time
			return nil
		}
	}
	return nil
}

// candidates returns the root changes that may have caused the symptoms.
func (w *investigation) candidates(ctx context.Context) ([]why.Candidate, error) {
	w.summaries, w.paths = map[*history.Record]string{}, map[string][]PathStep{}
	w.replaced = map[time.Time]bool{}
	var all []why.Candidate
	seen := map[time.Time]bool{}
	end := w.answer.Onset.Add(time.Minute)
	if end.After(w.end) {
		end = w.end
	}
	add := func(filter history.Filter, limit int, n *neighbour) error {
		filter.Start, filter.End = w.answer.Searched, end
		if filter.View == nil {
			filter.View = w.view
		}
		filter.Classes = []history.Class{history.Root}
		found, err := w.roots(ctx, filter, limit)
		if err != nil {
			return err
		}
		for _, c := range found {
			if seen[c.Change.Time] || len(all) >= maxCandidates || c.Change.Initial {
				continue
			}
			seen[c.Change.Time] = true
			c.Distance = n.distance
			if len(n.path) > 0 {
				c.Rule = n.path[len(n.path)-1].Rule
			}
			c.Dangling = n.State == Missing
			c.Named = n.named || w.names(c.Change.Ref.Name)
			all = append(all, c)
			ref := c.Change.Ref
			w.paths[nameOf(ref)] = n.path
		}
		return nil
	}
	if err := w.readFormer(ctx); err != nil {
		return nil, err
	}
	neighbours := w.neighbours()
	slices.SortStableFunc(neighbours, func(a, b neighbour) int { return cmp.Compare(a.distance, b.distance) })
	for i, n := range neighbours {
		if i == maxNeighbours || len(all) == maxCandidates {
			w.unread(UnreadChanges, true)
			break
		}
		if n.Ref.Name == "" || n.Ref.Resource == "" {
			continue
		}
		named := history.Filter{Namespace: n.Ref.Scope(), Name: n.Ref.Name}
		named.Resources = append(named.Resources, n.Ref.GroupResource())
		named.Verbs = n.verbs
		if err := add(named, perObject, &n); err != nil {
			return nil, err
		}
	}
	hosts, err := w.hosts(ctx)
	if err != nil {
		return nil, err
	}
	for i := range hosts {
		if err := add(hosts[i].filter, perObject, &hosts[i].neighbour); err != nil {
			return nil, err
		}
	}
	for _, o := range w.others() {
		w.answer.Searched = w.answer.Onset.Add(-o.within)
		if err := add(o.Filter, 2*perObject, &neighbour{distance: o.distance}); err != nil {
			return nil, err
		}
	}
	w.answer.Searched = w.answer.Onset.Add(-w.lookback)
	return slices.DeleteFunc(all, func(c why.Candidate) bool { return w.replaced[c.Change.Time] }), nil
}

// roots returns the newest root changes of a filter as candidates, with their
// changed fields. A deletion and the creation of the same name shortly after it
// are one candidate.
func (w *investigation) roots(ctx context.Context, filter history.Filter, limit int) ([]why.Candidate, error) {
	var records []*history.Record
	scan := history.Scan{Filter: filter, Order: history.NewestFirst, Limit: limit, Bodies: true}
	for r, err := range w.service.reader.Scan(ctx, scan) {
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	summarizer := newSummarizer(w.service.reader)
	similar := map[string]*habit{}
	var found []why.Candidate
	for _, r := range slices.Backward(records) { // oldest first
		before, err := summarizer.previous(ctx, r)
		if err != nil {
			return nil, err
		}
		if last := deletionOf(found, r); last >= 0 {
			before = found[last].Change
			w.replaced[before.Time] = true
			found = slices.Delete(found, last, last+1)
		}
		c := why.Candidate{Change: r}
		described, err := summarizer.summary(ctx, r)
		if err != nil {
			return nil, err
		}
		w.summaries[r] = described.Text
		if before != nil {
			changes := summary.Compare(before.Object, r.Object).Changes()
			c.Paths = paths(changes)
			c.Delta, c.Removes = deltaOf(changes), removes(changes)
			if r.Verb == history.Create {
				w.summaries[r] = "deleted and created again: " + diff.Summary(changes)
			}
		}
		if r.Verb == history.Update {
			key := nameOf(r.Ref) + " " + strings.Join(c.Paths, ",")
			if similar[key] == nil {
				similar[key] = &habit{}
			}
			c.Similar = similar[key].add(c.Delta)
		}
		summarizer.cache(r)
		found = append(found, c)
	}
	return found, nil
}

// habit is what is known of earlier changes of the same fields.
type habit struct {
	count   int
	largest float64 // change of a number
}

// unusual is how many times larger than all before a change of a number is that
// is not like them.
const unusual = 3

// add adds a change, and returns how many similar ones were before it.
func (h *habit) add(delta float64) (similar int) {
	similar = h.count
	if delta = math.Abs(delta); delta >= unusual*h.largest && h.largest > 0 {
		similar = 0
	}
	h.count++
	h.largest = max(h.largest, delta)
	return similar
}

// deltaOf returns by how much the only number that changed grew, or 0.
func deltaOf(changes []diff.Change) (delta float64) {
	for _, c := range changes {
		if c.Noise() || c.Path.Below("status") {
			continue
		}
		before, after := number(c.Old), number(c.New)
		if delta != 0 || math.IsNaN(before) || math.IsNaN(after) {
			return 0
		}
		delta = after - before
	}
	return delta
}

// number returns a JSON number, or NaN.
func number(of any) float64 {
	switch n := of.(type) {
	case float64:
		return n
	case int64:
		return float64(n)
	case json.Number:
		if f, err := n.Float64(); err == nil {
			return f
		}
	}
	return math.NaN()
}

// removes reports whether all changes remove something.
func removes(changes []diff.Change) bool {
	some := false
	for _, c := range changes {
		if c.Noise() || c.Path.Below("status") {
			continue
		}
		if c.New != nil {
			return false
		}
		some = true
	}
	return some
}

// deletionOf returns the position of the deletion that a creation of the same
// name replaces, or -1.
func deletionOf(found []why.Candidate, created *history.Record) int {
	if created.Verb != history.Create {
		return -1
	}
	for i, c := range slices.Backward(found) {
		if last := c.Change; nameOf(last.Ref) == nameOf(created.Ref) {
			if last.Verb == history.Delete && created.Time.Sub(last.Time) < recreationTime {
				return i
			}
			return -1
		}
	}
	return -1
}

// paths returns the paths of changes, without noise and status.
func paths(changes []diff.Change) (all []string) {
	for _, c := range changes {
		if !c.Noise() && !c.Path.Below("status") {
			all = append(all, c.Path.String())
		}
	}
	return all
}
