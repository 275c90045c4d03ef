package clustertest

import (
	"fmt"
	"slices"
	"strconv"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// Blind is an interval of resourceVersions, including both ends, in which no
// watch may have delivered versions to the recorder.
type Blind struct{ From, To uint64 }

// Result is the difference between a recording and the truth.
type Result struct {
	// Findings describe all mistakes, one per line. It is empty if the
	// recording is correct.
	Findings []string
	// Unseen is the number of writes that are not recorded and that no watch
	// delivered.
	Unseen int
	// Inferred is the number of records that only a list showed.
	Inferred int
}

// Compare compares the records, oldest first, with all writes to the same
// objects.
//
// Without blind intervals, every write must be recorded once, in order, and
// nothing else. Within one, versions may be missing and others inferred. Even
// then, every deletion of a recorded object and the newest state of every
// object must be recorded.
func Compare(truth []Write, recorded []v1.Event, blind ...Blind) Result {
	c := comparison{lives: map[string]*life{}, blind: blind}
	for _, w := range truth {
		c.write(w)
	}
	for i := range recorded {
		c.record(&recorded[i])
	}
	for _, uid := range c.order {
		c.conclude(c.lives[uid])
	}
	return c.result
}

// comparison is the state of [Compare].
type comparison struct {
	lives  map[string]*life // by UID
	order  []string         // UIDs, in the order of their first writes
	blind  []Blind
	result Result
}

// life is one incarnation of an object.
type life struct {
	name    string
	verbs   map[string]string // of its writes, except deletions, by resourceVersion
	rvs     []string          // of its writes, in order
	deleted bool

	seen map[string]bool // recorded resourceVersions
	last uint64          // the newest of them
	gone bool            // whether its deletion is recorded
}

// write adds a write of the truth.
func (c *comparison) write(w Write) {
	l := c.lives[w.UID]
	if l == nil {
		l = &life{name: w.Resource + " " + w.Name, verbs: map[string]string{}, seen: map[string]bool{}}
		c.lives[w.UID] = l
		c.order = append(c.order, w.UID)
	}
	if w.Verb == "delete" {
		l.deleted = true
		return
	}
	l.verbs[w.ResourceVersion] = w.Verb
	l.rvs = append(l.rvs, w.ResourceVersion)
}

// record checks the next record.
func (c *comparison) record(e *v1.Event) {
	l := c.lives[e.UID]
	if l == nil {
		c.wrong("%s of %s %s: there was no such object", e.Verb, e.ResourceType, e.ResourceName)
		return
	}
	implied := e.Inferred != nil || e.Initial
	rv, err := strconv.ParseUint(e.ResourceVersion, 10, 64)
	if err != nil || rv < l.last || rv == l.last && (!implied || e.Verb != "delete") {
		c.wrong("%s of %s at %s comes after %d", e.Verb, l.name, e.ResourceVersion, l.last)
	}
	if want := uint64(len(l.seen)) + 1; e.Revision != want && e.Verb != "delete" {
		c.wrong("%s of %s at %s is revision %d, want %d", e.Verb, l.name, e.ResourceVersion, e.Revision, want)
	}
	switch {
	case l.gone:
		c.wrong("%s of %s at %s comes after its deletion", e.Verb, l.name, e.ResourceVersion)
	case implied:
		c.result.Inferred++
		c.implied(l, e)
	case e.Verb == "delete" && !l.deleted, e.Verb != "delete" && l.verbs[e.ResourceVersion] != e.Verb:
		c.wrong("%s of %s at %s never happened", e.Verb, l.name, e.ResourceVersion)
	}
	l.last = rv
	if e.Verb == "delete" {
		l.gone = true
		return
	}
	l.seen[e.ResourceVersion] = true
}

// implied checks an initial or inferred record: there must be a blind interval,
// and the change must have happened.
func (c *comparison) implied(l *life, e *v1.Event) {
	want := "update"
	if len(l.seen) == 0 {
		want = "create"
	}
	switch {
	case len(c.blind) == 0:
		c.wrong("%s of %s at %s is initial or inferred, want it observed", e.Verb, l.name, e.ResourceVersion)
	case e.Verb == "delete" && (!l.deleted || len(l.seen) == 0):
		c.wrong("the deletion of %s is inferred and never happened", l.name)
	case e.Verb != "delete" && (l.verbs[e.ResourceVersion] == "" || e.Verb != want):
		c.wrong("%s of %s at %s is inferred and never happened", e.Verb, l.name, e.ResourceVersion)
	case e.Verb != "delete" && !c.mayMiss(e.ResourceVersion):
		c.wrong("%s of %s at %s is inferred outside of blind intervals, want it observed",
			e.Verb, l.name, e.ResourceVersion)
	}
}

// conclude checks what is missing of an object.
func (c *comparison) conclude(l *life) {
	for _, rv := range l.rvs {
		switch {
		case l.seen[rv]:
		case c.mayMiss(rv):
			c.result.Unseen++
		default:
			c.wrong("%s of %s at %s is missing", l.verbs[rv], l.name, rv)
		}
	}
	switch {
	case l.deleted && !l.gone && len(l.seen) > 0:
		c.wrong("the deletion of %s is missing", l.name)
	case l.deleted && !l.gone && slices.ContainsFunc(l.rvs, c.mayMiss):
		c.result.Unseen++
	case !l.deleted && !l.seen[l.rvs[len(l.rvs)-1]]:
		c.wrong("the newest state of %s, at %s, is missing", l.name, l.rvs[len(l.rvs)-1])
	}
}

// mayMiss reports whether a version is in a blind interval.
func (c *comparison) mayMiss(rv string) bool {
	n, err := strconv.ParseUint(rv, 10, 64)
	return err == nil && slices.ContainsFunc(c.blind, func(b Blind) bool { return b.From <= n && n <= b.To })
}

// wrong adds a finding.
func (c *comparison) wrong(format string, args ...any) {
	c.result.Findings = append(c.result.Findings, fmt.Sprintf(format, args...))
}
