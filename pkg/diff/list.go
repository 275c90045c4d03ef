package diff

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
)

// listKeys are the sets of fields that identify list items in the Kubernetes
// API. A set is used if every item has its first field and the keys are unique.
// The first such set wins.
var listKeys = [...][]string{ //nolint:gochecknoglobals // constant
	{"uid"}, // owner references, which have names too
	{"mountPath"},
	{"name"},
	{"containerPort", "protocol"},
	{"port", "protocol"},
	{"type"},
	{"topologyKey"},
	{"ip"},
}

// IsKey reports whether a field can identify list items.
func IsKey(field string) bool {
	return slices.ContainsFunc(listKeys[:], func(fields []string) bool { return slices.Contains(fields, field) })
}

// Keyed reports whether the items of two lists are matched by keys.
func Keyed(old, new []any) bool {
	_, ok := commonKeys(old, new)
	return ok
}

// pair is the position of an item in the old and in the new list, or -1 if a
// list does not contain it.
type pair struct{ old, new int }

// maxCells bounds the size of the table of [longest].
const maxCells = 1 << 16

// keys are the keys of the items of two lists. They are unique within a list.
type keys struct{ old, new []string }

// commonKeys returns the keys of the items, made of the same fields in both
// lists. ok is false if there are no such fields.
func commonKeys(old, new []any) (k keys, ok bool) {
	if len(old)+len(new) == 0 {
		return keys{}, false
	}
	for _, fields := range listKeys {
		if k.old, ok = itemKeys(old, fields); !ok {
			continue
		}
		if k.new, ok = itemKeys(new, fields); ok {
			return k, true
		}
	}
	return keys{}, false
}

// itemKeys returns the keys of the items. ok is false unless every item has a
// unique key.
func itemKeys(items []any, fields []string) (keys []string, ok bool) {
	for i, item := range items {
		key := itemKey(item, fields)
		if key == "" {
			return nil, false
		}
		if i == 0 {
			keys = make([]string, 0, len(items))
		}
		keys = append(keys, key)
	}
	return keys, distinct(keys)
}

// distinct reports whether no text occurs twice.
func distinct(texts []string) bool {
	// Most lists are short, and comparing is cheaper than a map.
	if len(texts) > 16 {
		seen := make(map[string]bool, len(texts))
		for _, text := range texts {
			seen[text] = true
		}
		return len(seen) == len(texts)
	}
	for i, text := range texts {
		if slices.Contains(texts[:i], text) {
			return false
		}
	}
	return true
}

// itemKey returns the key of an item, as in "containerPort=80,protocol=TCP". It
// returns "" if the item has no key.
func itemKey(item any, fields []string) string {
	object, ok := item.(map[string]any)
	if !ok {
		return ""
	}
	key := ""
	for i, field := range fields {
		text := ""
		switch value := object[field].(type) {
		case string:
			text = value
		case json.Number:
			text = string(value)
		case float64, int64, int:
			text = fmt.Sprint(value)
		default:
			if i == 0 {
				return ""
			}
			continue // a field after the first is optional, as protocol is
		}
		if key != "" {
			key += ","
		}
		key += field + "=" + text
	}
	return key
}

// alignByKey pairs the items with the same key. Removed items come first,
// followed by the new list in its order.
func alignByKey(k keys) []pair {
	pairs := make([]pair, 0, len(k.old)+len(k.new))
	if slices.Equal(k.old, k.new) { // the usual case
		for i := range k.old {
			pairs = append(pairs, pair{i, i})
		}
		return pairs
	}
	at := make(map[string]int, len(k.new))
	for i, key := range k.new {
		at[key] = i
	}
	was := make([]int, len(k.new))
	for i := range was {
		was[i] = -1
	}
	for i, key := range k.old {
		if j, stayed := at[key]; stayed {
			was[j] = i
		} else {
			pairs = append(pairs, pair{i, -1})
		}
	}
	for j, i := range was {
		pairs = append(pairs, pair{i, j})
	}
	return pairs
}

// alignByEquality pairs the items of a longest common subsequence. Between
// those it pairs items of the same shape in their order, so that one changed
// item is a change inside it. Both positions increase from pair to pair.
func alignByEquality(old, new []any) []pair {
	var pairs []pair
	i, j := 0, 0
	for _, anchor := range append(commonSubsequence(old, new), pair{len(old), len(new)}) {
		pairs = append(pairs, alignGap(old, new, pair{i, j}, anchor)...)
		if anchor.old < len(old) {
			pairs = append(pairs, anchor)
		}
		i, j = anchor.old+1, anchor.new+1
	}
	return pairs
}

// alignGap pairs the items between two equal ones: from is inclusive, to
// exclusive. Items are paired in their order if they have the same shape.
func alignGap(old, new []any, from, to pair) []pair {
	var pairs []pair
	i, j := from.old, from.new
	for ; i < to.old && j < to.new; i, j = i+1, j+1 {
		if shape(old[i]) == shape(new[j]) {
			pairs = append(pairs, pair{i, j})
		} else {
			pairs = append(pairs, pair{i, -1}, pair{-1, j})
		}
	}
	for ; i < to.old; i++ {
		pairs = append(pairs, pair{i, -1})
	}
	for ; j < to.new; j++ {
		pairs = append(pairs, pair{-1, j})
	}
	return pairs
}

// shape returns the kind of container that a value is, or reflect.Invalid.
func shape(value any) reflect.Kind {
	switch value.(type) {
	case map[string]any:
		return reflect.Map
	case []any:
		return reflect.Slice
	default:
		return reflect.Invalid
	}
}

// commonSubsequence returns the positions of a longest common subsequence. If
// the lists differ in too many items, it contains only their common beginning
// and end.
func commonSubsequence(old, new []any) []pair {
	var head, tail []pair
	for len(old) > len(head) && len(new) > len(head) && reflect.DeepEqual(old[len(head)], new[len(head)]) {
		head = append(head, pair{len(head), len(head)})
	}
	n, m := len(old), len(new)
	for n > len(head) && m > len(head) && reflect.DeepEqual(old[n-1], new[m-1]) {
		n, m = n-1, m-1
		tail = append(tail, pair{n, m})
	}
	slices.Reverse(tail)
	middle := longest(old[len(head):n], new[len(head):m], len(head))
	return slices.Concat(head, middle, tail)
}

// longest returns a longest common subsequence by dynamic programming, with
// positions increased by offset. It returns none if the table would exceed
// maxCells.
func longest(old, new []any, offset int) []pair {
	if len(old)*len(new) > maxCells {
		return nil
	}
	// length[i][j] is the length of the longest common subsequence of old[i:]
	// and new[j:].
	equal := make([][]bool, len(old)+1)
	length := make([][]int, len(old)+1)
	length[len(old)] = make([]int, len(new)+1)
	for i := len(old) - 1; i >= 0; i-- {
		equal[i], length[i] = make([]bool, len(new)), make([]int, len(new)+1)
		for j := len(new) - 1; j >= 0; j-- {
			if equal[i][j] = reflect.DeepEqual(old[i], new[j]); equal[i][j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	// Walk through the table along one of the longest subsequences.
	var pairs []pair
	for i, j := 0, 0; i < len(old) && j < len(new); {
		switch {
		case equal[i][j]:
			pairs = append(pairs, pair{i + offset, j + offset})
			i, j = i+1, j+1
		case length[i+1][j] >= length[i][j+1]:
			i++
		default:
			j++
		}
	}
	return pairs
}
