package store

import (
	"iter"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// filterFields is a set of fields of [history.Filter].
type filterFields uint16

// One bit for each field of [history.Filter].
const (
	fieldStart filterFields = 1 << iota
	fieldEnd
	fieldResources
	fieldNamespace
	fieldName
	fieldUID
	fieldVerbs
	fieldRegarding
	fieldOwner
	fieldManagers
	fieldRevisions
	fieldClasses
	fieldView
)

// fieldsOf returns the fields that a filter sets.
func fieldsOf(f *history.Filter) (set filterFields) {
	for _, field := range []struct {
		field filterFields
		set   bool
	}{
		{fieldStart, !f.Start.IsZero()},
		{fieldEnd, !f.End.IsZero()},
		{fieldResources, len(f.Resources) > 0},
		{fieldNamespace, f.Namespace != ""},
		{fieldName, f.Name != ""},
		{fieldUID, f.UID != ""},
		{fieldVerbs, len(f.Verbs) > 0},
		{fieldRegarding, f.Regarding != nil},
		{fieldOwner, f.Owner != ""},
		{fieldManagers, len(f.Managers) > 0},
		{fieldRevisions, len(f.Revisions) > 0},
		{fieldClasses, len(f.Classes) > 0},
		{fieldView, f.View != nil},
	} {
		if field.set {
			set |= field.field
		}
	}
	return set
}

// has reports whether the set contains any of the fields.
func (s filterFields) has(fields filterFields) bool { return s&fields != 0 }

// index is a keyspace in which a version is found: its own keys, or the entries
// of an index. There is one for each day.
type index struct {
	class key.Class
	// name is the index's name in messages.
	name string
	// metadata means that entries contain a copy of the version's metadata, so
	// that a scan doesn't read the version's own key.
	metadata bool
	// hashes returns the hashes under which a version has an entry, each of
	// them once. nil means that every version has one entry without a hash.
	hashes func(*history.Record) []key.Hash
	// hashOf returns the hash under which a plan finds the versions that a
	// filter selects. It is nil exactly if hashes is.
	hashOf func(*history.Filter) key.Hash
	// partial means that consequences have no entry, and neither do versions
	// before [Store.rootsSince].
	partial bool
	// baselineKey returns the key of a baseline's entry. nil means that the
	// index has no entries for baselines.
	baselineKey func(h key.Hash, object, ts uint64) []byte

	// selects are the fields for which a plan uses the index, if it is the
	// first index of the table that has one of them. It narrows the scan to
	// ranges of keys, but hashes can collide: the record has to be compared
	// with the filter.
	selects filterFields
	// decides are the fields that the ranges and keys decide exactly. If a
	// filter sets no other fields, it can be evaluated without reading the
	// record.
	decides filterFields
}

// byTime are the fields that every index decides, because its keys have times.
const byTime = fieldStart | fieldEnd

// byPlace are the fields that an index decides if its keys have the version's
// verb, resource and namespace.
const byPlace = fieldVerbs | fieldResources | fieldNamespace | fieldView

// indexes is the table of all indexes, in the order in which a plan prefers
// them. The writer, the planner, the verifier and the baselines use it. To add
// an index, add its class to package key and its row here. The range of keys of
// an index without hashes comes from [reader.plan].
var indexes = []index{ //nolint:gochecknoglobals // a constant table
	{
		class:    key.Record,
		name:     "metadata",
		metadata: true,
		selects:  fieldName | fieldUID,
		decides:  byTime,
	},
	{
		class:   key.ByTarget,
		name:    "index of targets",
		hashes:  targetHashes,
		hashOf:  func(f *history.Filter) key.Hash { return targetHash(f.Regarding) },
		selects: fieldRegarding,
		decides: byTime | fieldVerbs,
	},
	ownerIndex,
	{
		class:    key.ByRoot,
		name:     "index of root changes and onsets",
		metadata: true,
		partial:  true,
		selects:  fieldClasses,
		decides:  byTime | byPlace,
	},
	{
		class:    key.ByNamespace,
		name:     "index by namespace",
		metadata: true,
		selects:  fieldNamespace,
		decides:  byTime | byPlace,
	},
	{
		class:    key.ByResource,
		name:     "index by resource",
		metadata: true,
		selects:  fieldResources,
		decides:  byTime | byPlace,
	},
	{
		class:    key.ByTime, // for filters that no other index selects
		name:     "index by time",
		metadata: true,
		decides:  byTime | byPlace,
	},
}

// ownerIndex is the only index that has entries for baselines.
var ownerIndex = index{ //nolint:gochecknoglobals // a row of the table
	class:       key.ByOwner,
	name:        "index of owners",
	hashes:      ownerHashes,
	hashOf:      func(f *history.Filter) key.Hash { return ownerHash(f.Owner) },
	baselineKey: key.BaselineOwner,
	selects:     fieldOwner,
	decides:     byTime | fieldVerbs,
}

// versionIndexes are all indexes but the first, which is the versions' own
// keys.
var versionIndexes = indexes[1:] //nolint:gochecknoglobals // a part of the table

// recordFields are the fields that no index selects or decides. Filters that
// set them are compared with the record.
const recordFields = fieldManagers | fieldRevisions

// indexFor returns the index with which a plan finds the records of a filter
// that sets the fields. complete means that partial indexes have entries for
// everything that the filter selects.
func indexFor(set filterFields, complete bool) *index {
	for i := range indexes {
		if x := &indexes[i]; set.has(x.selects) && (complete || !x.partial) {
			return x
		}
	}
	return &indexes[len(indexes)-1]
}

// appendKeys appends the keys of a version's entries in the index to keys, each
// of them once. e must have all fields but the hash. since is
// [Store.rootsSince].
func (x *index) appendKeys(keys [][]byte, e key.Entry, rec *history.Record, since uint64) [][]byte {
	switch {
	case x.partial && (rec.Class == history.Consequence || e.TS < since):
		return keys
	case x.hashes == nil:
		return append(keys, e.In(x.class))
	}
	for _, e.Hash = range x.hashes(rec) {
		keys = append(keys, e.In(x.class))
	}
	return keys
}

// indexKeys returns the keys of a version's entries in all indexes. since is
// [Store.rootsSince].
func indexKeys(e key.Entry, rec *history.Record, since uint64) (keys [][]byte) {
	for i := range versionIndexes {
		keys = versionIndexes[i].appendKeys(keys, e, rec, since)
	}
	return keys
}

// baselineKeys yields the keys of a baseline's entries in the indexes that have
// such entries.
func baselineKeys(rec *history.Record, object, ts uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range versionIndexes {
			x := &versionIndexes[i]
			if x.baselineKey == nil {
				continue
			}
			for _, h := range x.hashes(rec) {
				if !yield(x.baselineKey(h, object, ts)) {
					return
				}
			}
		}
	}
}

