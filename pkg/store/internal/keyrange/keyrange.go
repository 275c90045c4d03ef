// Package keyrange contains ranges of keys, and sets of such ranges. Keys are
// compared as bytes. No function modifies its arguments, but results may share
// memory with them.
package keyrange

import (
	"bytes"
	"slices"
	"sort"
)

// Range contains the keys from From up to, but not including, To. The zero
// Range contains all keys.
type Range struct {
	From []byte
	To   []byte // nil: no upper bound
}

// Prefix returns the range of the keys with a prefix.
func Prefix(prefix []byte) Range { return Range{prefix, PrefixEnd(prefix)} }

// Single returns the range that contains one key.
func Single(k []byte) Range { return Range{k, After(k)} }

// After returns the smallest key that is greater than k.
func After(k []byte) []byte { return append(bytes.Clone(k), 0) }

// PrefixEnd returns the smallest key that is greater than all keys with a
// prefix. It returns nil if there is no such key.
func PrefixEnd(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] < 0xff {
			end := bytes.Clone(prefix[:n])
			end[n-1]++
			return end
		}
	}
	return nil
}

// Before reports whether a key is less than the upper bound of a range.
func Before(k, to []byte) bool { return to == nil || bytes.Compare(k, to) < 0 }

// Empty reports whether the range contains no keys.
func (r Range) Empty() bool { return r.To != nil && bytes.Compare(r.From, r.To) >= 0 }

// Set is a list of ranges in ascending order. They don't overlap.
type Set []Range

// Union returns the set of the keys that are in any of the ranges.
func Union(all []Range) (union Set) {
	all = slices.DeleteFunc(slices.Clone(all), Range.Empty)
	slices.SortFunc(all, func(a, b Range) int { return bytes.Compare(a.From, b.From) })
	for _, r := range all {
		last := len(union) - 1
		if last < 0 || union[last].To != nil && bytes.Compare(union[last].To, r.From) < 0 {
			union = append(union, r)
			continue
		}
		if union[last].To != nil && (r.To == nil || bytes.Compare(r.To, union[last].To) > 0) {
			union[last].To = r.To
		}
	}
	return union
}

// Contains reports whether a key is in the set.
func (s Set) Contains(k []byte) bool {
	i := sort.Search(len(s), func(i int) bool { return bytes.Compare(s[i].From, k) > 0 })
	return i > 0 && Before(k, s[i-1].To)
}

// WithPrefix returns the keys of the set that have a prefix.
func (s Set) WithPrefix(prefix []byte) (parts Set) {
	p := Prefix(prefix)
	for _, r := range s {
		if bytes.Compare(r.From, p.From) < 0 {
			r.From = p.From
		}
		if r.To == nil || p.To != nil && bytes.Compare(p.To, r.To) < 0 {
			r.To = p.To
		}
		if Before(r.From, p.To) && !r.Empty() {
			parts = append(parts, r)
		}
	}
	return parts
}

// Overlaps reports whether the set contains a key with a prefix.
func (s Set) Overlaps(prefix []byte) bool { return len(s.WithPrefix(prefix)) > 0 }
