package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// The states of related objects and the rule of ownership, as the API writes
// them.
const (
	stateExists     = "exists"
	stateMissing    = "missing"
	stateUnrecorded = "unrecorded"
	ruleOwner       = "owner"
)

// Tree writes the relations of the graph's first object as a tree: its owners
// above it, what it owns below it, and then what it uses and what uses it.
// Objects that are owned by another user are only counted.
//
// [Options.Wide] adds the fields that have the names and selectors.
func (p *Printer) Tree(graph *v1.RelationGraph) error {
	t := newTree(p, graph)
	t.owners()
	return p.write(t.text.String())
}

// RelatedNames writes a line like "deployment.apps/web" for each object of the
// graph that existed, except for the first one.
func (p *Printer) RelatedNames(graph *v1.RelationGraph) error {
	var b strings.Builder
	for i := range graph.Objects {
		if o := &graph.Objects[i]; i > 0 && o.State == stateExists && o.ResourceName != "" {
			b.WriteString(p.name(relatedName(o)) + "\n")
		}
	}
	return p.write(b.String())
}

// tree draws a graph.
type tree struct {
	p     *Printer
	graph *v1.RelationGraph
	text  strings.Builder

	owned   map[int][]int // what each object owns
	ownedBy map[int][]int // the owners of each object
	family  map[int]bool  // the first object and everything that it owns
	drawn   map[int]bool  // objects whose relations are drawn
	depth   int           // of the object whose relations are collected
}

// maxTreeDepth bounds the depth of a tree. That of a recorder's answer is
// smaller.
const maxTreeDepth = 32

// enter reports whether the relations of an object are to be collected: once,
// and not too deep. The caller calls leave afterwards.
func (t *tree) enter(i int) bool {
	if t.drawn[i] || t.depth >= maxTreeDepth {
		return false
	}
	t.drawn[i] = true
	t.depth++
	return true
}

func (t *tree) leave() { t.depth-- }

func newTree(p *Printer, graph *v1.RelationGraph) *tree {
	t := &tree{
		p: p, graph: graph, owned: map[int][]int{}, ownedBy: map[int][]int{}, family: map[int]bool{0: true},
		drawn: map[int]bool{0: true},
	}
	for _, r := range graph.Relations {
		if r.Rule == ruleOwner {
			t.owned[r.To] = append(t.owned[r.To], r.From)
			t.ownedBy[r.From] = append(t.ownedBy[r.From], r.To)
		}
	}
	for level := []int{0}; len(level) > 0; {
		var next []int
		for _, i := range level {
			for _, child := range t.owned[i] {
				if !t.family[child] {
					t.family[child] = true
					next = append(next, child)
				}
			}
		}
		level = next
	}
	return t
}

// line is a part of the tree: an object or a group, and what is below it.
type line struct {
	text  string
	lines []line
}

// owners draws the owners, each level below its own owners, and the first
// object with everything else below them.
func (t *tree) owners() {
	var levels [][]int
	seen := map[int]bool{0: true}
	for level := []int{0}; len(levels) < maxTreeDepth; {
		var next []int
		for _, i := range level {
			for _, owner := range t.ownedBy[i] {
				if !seen[owner] {
					seen[owner] = true
					next = append(next, owner)
				}
			}
		}
		if len(next) == 0 {
			break
		}
		levels = append(levels, next)
		level = next
	}
	lines := []line{{t.name(0), t.below()}}
	for _, level := range levels {
		// The last owner of a level has the nearer owners below it.
		var all []line
		for _, i := range level {
			all = append(all, line{text: t.name(i)})
		}
		all[len(all)-1].lines = lines
		lines = all
	}
	for _, l := range lines {
		t.text.WriteString(l.text + "\n")
		t.draw(l.lines, "")
	}
}

// draw writes lines below each other, each after a prefix.
func (t *tree) draw(lines []line, prefix string) {
	for i, l := range lines {
		branch, rest := "├── ", "│   "
		if i == len(lines)-1 {
			branch, rest = "└── ", "    "
		}
		t.text.WriteString(prefix + branch + l.text + "\n")
		t.draw(l.lines, prefix+rest)
	}
}

// below returns what is below the first object.
func (t *tree) below() []line {
	lines := t.children(0)
	if uses := t.uses(0); len(uses) > 0 {
		lines = append(lines, line{t.p.styles.heading.Render("uses"), uses})
	}
	if users := t.users(t.family); len(users) > 0 {
		lines = append(lines, line{t.p.styles.heading.Render("used by"), users})
	}
	return lines
}

// children returns what an object owns, with what that owns below it.
func (t *tree) children(of int) (lines []line) {
	for _, child := range t.owned[of] {
		if t.enter(child) {
			lines = append(lines, line{t.name(child), append(t.children(child), t.usesOf(child)...)})
			t.leave()
		}
	}
	return lines
}

// usesOf returns what an owned object uses, and the first object does not.
func (t *tree) usesOf(of int) (lines []line) {
	known := map[int]bool{}
	for _, r := range t.graph.Relations {
		if r.From == 0 {
			known[r.To] = true
		}
	}
	for _, l := range t.leads(func(r *v1.Relation) (int, bool) { return r.To, r.From == of && !known[r.To] }) {
		lines = append(lines, line{l.text, nil})
	}
	return lines
}

// uses returns what an object leads to, with what that leads to below it.
func (t *tree) uses(of int) (lines []line) {
	for _, l := range t.leads(func(r *v1.Relation) (int, bool) { return r.To, r.From == of }) {
		var below []line
		if t.enter(l.object) {
			below = t.uses(l.object)
			t.leave()
		}
		lines = append(lines, line{l.text, below})
	}
	return lines
}

