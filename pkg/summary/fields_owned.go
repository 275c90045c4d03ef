package summary

import (
	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// The bounds of the paths per manager, which are stored with every version.
const (
	maxOwned      = 4   // paths
	maxOwnedBytes = 200 // of all paths
)

// Owned returns the paths of the first few changes, without noise, that a
// manager owns by the fieldsV1 of its managed entry. A manager does not own a
// field that it removed.
//
// A value that is owned without any of its members is either atomic, or other
// managers own its members. inside means that changes inside such a value count
// as owned. It may be set only if no other manager wrote.
func (c *Comparison) Owned(fieldsV1 []byte, inside bool) []string {
	var all []*diff.Change
	for i := range c.Changes() {
		if change := &c.Changes()[i]; !change.Noise() {
			all = append(all, change)
		}
	}
	if len(all) == 0 {
		return nil
	}
	owned := c.owned(fieldsV1, all, inside)
	var paths []string
	size := 0
	for _, change := range all {
		if !owned[change] {
			continue
		}
		path := change.Path.String()
		if size += len(path); len(paths) == maxOwned || size > maxOwnedBytes {
			break
		}
		paths = append(paths, path)
	}
	return paths
}

// owned returns the set of owned changes. It is empty if fieldsV1 can't be
// read.
func (c *Comparison) owned(fieldsV1 []byte, changes []*diff.Change, inside bool) map[*diff.Change]bool {
	o := owner{Comparison: c, inside: inside, owned: map[*diff.Change]bool{}}
	scan := rawjson.ScanValid(fieldsV1)
	o.node(&scan, changes, 0)
	if scan.End() != nil {
		return nil
	}
	return o.owned
}

// owner collects the owned changes in a walk over fieldsV1.
type owner struct {
	*Comparison

	inside bool // see Owned
	owned  map[*diff.Change]bool
}

// node walks over the part of fieldsV1 that comes next. It belongs to the value
// at the first depth segments of the changes' paths.
func (o *owner) node(scan *rawjson.Scanner, changes []*diff.Change, depth int) {
	deeper := changes[:0:0]
	for _, change := range changes {
		if len(change.Path) == depth {
			o.owned[change] = true
		} else {
			deeper = append(deeper, change)
		}
	}
	if scan.Kind() != rawjson.Object || len(deeper) == 0 {
		scan.Skip()
		return
	}
	empty := true
	for _, key := range scan.Members() {
		empty = false
		k := parseKey(key)
		var below []*diff.Change
		for _, change := range deeper {
			if o.selects(&k, change, depth) {
				below = append(below, change)
			}
		}
		if len(below) > 0 {
			o.node(scan, below, depth+1)
		}
	}
	if empty && o.inside { // the value is owned without any of its members
		for _, change := range deeper {
			o.owned[change] = true
		}
	}
}

// selects reports whether a key of fieldsV1 selects the segment of a change's
// path at a depth.
func (o *owner) selects(k *fieldKey, change *diff.Change, depth int) bool {
	if segment := change.Path[depth]; !segment.Item {
		return k.isField(segment.Field)
	}
	return k.isItem(o.item(change, depth))
}

// item returns the list item that a change's path leads to at a depth. A
// removed item is taken from the old version.
func (o *owner) item(change *diff.Change, depth int) any {
	var at any = o.New
	if change.Kind == diff.Removed && depth == len(change.Path)-1 {
		at = o.Old
	}
	for _, segment := range change.Path[:depth+1] {
		switch value := at.(type) {
		case map[string]any:
			at = value[segment.Field]
		case []any:
			if segment.Index >= len(value) {
				return nil
			}
			at = value[segment.Index]
		}
	}
	return at
}
