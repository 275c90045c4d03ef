package diff

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// The bounds of a summary, in runes.
const (
	summaryWidth = 120
	valueWidth   = 48
	pathWidth    = 64
)

// Summary returns the changes in one line of at most 120 runes, the most
// interesting ones first, as far as they fit. The number of other changes
// follows: "image app 1.4 → 1.5, replicas 2 → 3 (+2 more)". Noise is neither
// shown nor counted. If all changes are noise, Summary returns "".
//
// Hashes that replace redacted values are not shown.
func Summary(changes []Change) string {
	phrases := phrases(changes)
	if len(phrases) == 0 {
		return ""
	}
	// The first phrase is always shown, with its detail. Others are shown as
	// long as they are interesting and fit, with room for the number of the
	// remaining ones.
	line := phrases[0].full()
	if detail := phrases[0].detail; detail != "" {
		line += ": " + detail
	}
	width, shown, subject := utf8.RuneCountInString(line), 1, phrases[0].subject
	for i := range phrases[1:] {
		p := &phrases[1+i]
		if p.rank >= byReadiness {
			break
		}
		text := p.after(subject)
		if n := utf8.RuneCountInString(text); width+n <= summaryWidth-len(" (+99 more)") {
			line, width, subject = line+text, width+n, p.subject
			shown++
		}
	}
	if more := len(phrases) - shown; more > 0 {
		line = cut(line, summaryWidth-len(" (+9999 more)")) + fmt.Sprintf(" (+%d more)", more)
	}
	return cut(line, summaryWidth)
}

// The ranks of phrases, from the most interesting one. Phrases of rank
// byReadiness or later appear only if they are the first.
const (
	byDeletion   = iota // the object's deletion was requested
	byImage             // of a container, or another version of a program
	byTrouble           // a container waits or has terminated
	byRestarts          // of a container
	byScale             // the number of replicas, paused, suspended
	byRestart           // of a workload
	byContent           // data of a ConfigMap or a Secret
	byScheduling        // a pod was scheduled, a node cordoned or tainted
	byResources         // limits and requests
	byEnv               // the environment of a container
	byRemoval           // from a list
	byPlain             // spec and any other fields
	byPhase             // status.phase
	byRunning           // a container runs
	byReady             // the condition Ready or Available
	byCondition         // any other condition
	byMetadata          // labels, annotations and other metadata
	byReadiness         // of a container
	byCounts            // numbers in a status
	byStatus            // other fields of a status
	byAftermath         // consequences of another change
)

// phrase describes one change, or a few related ones. Its text is the subject,
// the name and the text, as far as they are set.
type phrase struct {
	rank    int
	depth   int    // of fields of the rank byPlain: the deepest come last
	subject string // that following phrases may share, such as a container's name
	name    string // of the field
	text    string
	detail  string // shown only if the phrase is the first
	parent  string // of a field whose name may be ambiguous
	// container is the name of the container in a spec that the change is in.
	// It becomes the subject if the changes are about several containers.
	container string
}

// after returns the phrase as the continuation of one with the given subject. A
// subject that is the same as before is not repeated.
func (p *phrase) after(subject string) string {
	if p.subject == "" || p.subject != subject {
		return ", " + p.full()
	}
	return ", " + p.fact()
}

// full returns the phrase with its subject.
func (p *phrase) full() string {
	if p.subject == "" {
		return p.fact()
	}
	return p.subject + " " + p.fact()
}

// fact returns the phrase without its subject.
func (p *phrase) fact() string {
	if p.name == "" || p.text == "" {
		return p.name + p.text
	}
	return p.name + " " + p.text
}

// phrases returns the phrases for the changes, sorted by rank and without
// duplicates.
func phrases(changes []Change) []phrase {
	s := summarizer{changes: changes}
	for i := range changes {
		s.change(i)
	}
	if len(s.all) > 1 {
		s.relate()
		slices.SortStableFunc(s.all, func(a, b phrase) int {
			return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.depth, b.depth))
		})
	}
	return s.all
}

// summarizer collects the phrases of changes.
//
// An object may have 100,000 changes, so the work per change is bounded.
type summarizer struct {
	changes []Change
	all     []phrase
	seen    map[phrase]bool // nil if there are few
}

// few is how many phrases are compared with each other. If there are more, a
// map is used, or they are not related.
const few = 64

// add adds a phrase unless it has no text or is there already.
func (s *summarizer) add(p phrase) {
	switch {
	case p.name == "" && p.text == "":
		return
	case len(s.all) < few:
		if slices.Contains(s.all, p) {
			return
		}
	default:
		if s.seen == nil {
			s.seen = make(map[phrase]bool, 4*few)
			for _, before := range s.all {
				s.seen[before] = true
			}
		}
		if s.seen[p] {
			return
		}
		s.seen[p] = true
	}
	s.all = append(s.all, p)
}

// change adds the phrases of the change with an index.
func (s *summarizer) change(i int) {
	c := &s.changes[i]
	switch {
	case c.Noise():
	case inCondition(c.Path) && c.Path.last(1).Key != "":
		s.add(s.condition(i))
	case c.Path.Below("status"):
		if c.Kind == Added && c.Path.last(0).Field == "conditions" {
			for _, part := range partsOf(*c) {
				s.add(statusPhrase(part))
			}
			return
		}
		s.add(statusPhrase(*c))
	case isPort(c):
		s.port(i)
	default:
		s.parts(*c)
	}
}

// relate changes phrases that depend on others: the same change of a limit and
// a request becomes one phrase, ambiguous fields get the names of their
// parents, and containers are named if there are several.
func (s *summarizer) relate() {
	if len(s.all) > few {
		return
	}
	several, first := false, ""
	inTrouble := slices.ContainsFunc(s.all, func(p phrase) bool { return p.rank == byTrouble })
	for i := range s.all {
		p := &s.all[i]
		if name, ok := strings.CutSuffix(p.name, " limit"); ok && p.rank == byResources {
			s.mergeRequest(p, name)
		}
		if inTrouble && (p.rank == byReady || p.rank == byCondition) {
			p.rank = byAftermath // of a container's trouble
		}
		if p.container != "" {
			several = several || first != "" && first != p.container
			first = p.container
		}
	}
	s.all = slices.DeleteFunc(s.all, func(p phrase) bool { return p.name+p.text == "" })
	names := map[string]int{}
	for i := range s.all {
		if p := &s.all[i]; p.parent != "" {
			names[p.container+"\x00"+p.subject+"\x00"+p.name]++
		}
	}
	for i := range s.all {
		p := &s.all[i]
		if p.parent != "" && names[p.container+"\x00"+p.subject+"\x00"+p.name] > 1 {
			p.name = p.parent + "." + p.name
		}
		if several && p.container != "" && p.rank != byImage {
			p.subject = strings.TrimSpace(p.container + " " + p.subject)
		}
	}
}

// mergeRequest clears the phrase of the request that changed like a limit.
func (s *summarizer) mergeRequest(limit *phrase, resource string) {
	for i := range s.all {
		q := &s.all[i]
		if q.name == resource+" request" && q.text == limit.text && q.container == limit.container {
			limit.name, *q = resource, phrase{}
			return
		}
	}
}
