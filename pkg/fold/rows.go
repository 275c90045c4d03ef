package fold

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/writer"
)

// Change is a root change with its summary. The record needs no object.
type Change struct {
	*history.Record
	Summary string
	// Terminating is when the deletion of a namespace was requested. It is zero
	// for all other changes, and if that is not known.
	Terminating time.Time
}

// Kind is why changes are in one row.
type Kind string

// The kinds. They are part of the REST API.
const (
	// Single is one change.
	Single Kind = "change"
	// Repeat is the same change of one object by the same writer, several
	// times.
	Repeat Kind = "repeat"
	// Fight is a field of one object that two writers change alternately.
	Fight Kind = "fight"
	// Bulk is the same change of several objects by the same writer.
	Bulk Kind = "bulk"
	// Removal is the deletion of a namespace and of the objects in it.
	Removal Kind = "removal"
)

// Row is one line of a folded page.
type Row struct {
	Kind Kind
	// Changes are the row's changes, oldest first. There is at least one. The
	// last change of a [Removal] is that of the namespace.
	Changes []Change
}

// First returns the oldest change of the row.
func (r *Row) First() *Change { return &r.Changes[0] }

// Last returns the newest change of the row.
func (r *Row) Last() *Change { return &r.Changes[len(r.Changes)-1] }

// Limits of what is folded.
const (
	// pause is the longest time between two repeated changes of one row. That
	// of people is shorter: what a person does twice on purpose is two rows.
	pause         = time.Hour
	pauseOfPeople = 10 * time.Minute
	// bulkTime is how long the changes of a [Bulk] row take at most, and
	// bulkObjects how many there are at least.
	bulkTime    = time.Minute
	bulkObjects = 3
	// alternations is how many changes a [Fight] has at least.
	alternations = 4
)

// Rows folds changes, which must be sorted by time. Each change is in exactly
// one row. The rows are sorted by their first changes.
func Rows(changes []Change) []Row {
	f := folder{changes: changes, taken: make([]bool, len(changes))}
	f.removals()
	f.perObject()
	f.bulks()
	for i, c := range changes {
		if !f.taken[i] {
			f.rows = append(f.rows, Row{Kind: Single, Changes: []Change{c}})
		}
	}
	slices.SortStableFunc(f.rows, func(a, b Row) int { return a.First().Time.Compare(b.First().Time) })
	return f.rows
}

// folder moves changes into rows.
type folder struct {
	changes []Change
	taken   []bool // by the index of the change
	rows    []Row
}

// add adds a row of the changes with these indexes, which must be ascending.
func (f *folder) add(kind Kind, indexes []int) {
	row := Row{Kind: kind}
	for _, i := range indexes {
		f.taken[i] = true
		row.Changes = append(row.Changes, f.changes[i])
	}
	f.rows = append(f.rows, row)
}

// removals folds the deletions in a namespace that is being deleted into the
// deletion of the namespace.
func (f *folder) removals() {
	for last := range f.changes {
		of := &f.changes[last]
		if of.Verb != history.Delete || of.Ref.GroupResource() != namespaces || of.Terminating.IsZero() {
			continue
		}
		var indexes []int
		for i := range f.changes[:last] {
			c := &f.changes[i]
			// The API server's times have whole seconds.
			if c.Verb == history.Delete && c.Ref.Namespace == of.Ref.Name && !f.taken[i] &&
				!c.Time.Before(of.Terminating) {
				indexes = append(indexes, i)
			}
		}
		if len(indexes) > 0 {
			f.add(Removal, append(indexes, last))
		}
	}
}

// subject is a field of an object, or several that change together.
type subject struct {
	object history.ObjectRef
	fields string
}

// perObject folds fights and repeated changes.
func (f *folder) perObject() {
	var order []subject
	updates := map[subject][]int{}
	for i := range f.changes {
		c := &f.changes[i]
		if f.taken[i] || c.Verb != history.Update {
			continue
		}
		s := subject{c.Ref, fields(c)}
		if updates[s] == nil {
			order = append(order, s)
		}
		updates[s] = append(updates[s], i)
	}
	for _, s := range order {
		f.repeated(updates[s])
	}
}

// repeated folds the changes of one subject.
func (f *folder) repeated(indexes []int) {
	for len(indexes) > 0 {
		if n := f.fight(indexes); n >= alternations {
			f.add(Fight, indexes[:n])
			indexes = indexes[n:]
			continue
		}
		n := 1
		for n < len(indexes) && f.follows(indexes[n-1], indexes[n]) &&
			repeats(&f.changes[indexes[n-1]], &f.changes[indexes[n]]) &&
			f.fight(indexes[n:]) < alternations {
			n++
		}
		if n > 1 {
			f.add(Repeat, indexes[:n])
		}
		indexes = indexes[n:]
	}
}

