package recorder

import (
	"cmp"
	"iter"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// sameSecondDelay bounds the time between the receipts of two versions that
// were written within one second of the API server's clock. If a delay is
// longer in practice, the manager is missing, but never wrong.
const sameSecondDelay = 2 * time.Second

// attribution finds the writers of a version from its managed entries and the
// previous version.
//
// Invariant: a manager is named only if no other writer is possible. The API
// server sets the time of an entry, in whole seconds, when its manager adds or
// changes a field. It keeps the time if the manager only loses fields, and a
// write that only removes fields leaves no entry at all. See
// docs/design/0003-who-wrote-a-version.md.
type attribution struct {
	entries    []managedEntry
	apiVersion string // of the object

	// before are the hashes of the previous version's entries, sorted.
	before []uint64
	// floor is the second of the newest entry that the object ever had, or 0 if
	// it is not known.
	floor uint32
	// fresh is set if the newest entry was first received so recently that its
	// manager may have written again within the same second.
	fresh bool
	// comparison compares the version with the previous one. It is nil if the
	// previous version is not available.
	comparison *summary.Comparison
}

// managers returns the managers that wrote an update. missed means that
// versions between it and the previous version were not observed.
func (a attribution) managers(missed bool) []history.Manager {
	if len(a.before) >= history.MaxManagedEntries { // the hashes may be truncated
		return nil
	}
	if missed {
		return managersOf(a.allWriters())
	}
	return managersOf(a.writer())
}

// writer returns the entry of the only writer of a version that one request
// wrote. It returns nil if another manager may have written.
func (a attribution) writer() []managedEntry {
	// A trace is the only mark of its write.
	moved := a.moved()
	if slices.ContainsFunc(moved, func(e managedEntry) bool { return e.isTrace }) {
		if len(moved) > 1 {
			return nil // one request never leaves both a trace and an entry
		}
		return moved
	}
	if len(moved) == 0 {
		return a.withoutMove()
	}
	// A single moved entry that is later than all earlier ones belongs to the
	// writer. Otherwise fields have to prove who wrote.
	newest := newestEntries(moved)
	if len(newest) == 1 && a.isLater(&newest[0]) {
		return newest
	}
	return a.verifyAttribution(newest)
}

// allWriters returns the managers that wrote between two versions if some
// versions in between were not observed. Fields prove nothing then: their owner
// may have been added after another manager wrote.
func (a attribution) allWriters() []managedEntry {
	// The floor of the head may be unknown or older than the entries that
	// stayed.
	for i := range a.entries {
		if e := &a.entries[i]; a.existed(e) {
			a.floor = max(a.floor, second(e.Time))
		}
	}
	return slices.DeleteFunc(a.moved(), func(e managedEntry) bool { return e.isTrace || !a.isLater(&e) })
}

// moved returns the entries and traces whose manager and time are new since the
// previous version. An entry with the same time and other fields is not
// included: its manager may have lost fields to another one.
func (a attribution) moved() []managedEntry {
	return slices.DeleteFunc(slices.Clone(a.entries), func(e managedEntry) bool {
		return e.isSynthetic() || a.existed(&e)
	})
}

// existed reports whether the previous version had an entry of that manager and
// time.
func (a attribution) existed(e *managedEntry) bool {
	_, found := slices.BinarySearchFunc(a.before, writeHash(e.hash), func(hash uint64, half uint32) int {
		return cmp.Compare(writeHash(hash), half)
	})
	return found
}

// isLater reports whether a moved entry belongs to a write after the previous
// version.
//
// An entry that is not later, or has no time, can appear without a write of its
// manager. A client can insert entries: the upgrade from client-side to
// server-side apply does, and so does replacing an object by an old copy. A
// scale to the same number adds an entry without a time for the owner of
// spec.replicas.
func (a attribution) isLater(e *managedEntry) bool {
	return a.floor > 0 && second(e.Time) > a.floor
}

// withoutMove returns the writer of a version in which no entry moved. Its
// entry has the current second already, or it has no time, as those of the
// scale subresource. Otherwise no manager is named, because a removal of fields
// leaves no entry.
func (a attribution) withoutMove() []managedEntry {
	if a.isScaled() {
		return []managedEntry{{isTrace: true, Manager: history.Manager{Subresource: "scale"}}}
	}
	now := newestSecond(a.entries)
	return a.verifyAttribution(slices.DeleteFunc(slices.Clone(a.entries), func(e managedEntry) bool {
		if e.Time.IsZero() {
			return e.Subresource != "scale"
		}
		return second(e.Time) < now || !a.fresh
	}))
}

// isScaled reports whether the version must have been written through the scale
// subresource. That leaves no entry if spec.replicas has no owner, because
// scaling to 0 removes the field from its owner.
//
// The writer of any other request that sets the field becomes its owner, if the
// object has entries at all.
func (a attribution) isScaled() bool {
	// An object without entries gets none from an update either, so a missing
	// owner of spec.replicas proves nothing.
	if a.comparison == nil || !slices.ContainsFunc(a.entries, func(e managedEntry) bool { return !e.isTrace }) {
		return false
	}
	replicas, ok := a.comparison.Scaled()
	return ok && !a.mayBeDefault(replicas) &&
		!slices.ContainsFunc(a.entries, func(e managedEntry) bool {
			return a.comparison.Wrote(e.fieldsV1, a.othersFields(&e))
		})
}

// mayBeDefault reports whether the API server may have set spec.replicas to its
// default, which has no owner.
//
// It does so if the field's only owner applies without it. The field is then
// missing from the owner's entry, so an entry has changed. The default is 1 for
// built-in resources, and can be any number for a custom resource.
func (a attribution) mayBeDefault(replicas string) bool {
	if builtIn := a.apiVersion == "apps/v1" || a.apiVersion == "v1"; builtIn && replicas != "1" {
		return false
	}
	return !slices.Equal(a.before, managedHashes(a.entries))
}

// verifyAttribution returns the only entry whose fields prove that its manager
// wrote, if it is one of the candidates. Otherwise it returns nil.
func (a attribution) verifyAttribution(candidates []managedEntry) []managedEntry {
	var proven []managedEntry
	for i := range a.entries {
		if e := &a.entries[i]; a.proves(e) {
			proven = append(proven, *e)
		}
	}
	if len(proven) != 1 ||
		!slices.ContainsFunc(candidates, func(e managedEntry) bool { return e.hash == proven[0].hash }) {
		return nil
	}
	return proven
}

// proves reports whether the fields of an entry prove that its manager wrote.
// Fields of another API version than the object's prove nothing.
func (a attribution) proves(e *managedEntry) bool {
	return a.comparison != nil && !e.isTrace && !e.isSynthetic() &&
		(e.apiVersion == "" || e.apiVersion == a.apiVersion) &&
		a.comparison.Wrote(e.fieldsV1, a.othersFields(e))
}

// othersFields yields the fieldsV1 of all other entries. Entries of another
// API version may use other paths, so they count as owning any field.
func (a attribution) othersFields(than *managedEntry) iter.Seq[[]byte] {
	return func(yield func(fieldsV1 []byte) bool) {
		for i := range a.entries {
			e := &a.entries[i]
			if e.isTrace || e.hash == than.hash {
				continue
			}
			fieldsV1 := e.fieldsV1
			if e.apiVersion != "" && e.apiVersion != a.apiVersion {
				fieldsV1 = summary.AnyFields()
			}
			if !yield(fieldsV1) {
				return
			}
		}
	}
}

// creators returns the manager of an object's first version. If earlier
// versions were not observed, it returns all managers that wrote until then.
func creators(entries []managedEntry, missed bool) []history.Manager {
	wrote := slices.DeleteFunc(attribution{entries: entries}.moved(), func(e managedEntry) bool { return e.isTrace })
	if missed {
		return managersOf(wrote)
	}
	if wrote = newestEntries(wrote); len(wrote) > 1 {
		return nil
	}
	return managersOf(wrote)
}

// newestEntries returns the entries with the latest second.
func newestEntries(entries []managedEntry) (newest []managedEntry) {
	at := newestSecond(entries)
	for _, e := range entries {
		if second(e.Time) == at {
			newest = append(newest, e)
		}
	}
	return newest
}