// users returns what leads to some objects, with what leads to that below it.
// Users that another user owns are counted at that one.
func (t *tree) users(of map[int]bool) (lines []line) {
	all := t.leads(func(r *v1.Relation) (int, bool) { return r.From, of[r.To] && !t.family[r.From] })
	isUser := map[int]bool{}
	for _, l := range all {
		isUser[l.object] = true
	}
	counts, top := map[int]int{}, map[int]bool{}
	for _, l := range all {
		owner := t.topOwner(l.object, isUser)
		if owner != l.object {
			counts[owner]++
		} else {
			top[l.object] = true
		}
	}
	for _, l := range all {
		if !top[l.object] {
			continue
		}
		text := l.text
		if n := counts[l.object]; n > 0 {
			text += t.p.styles.faint.Render(fmt.Sprintf(", and %s that it owns", numberOf(n, "object")))
		}
		var below []line
		if t.enter(l.object) {
			below = t.users(map[int]bool{l.object: true})
			t.leave()
		}
		lines = append(lines, line{text, below})
	}
	return lines
}

// topOwner returns the farthest owner of an object that is one of some objects,
// or the object itself.
func (t *tree) topOwner(i int, of map[int]bool) int {
	seen := map[int]bool{i: true}
	for {
		next := slices.IndexFunc(t.ownedBy[i], func(owner int) bool { return of[owner] && !seen[owner] })
		if next < 0 {
			return i
		}
		i = t.ownedBy[i][next]
		seen[i] = true
	}
}

// lead is an object with its relations to another one, or to several.
type lead struct {
	object int
	text   string
}

// leads returns the objects that relations lead to or from, in the order of the
// graph, without ownership. other returns the object of a relation, and whether
// the relation counts.
func (t *tree) leads(other func(*v1.Relation) (int, bool)) (leads []lead) {
	relations := map[int][]*v1.Relation{}
	var order []int
	for i := range t.graph.Relations {
		r := &t.graph.Relations[i]
		object, counts := other(r)
		if !counts || r.Rule == ruleOwner {
			continue
		}
		if relations[object] == nil {
			order = append(order, object)
		}
		relations[object] = append(relations[object], r)
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &t.graph.Objects[a], &t.graph.Objects[b]
		return cmp.Or(cmp.Compare(relatedKind(x), relatedKind(y)), cmp.Compare(x.Namespace, y.Namespace),
			cmp.Compare(x.ResourceName, y.ResourceName))
	})
	for _, object := range order {
		leads = append(leads, lead{object, t.name(object) + t.why(object, relations[object])})
	}
	return leads
}

// why returns the rules of an object's relations, and what is wrong with them.
func (t *tree) why(object int, relations []*v1.Relation) string {
	var words, paths []string
	targets, optional := map[string][]int{}, true
	for _, r := range relations {
		if !slices.Contains(words, r.Rule) {
			words = append(words, r.Rule)
		}
		if r.From == object && r.To != 0 { // it leads to what the first object owns
			targets[r.Rule] = append(targets[r.Rule], r.To)
		}
		if r.Path != "" && !slices.Contains(paths, r.Path) {
			paths = append(paths, r.Path)
		}
		optional = optional && r.Optional
	}
	for i, word := range words {
		if n := len(targets[word]); n > 1 {
			words[i] = fmt.Sprintf("%s of %s", word, numberOf(n, "owned object"))
		} else if n == 1 {
			words[i] = word + " of " + cell(relatedName(&t.graph.Objects[targets[word][0]]))
		}
	}
	text := cell(strings.Join(words, ", "))
	if t.p.opts.Wide && len(paths) > 0 {
		text += ": " + cell(strings.Join(paths, ", "))
	}
	text = "  " + t.p.styles.faint.Render(text)
	if t.graph.Objects[object].State == stateMissing && optional {
		text += t.p.styles.faint.Render(" (optional)")
	}
	return text
}

// name returns the name of an object with its revision, or with what is known
// of it.
func (t *tree) name(i int) string {
	o := &t.graph.Objects[i]
	text := cell(relatedName(o))
	if i == 0 {
		text = t.p.styles.heading.Render(text)
	}
	if o.Revision > 0 {
		text += t.p.styles.faint.Render(fmt.Sprintf("#%d", o.Revision))
	}
	if first := &t.graph.Objects[0]; o.Namespace != first.Namespace && o.Namespace != "" {
		text += " in " + cell(o.Namespace)
	}
	switch {
	case o.State == stateMissing && o.ResourceName == "":
		text += "  " + t.p.styles.bad.Render("SELECTS NONE")
	case o.State == stateMissing:
		text += "  " + t.p.styles.bad.Render("MISSING")
	case o.State == stateUnrecorded:
		text += "  " + t.p.styles.faint.Render("(not known)")
	}
	return text
}

// numberOf returns "1 object" or "2 objects".
func numberOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// relatedName returns an object's name as kubectl's -o name writes it, or the
// plural of a whole resource.
func relatedName(o *v1.RelatedObject) string {
	if o.ResourceName != "" {
		return relatedKind(o) + "/" + o.ResourceName
	}
	if o.Group == "" {
		return o.ResourceType
	}
	return o.ResourceType + "." + o.Group
}

// relatedKind returns the kind in lower case with the group, or the plural if
// the kind is not known.
func relatedKind(o *v1.RelatedObject) string {
	kind := cmp.Or(strings.ToLower(o.Kind), o.ResourceType)
	if o.Group == "" {
		return kind
	}
	return kind + "." + o.Group
}