// repeats reports whether a change of the same fields repeats the one before
// it. Components of Kubernetes, such as an autoscaler, repeat what they change
// to another value. A program repeats what it changed in the same way, and what
// it counts. A person repeats only what has the same values, such as a restart.
func repeats(before, after *Change) bool {
	if writers(before) != writers(after) {
		return false
	}
	if before.Summary == after.Summary {
		return true
	}
	switch writer.Of(after.Managers) {
	case writer.System:
		return strings.Contains(before.Summary, arrow) && strings.Contains(after.Summary, arrow)
	case writer.Person:
		return false
	default:
		return counts(before.Summary) && counts(after.Summary)
	}
}

// counts reports whether a summary is about one field that counts something:
// its values are numbers, and it is neither an image nor the number of
// replicas.
func counts(summary string) bool {
	before, after, changed := strings.Cut(summary, arrow)
	subject := subjectOf(summary)
	if !changed || strings.HasPrefix(subject, "image") || strings.HasPrefix(subject, "replicas") {
		return false
	}
	_, errBefore := strconv.ParseFloat(before[strings.LastIndexByte(before, ' ')+1:], 64)
	_, errAfter := strconv.ParseFloat(after, 64)
	return errBefore == nil && errAfter == nil
}

// fight returns how many of the changes, from the first one on, alternate
// between two writers.
func (f *folder) fight(indexes []int) int {
	n := 1
	for n < len(indexes) && f.follows(indexes[n-1], indexes[n]) {
		w := writers(&f.changes[indexes[n]])
		if w == writers(&f.changes[indexes[n-1]]) || n > 1 && w != writers(&f.changes[indexes[n-2]]) {
			break
		}
		n++
	}
	return n
}

// follows reports whether the pause between two changes is short enough for one
// row.
func (f *folder) follows(before, after int) bool {
	longest := pause
	if writer.Of(f.changes[after].Managers) == writer.Person {
		longest = pauseOfPeople
	}
	return f.changes[after].Time.Sub(f.changes[before].Time) <= longest
}

// bulks folds the same change of several objects of one resource.
func (f *folder) bulks() {
	type same struct {
		verb                      history.Verb
		resource, writer, summary string
	}
	var order []same
	found := map[same][]int{}
	for i := range f.changes {
		c := &f.changes[i]
		if f.taken[i] || c.Summary == "" {
			continue
		}
		k := same{c.Verb, c.Ref.GroupResource().String(), writers(c), c.Summary}
		if found[k] == nil {
			order = append(order, k)
		}
		found[k] = append(found[k], i)
	}
	for _, k := range order {
		for indexes := found[k]; len(indexes) > 0; {
			n, objects := 0, map[history.ObjectRef]bool{}
			for n < len(indexes) && f.changes[indexes[n]].Time.Sub(f.changes[indexes[0]].Time) <= bulkTime {
				objects[f.changes[indexes[n]].Ref] = true
				n++
			}
			if len(objects) >= bulkObjects {
				f.add(Bulk, indexes[:n])
			}
			indexes = indexes[n:]
		}
	}
}

// writers returns the names of a change's writers.
func writers(c *Change) string {
	var names []string
	for i := range c.Managers {
		names = append(names, cmp.Or(c.Managers[i].Name, c.Managers[i].Subresource))
	}
	return strings.Join(names, ",")
}

// fields returns which fields a change changed, as far as that is known: the
// paths that its managers own, or else the words of the summary before the
// values.
func fields(c *Change) string {
	var paths []string
	for i := range c.Managers {
		paths = append(paths, c.Managers[i].Fields...)
	}
	if len(paths) == 0 {
		for part := range strings.SplitSeq(c.Summary, ", ") {
			paths = append(paths, subjectOf(part))
		}
	}
	slices.Sort(paths)
	return strings.Join(paths, ",")
}

// arrow is between the old and the new value in a summary.
const arrow = " → "

// subjectOf returns the words of a part of a summary before its old value: in
// "image app 1.4 → 1.5" those are "image app". A part without values is
// returned whole.
func subjectOf(part string) string {
	before, _, changed := strings.Cut(part, arrow)
	if !changed {
		return part
	}
	if i := strings.LastIndexByte(before, ' '); i >= 0 {
		return before[:i]
	}
	return ""
}
