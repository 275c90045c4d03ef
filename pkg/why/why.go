package why

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// Distance is how near the changed object is to the one with the symptom.
type Distance uint8

// The distances, nearest first.
const (
	// Own is the object itself, one of its owners, or something that it owns.
	Own Distance = iota
	// Direct is an object that it uses or selects, or that uses or selects it.
	Direct
	// Indirect is an object with such a relation to a Direct one.
	Indirect
	// Nearby is any other object of its namespace.
	Nearby
	// Elsewhere is any other object.
	Elsewhere
)

// Candidate is a root change that may have caused a symptom.
type Candidate struct {
	// Change is the record of the change, or of the creation if the object was
	// deleted and created again.
	Change *history.Record
	// Began is the time of Change, or that of the deletion.
	Began time.Time
	// Paths are the fields that changed, such as
	// spec.template.spec.containers[name=app].image.
	Paths    []string
	Distance Distance
	// Rule is the rule of the relation that led to the changed object, or
	// empty.
	Rule string
	// Dangling means that the object with the symptom names the changed object,
	// which does not exist any more.
	Dangling bool
	// Named means that a text of the symptom, or the object with it, names the
	// changed object.
	Named bool
	// Delta is by how much the change increased the only number that it
	// changed, or 0.
	Delta float64
	// Removes means that the change only removed fields or elements.
	Removes bool
	// Similar is how often the same fields of the object changed in the day
	// before.
	Similar int
}

// Symptom is what the candidates may have caused.
type Symptom struct {
	Codes []string  // of package symptom, most serious first
	Onset time.Time // when the first of them began
	// Healthy is the newest time before the onset at which the object was
	// healthy. It is zero if that is not known.
	Healthy time.Time
	// Initial means that the object had the symptom when its recording began,
	// at Onset.
	Initial bool
}

// slackOf returns how long after the onset a change may be recorded that caused
// it. The problem of an object that was not healthy before may be older.
func (s *Symptom) slackOf() time.Duration {
	if s.Initial || s.Healthy.IsZero() {
		return 0
	}
	return slack
}

// Ranked is a candidate with its score.
type Ranked struct {
	Candidate
	// Score orders the candidates. Only its relation to other scores of the
	// same ranking has a meaning.
	Score float64
	// For and Against are reasons in a few words.
	For, Against []string

	late   bool    // the change was made after the onset
	recent float64 // the factor of the time
	effect float64 // the factor of the kind of change and symptom
}

// Likely reports whether the change is likely to be the cause, as far as the
// record shows.
func (r *Ranked) Likely() bool { return r.Score >= Likely && !r.late }

// slack is how long after the onset a change may be recorded that caused it:
// the records of two resources can be that much out of order.
const slack = 2 * time.Second

// Rank returns the candidates, the likeliest first. Those with equal scores are
// in the order of their times, newest first.
func Rank(s Symptom, candidates []Candidate) []Ranked {
	ranked := make([]Ranked, len(candidates))
	for i, c := range candidates {
		ranked[i] = rank(s, c)
	}
	restarts(ranked)
	triggers(s, ranked)
	reactions(s, ranked)
	slices.SortStableFunc(ranked, func(a, b Ranked) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), b.Change.Time.Compare(a.Change.Time))
	})
	return ranked
}

// rank returns the candidate with its score.
func rank(s Symptom, c Candidate) Ranked {
	r := Ranked{Candidate: c, Score: 1}
	r.distance()
	r.time(&s)
	r.match(s.Codes)
	r.survived(s)
	r.writer()
	if c.Similar > 0 {
		rarity := 1 / (1 + math.Log2(1+float64(c.Similar)))
		r.weigh(rarity, fmt.Sprintf("changed like this %d× in the day before", c.Similar))
	}
	if c.Dangling {
		r.weigh(3, "is still named, and does not exist")
	}
	return r
}

// weigh multiplies the score, and adds the reason to the side that it speaks
// for.
func (r *Ranked) weigh(factor float64, reason string) {
	r.Score *= factor
	switch {
	case reason == "":
	case factor > 1:
		r.For = append(r.For, reason)
	case factor < 1:
		r.Against = append(r.Against, reason)
	}
}

// distance weighs how near the changed object is.
func (r *Ranked) distance() {
	switch d := r.Distance; {
	case r.Named && d >= Indirect:
		r.Score *= 0.8
		r.For = append(r.For, "named by the symptom or in the object")
		return
	case r.Named && d == Direct:
		r.weigh(1.5, "named by the symptom")
	}
	switch r.Distance {
	case Own:
		r.Score *= 1
		r.For = append(r.For, "the object itself")
	case Direct:
		r.Score *= 0.8
		if r.Rule != "" {
			r.For = append(r.For, "related: "+r.Rule)
		}
	case Indirect:
		r.weigh(0.4, "related over another object")
	case Nearby:
		r.weigh(0.12, "not related, but in the namespace")
	case Elsewhere:
		r.weigh(0.08, "not related")
	}
}

// time weighs how long before the onset the change was made. The weight falls
// with the logarithm of the minutes: what was changed hours ago may have been
// read only now.
func (r *Ranked) time(s *Symptom) {
	before := s.Onset.Sub(r.Change.Time)
	if r.Began.Sub(s.Onset) > s.slackOf() {
		r.isLate()
		return
	}
	after := before < 0 // and no later than problems are noticed
	before = max(before, 0)
	r.recent = 1 / (1 + math.Log2(1+before.Minutes()))
	r.Score *= r.recent
	text := fmt.Sprintf("%s before", before.Round(time.Second))
	if before <= 5*time.Minute {
		if !after {
			r.For = append(r.For, text)
		}
	} else if before > time.Hour {
		r.Against = append(r.Against, text)
	}
}

