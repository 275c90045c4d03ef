package rawjson

import (
	"regexp"
	"slices"
)

// Selector selects the values at a path.
//
// With Names, it selects only values whose name matches one of them. The name
// is that of the last [*] of the path: the key of a member, or the name of a
// list's element.
type Selector struct {
	Path

	Names []*regexp.Regexp
}

// Find walks once over the document and calls found for every selected value,
// in the order of their offsets. The scanner is before the value. selector is
// the index of the first selector that selects it.
//
// found may consume the value. No values are found inside a selected value.
// Find returns an error if the document is not valid JSON.
func Find(data []byte, selectors []Selector, found func(scan *Scanner, selector int)) error {
	f := finder{data: data, selectors: selectors, found: found}
	trails := make([]trail, len(selectors))
	for i := range selectors {
		trails[i] = trail{selector: i}
	}
	scan := Scan(data)
	f.value(&scan, trails)
	// The value is not consumed if it is a scalar, or if found left it. Skip
	// also verifies it.
	if scan.Offset() == space(data, 0) {
		scan.Skip()
	}
	return scan.End()
}

// finder is the state of one Find.
type finder struct {
	data      []byte
	selectors []Selector
	found     func(*Scanner, int)
}

// trail is the progress of one selector: the next step of its path.
type trail struct{ selector, step int }

// value visits the value that comes next. The trails lead to it. Deeper values
// never have more trails, since each trail continues at most once per value.
func (f *finder) value(scan *Scanner, trails []trail) {
	for _, t := range trails {
		if t.step == len(f.selectors[t.selector].steps) {
			f.found(scan, t.selector)
			return
		}
	}
	switch scan.Kind() {
	case Object:
		for _, key := range scan.Members() {
			if next := f.member(trails, string(key)); next != nil {
				f.value(scan, next)
			}
		}
	case Array:
		for at := range scan.Elements() {
			if next := f.element(trails, at); next != nil {
				f.value(scan, next)
			}
		}
	}
}

// member returns the trails that continue at a member.
func (f *finder) member(trails []trail, key string) (next []trail) {
	for _, t := range trails {
		s := &f.selectors[t.selector]
		if step := s.steps[t.step]; !step.every && step.key != key {
			continue
		}
		if s.matchesName(t.step, func() ([]string, bool) { return []string{key}, true }) {
			next = append(next, trail{t.selector, t.step + 1})
		}
	}
	return next
}

// element returns the trails that continue at the element of a list that begins
// at an offset.
func (f *finder) element(trails []trail, at int) (next []trail) {
	for _, t := range trails {
		s := &f.selectors[t.selector]
		if s.steps[t.step].every && s.matchesName(t.step, func() ([]string, bool) { return names(f.data[at:]) }) {
			next = append(next, trail{t.selector, t.step + 1})
		}
	}
	return next
}

// matchesName reports whether the name that a step is resolved to matches the
// selector. A name that can't be read matches, so that doubt selects.
func (s *Selector) matchesName(step int, named func() (names []string, readable bool)) bool {
	if len(s.Names) == 0 || step != s.lastWildcard() {
		return true
	}
	names, readable := named()
	return !readable || slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(s.Names, func(r *regexp.Regexp) bool { return r.MatchString(name) })
	})
}

// names returns the names of the object that data begins with. There are
// several if the key is repeated. readable is false if one of them is not a
// string.
func names(data []byte) (all []string, readable bool) {
	scan := Scan(data)
	readable = true
	if scan.Kind() != Object {
		return nil, true
	}
	for _, key := range scan.Members() {
		switch {
		case string(key) != "name":
		case scan.Kind() == String:
			all = append(all, scan.Text())
		default:
			readable = false
		}
	}
	return all, readable
}
