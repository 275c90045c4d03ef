package clustertest

import (
	"fmt"
	"slices"
	"strconv"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// Blind is an interval of resourceVersions, both ends included, in which versions may have been out of a recorder's sight.
type Blind struct{ From, To uint64 }

// Result is how a recording differs from the truth.
type Result struct {
	// Findings name everything that is wrong, a line each. None: the recording is right.
	Findings []string
	// Unseen counts the writes that are not recorded, and could not be.
	Unseen int
	// Inferred counts the records that a relist implied.
	Inferred int
}

// Compare holds what was recorded, oldest first, against all the writes to the same objects. Without blind intervals every
// write has to be there once, in order, and nothing else. Within one, versions may be missing and others inferred from
// a relist, but every deletion of a recorded object and the newest state of every object have to be there.
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

type comparison struct {
	lives  map[string]*life // by UID
	order  []string         // the UIDs as they were first written
	blind  []Blind
	result Result
}

// life is one incarnation of an object.
type life struct {
	name    string
	verbs   map[string]string // of its writes, by resourceVersion; deletions tell none
	rvs     []string          // of its writes, in their order
	deleted bool

	seen map[string]bool // the recorded resourceVersions
	last uint64          // the newest of them
	gone bool            // its deletion is recorded
}

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

func (c *comparison) record(e *v1.Event) {
	l := c.lives[e.UID]
	if l == nil {
		c.wrong("%s of %s %s, which never was", e.Verb, e.ResourceType, e.ResourceName)
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

// implied checks a record that came from a relist: there has to be a reason for that, and it has to be true.
func (c *comparison) implied(l *life, e *v1.Event) {
	want := "update"
	if len(l.seen) == 0 {
		want = "create"
	}
	switch {
	case len(c.blind) == 0:
		c.wrong("%s of %s at %s is not said to have been seen, and could be", e.Verb, l.name, e.ResourceVersion)
	case e.Verb == "delete" && (!l.deleted || len(l.seen) == 0):
		c.wrong("the deletion of %s is inferred, and never happened", l.name)
	case e.Verb != "delete" && (l.verbs[e.ResourceVersion] == "" || e.Verb != want):
		c.wrong("%s of %s at %s is inferred, and is none", e.Verb, l.name, e.ResourceVersion)
	case e.Verb != "delete" && !c.mayMiss(e.ResourceVersion):
		c.wrong("%s of %s at %s is inferred, and could be seen", e.Verb, l.name, e.ResourceVersion)
	}
}

// conclude looks for what is not there of an object's life.
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

func (c *comparison) mayMiss(rv string) bool {
	n, err := strconv.ParseUint(rv, 10, 64)
	return err == nil && slices.ContainsFunc(c.blind, func(b Blind) bool { return b.From <= n && n <= b.To })
}

func (c *comparison) wrong(format string, args ...any) {
	c.result.Findings = append(c.result.Findings, fmt.Sprintf(format, args...))
}