// isLate weighs against a change that was made after the onset.
func (r *Ranked) isLate() {
	r.late = true
	r.weigh(0.02, "after the first failure")
}

// survival is after how much healthy time a change is half as likely.
const survival = 30 * time.Second

// survived weighs against a change after which the object was healthy, if such
// a change has its effect at once: pods are replaced when their template
// changes. Configuration may be read much later, and a CronJob runs later.
func (r *Ranked) survived(s Symptom) {
	if s.Healthy.IsZero() || !r.Change.Time.Before(s.Healthy) {
		return
	}
	kind := kindOf(&r.Candidate)
	at := kind == Creation || r.Distance == Own && immediate(kind) && r.Change.Ref.Resource != "cronjobs"
	if !at {
		return
	}
	healthy := s.Onset.Sub(r.Change.Time)
	factor := max(1/(1+float64(healthy)/float64(survival)), 0.1)
	reason := ""
	if healthy >= survival {
		reason = "healthy " + s.Healthy.Sub(r.Change.Time).Round(time.Second).String() + " after it"
	}
	r.weigh(factor, reason)
}

const (
	strong    = 3   // factor of kinds of changes that are typical of a symptom
	unrelated = 5   // factor of such a change whose effect needs no relation
	relief    = 0.5 // factor of a taint that a node lost
)

// Likely is the score from which on a candidate is a likely cause. If the
// record does not contain the cause, no candidate should have it: changes
// without a relation have less, and so do changes after which the object was
// healthy.
const Likely = 0.3

// match weighs whether a change of these fields can cause such a symptom.
func (r *Ranked) match(codes []string) {
	kind := kindOf(&r.Candidate)
	if r.Distance >= Nearby && !r.Named && !reachesOthers(kind, codes) {
		return
	}
	best, name := 1.0, ""
	for i, code := range codes {
		factor := effect(code, kind)
		if i > 0 && factor > 1 { // what is less serious counts less
			factor = 1 + (factor-1)/2
		}
		if factor > best || i == 0 {
			best, name = factor, code
		}
	}
	if r.Distance >= Nearby && !r.Named && kind == Admission && best >= strong {
		r.weigh(unrelated, "acts without a relation")
	}
	if kind == NodeState && r.Removes && !slices.ContainsFunc(r.Paths, func(path string) bool {
		return !strings.HasPrefix(path, "spec.")
	}) {
		best = min(best, relief)
	}
	r.effect = best
	switch {
	case best > 1:
		r.weigh(best, kind.String()+" can cause "+name)
	case best < 1:
		r.weigh(best, kind.String()+" "+kind.rarely()+" "+name)
	}
}

// writer weighs who made the change.
func (r *Ranked) writer() {
	switch writer.Of(r.Change.Managers) {
	case writer.Person:
		r.weigh(1.2, "by a person")
	case writer.Automation:
		r.Score *= 1.1
	case writer.System:
		r.weigh(0.5, "by the cluster")
	}
}

// restarts weighs candidates against restarts of pods. A restart is when pods
// read their configuration, and not a cause: an earlier change of what they
// read is likelier, however old it is.
func restarts(ranked []Ranked) {
	var restart *Ranked
	for i := range ranked {
		r := &ranked[i]
		if kindOf(&r.Candidate) == Restart && r.Distance == Own && (restart == nil || r.Score > restart.Score) {
			restart = r
		}
	}
	if restart == nil {
		return
	}
	for i := range ranked {
		r := &ranked[i]
		if k := kindOf(&r.Candidate); k == Configuration && r.Distance <= Direct &&
			!r.Change.Time.After(restart.Change.Time) {
			r.Score = max(r.Score, restart.Score*1.5)
			r.For = append(r.For, "read at the restart")
		}
	}
}

const (
	// triggerTime is how long before the onset a trigger can be.
	triggerTime = 2 * time.Minute
	// typical is the least factor of a kind of change that is typical of a
	// symptom.
	typical = 1.5
	// lasting is the least factor of the time of a change that has its effect
	// with a trigger.
	lasting = 0.5
)

// triggers weighs old changes more if a trigger was right before the onset. A
// trigger is a change of the object that makes new pods, and that rarely causes
// the symptom. New pods take what changed since the old ones were made.
func triggers(s Symptom, ranked []Ranked) {
	var trigger *Ranked
	for i := range ranked {
		r := &ranked[i]
		before := s.Onset.Sub(r.Change.Time)
		if r.Distance != Own || r.late || before > triggerTime {
			continue
		}
		if k := kindOf(&r.Candidate); k == Restart || k == Growth || k == Creation || r.effect < 1 {
			if trigger == nil || r.Change.Time.Before(trigger.Change.Time) {
				trigger = r
			}
		}
	}
	if trigger == nil {
		return
	}
	for i := range ranked {
		r := &ranked[i]
		related := r.Distance == Direct || r.Distance > Direct && (r.Named || r.Dangling)
		if related && r.recent > 0 && r.effect >= typical && r.Change.Time.Before(trigger.Change.Time) {
			r.Score *= (lasting + (1-lasting)*r.recent) / r.recent
			r.For = append(r.For, "in effect since "+kindOf(&trigger.Candidate).String())
		}
	}
}

// reactions weighs against changes right after the onset if a change before it
// is likely: they react to the problem, as a rollback does. Otherwise they may
// be the cause, and only their records are late.
func reactions(s Symptom, ranked []Ranked) {
	if !slices.ContainsFunc(ranked, func(r Ranked) bool { return r.Likely() && !r.Began.After(s.Onset) }) {
		return
	}
	for i := range ranked {
		if r := &ranked[i]; !r.late && r.Began.After(s.Onset) {
			r.isLate()
		}
	}
}
