package summary

import (
	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// The bounds of the paths that are told of one manager: they are stored with every version.
const (
	maxOwned      = 4
	maxOwnedBytes = 200
)

// Owned returns the paths of the first few changes, without noise, that a
// manager owns by its entry in managedFields, whose fieldsV1 are given. A
// manager that has removed a field does not own it any more.
//
// A value that is owned without any of its members may be an atomic one, and
// its owner's with all that is in it, or one whose members belong to others.
// Changes inside it count if inside is set, which takes that nobody else wrote.
//
// The form of fieldsV1 is that of structured-merge-diff: "f:" and a field's
// name, "k:" and the keys of a list's item, "v:" and an item of a set.
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

// owned returns which of the changes are owned; none where fieldsV1 can't be read.
func (c *Comparison) owned(fieldsV1 []byte, changes []*diff.Change, inside bool) map[*diff.Change]bool {
	o := owner{Comparison: c, inside: inside, owned: map[*diff.Change]bool{}}
	scan := rawjson.ScanValid(fieldsV1)
	o.node(&scan, changes, 0)
	if scan.End() != nil {
		return nil
	}
	return o.owned
}

// owner finds out which changes are owned.
type owner struct {
	*Comparison

	inside bool // changes inside of an owned value count
	owned  map[*diff.Change]bool
}

// node walks over what is owned of a value, to which the first depth segments of the changes' paths lead.
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
			if o.leads(&k, change, depth) {
				below = append(below, change)
			}
		}
		if len(below) > 0 {
			o.node(scan, below, depth+1)
		}
	}
	if empty && o.inside {
		for _, change := range deeper {
			o.owned[change] = true
		}
	}
}

// leads tells whether a key of fieldsV1 stands for the segment of a change's path at this depth.
func (o *owner) leads(k *fieldKey, change *diff.Change, depth int) bool {
	if segment := change.Path[depth]; !segment.Item {
		return k.isField(segment.Field)
	}
	return k.isItem(o.item(change, depth))
}

// item returns the item of a list that a change's path leads to at this depth. An item that was removed is one of the version
// before.
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