// metadataClasses returns the classes of the indexes whose entries hold the
// version's metadata.
func metadataClasses() (classes []key.Class) {
	for i := range versionIndexes {
		if versionIndexes[i].metadata {
			classes = append(classes, versionIndexes[i].class)
		}
	}
	return classes
}

// metadataClassesOf returns those of [metadataClasses] in which a version with
// encoded metadata has an entry. since is [Store.rootsSince].
func metadataClassesOf(ts uint64, meta []byte, since uint64) (classes []key.Class) {
	partial := ts >= since && codec.ClassOf(meta) != history.Consequence
	for i := range versionIndexes {
		if x := &versionIndexes[i]; x.metadata && (partial || !x.partial) {
			classes = append(classes, x.class)
		}
	}
	return classes
}

// hashedClasses returns the classes of the indexes in which a version has an
// entry for each of its hashes.
func hashedClasses() (classes []key.Class) {
	for i := range versionIndexes {
		if versionIndexes[i].hashes != nil {
			classes = append(classes, versionIndexes[i].class)
		}
	}
	return classes
}

// hashedKeys returns the keys of a version's entries in the indexes of
// [hashedClasses].
func hashedKeys(e key.Entry, rec *history.Record) (keys [][]byte) {
	for i := range versionIndexes {
		if versionIndexes[i].hashes != nil {
			keys = versionIndexes[i].appendKeys(keys, e, rec, 0)
		}
	}
	return keys
}

// className names a class's keys in messages.
func className(c key.Class) string {
	switch c {
	case key.Record:
		return "metadata"
	case key.Body:
		return "JSON"
	case key.Phrase:
		return "phrase of the day"
	}
	for i := range indexes {
		if indexes[i].class == c {
			return "entry in the " + indexes[i].name
		}
	}
	return "key"
}

// targetHashes returns the hash of the record's target, if it has one.
func targetHashes(rec *history.Record) []key.Hash {
	if rec.Regarding == nil {
		return nil
	}
	return []key.Hash{targetHash(rec.Regarding)}
}

// targetHash returns the hash of an Event's target without its UID, because
// Events and filters may lack it.
func targetHash(t *history.Target) key.Hash { return key.Sum(t.Kind, t.Namespace, t.Name) }

// ownerHashes returns the hashes of the UIDs of the record's owners. A UID that
// occurs twice has one hash.
func ownerHashes(rec *history.Record) (hashes []key.Hash) {
	for i, uid := range rec.Owners {
		if !slices.Contains(rec.Owners[:i], uid) {
			hashes = append(hashes, ownerHash(uid))
		}
	}
	return hashes
}

// ownerHash returns the hash of an owner's UID.
func ownerHash(uid types.UID) key.Hash { return key.Sum(string(uid)) }
