package store

import (
	"bytes"
	"slices"
	"sort"
)

// keyRange is a range of keys. from belongs to it; to does not, and nil is the end of all keys.
type keyRange struct{ from, to []byte }

// prefixRange returns the range of the keys with a prefix.
func prefixRange(prefix []byte) keyRange { return keyRange{prefix, prefixEnd(prefix)} }

// prefixEnd returns the first key behind those with a prefix; nil if there is none.
func prefixEnd(prefix []byte) []byte {
	for n := len(prefix); n > 0; n-- {
		if prefix[n-1] < 0xff {
			end := bytes.Clone(prefix[:n])
			end[n-1]++
			return end
		}
	}
	return nil
}

// before reports whether a key is below the end of a range.
func before(k, to []byte) bool { return to == nil || bytes.Compare(k, to) < 0 }

func (r keyRange) empty() bool { return r.to != nil && bytes.Compare(r.from, r.to) >= 0 }

// keyRanges are ranges in their order, of which no two have a key in common.
type keyRanges []keyRange

// merged returns the union of ranges, which may come in any order.
func merged(all []keyRange) (union keyRanges) {
	all = slices.DeleteFunc(slices.Clone(all), keyRange.empty)
	slices.SortFunc(all, func(a, b keyRange) int { return bytes.Compare(a.from, b.from) })
	for _, r := range all {
		last := len(union) - 1
		if last < 0 || union[last].to != nil && bytes.Compare(union[last].to, r.from) < 0 {
			union = append(union, r)
			continue
		}
		if union[last].to != nil && (r.to == nil || bytes.Compare(r.to, union[last].to) > 0) {
			union[last].to = r.to
		}
	}
	return union
}

// contains reports whether a key is in one of the ranges.
func (l keyRanges) contains(k []byte) bool {
	i := sort.Search(len(l), func(i int) bool { return bytes.Compare(l[i].from, k) > 0 })
	return i > 0 && before(k, l[i-1].to)
}

// within returns the parts of the ranges in which keys have a prefix.
func (l keyRanges) within(prefix []byte) (parts keyRanges) {
	p := prefixRange(prefix)
	for _, r := range l {
		if bytes.Compare(r.from, p.from) < 0 {
			r.from = p.from
		}
		if r.to == nil || p.to != nil && bytes.Compare(p.to, r.to) < 0 {
			r.to = p.to
		}
		if before(r.from, p.to) && !r.empty() {
			parts = append(parts, r)
		}
	}
	return parts
}

// touches reports whether a key with the prefix may be in one of the ranges.
func (l keyRanges) touches(prefix []byte) bool { return len(l.within(prefix)) > 0 }
