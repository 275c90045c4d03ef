package rawjson

import (
	"regexp"
	"slices"
)

// Selector selects the values at a path. With Names it selects only where one of them matches the name of what the path's
// last [*] stands for: a member's key, or the name that an element of a list has.
type Selector struct {
	Path

	Names []*regexp.Regexp
}

// Find walks once over the document and calls found for every value that is selected, in their order, with the scanner
// before the value and the first selector that selects it. found may consume the value. Nothing is looked for in a
// value that was found. The error is that of a document that is no JSON.
func Find(data []byte, selectors []Selector, found func(scan *Scanner, selector int)) error {
	f := finder{data: data, selectors: selectors, found: found}
	trails := make([]trail, len(selectors))
	for i := range selectors {
		trails[i] = trail{selector: i}
	}
	scan := Scan(data)
	f.value(&scan, trails)
	if scan.Offset() == space(data, 0) {
		scan.Skip()
	}
	return scan.End()
}

type finder struct {
	data      []byte
	selectors []Selector
	found     func(*Scanner, int)
}

// trail is how far a selector's path has come.
type trail struct{ selector, at int }

// value looks at the value that comes next, to which the trails have led.
func (f *finder) value(scan *Scanner, trails []trail) {
	for _, t := range trails {
		if t.at == len(f.selectors[t.selector].steps) {
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

// member returns the trails that lead on to a member.
func (f *finder) member(trails []trail, key string) (next []trail) {
	for _, t := range trails {
		s := &f.selectors[t.selector]
		if step := s.steps[t.at]; !step.every && step.key != key {
			continue
		}
		if s.admits(t.at, func() ([]string, bool) { return []string{key}, true }) {
			next = append(next, trail{t.selector, t.at + 1})
		}
	}
	return next
}

// element returns the trails that lead on to the element of a list that begins at this offset.
func (f *finder) element(trails []trail, at int) (next []trail) {
	for _, t := range trails {
		s := &f.selectors[t.selector]
		if s.steps[t.at].every && s.admits(t.at, func() ([]string, bool) { return names(f.data[at:]) }) {
			next = append(next, trail{t.selector, t.at + 1})
		}
	}
	return next
}

// admits tells whether the selector takes what a step leads to. What has an unreadable name it takes.
func (s *Selector) admits(at int, named func() (names []string, readable bool)) bool {
	if len(s.Names) == 0 || at != s.named() {
		return true
	}
	names, readable := named()
	return !readable || slices.ContainsFunc(names, func(name string) bool {
		return slices.ContainsFunc(s.Names, func(r *regexp.Regexp) bool { return r.MatchString(name) })
	})
}

// names returns the name of the object that data begins with, each where it has several.
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
