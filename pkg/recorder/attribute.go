package recorder

import (
	"cmp"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/narrative"
)

// closeTogether is the longest that two versions written within one second of the
// API server's clock are received after each other. A longer delay costs a name,
// never makes one wrong.
const closeTogether = 2 * time.Second

// attribution is what the writers of a version are told from: its entries in
// managedFields, and what is known of the version before.
//
// Its rule is that a manager is named only if nobody else can have written. The
// API server sets the time of an entry, in whole seconds, when its manager adds
// or changes a field. It leaves the time alone if the manager only loses
// fields, and a write that only removes fields leaves no entry at all. See
// docs/design/0003-who-wrote-a-version.md.
type attribution struct {
	entries    []writer
	apiVersion string // of the object

	// before are the fingerprints of the entries of the version before, sorted.
	before []uint64
	// floor is the second of the newest entry that the object ever had; 0 if it is
	// not known.
	floor uint32
	// fresh is set if the newest entry was received first so short ago that its
	// manager may have written again within the same second.
	fresh bool
	// comparison is that with the version before, nil if that is not at hand.
	comparison *narrative.Comparison
}

// attribute returns the managers of an update. It is missed if versions between
// it and the version before were not seen.
func (a attribution) attribute(missed bool) []history.Manager {
	if len(a.before) >= history.MaxWriters { // and may be incomplete
		return nil
	}
	if missed {
		return managers(a.several())
	}
	return managers(a.one())
}

// one returns the writer of a version that one request wrote; nil if there may
// be another one.
func (a attribution) one() []writer {
	moved := a.moved()
	if slices.ContainsFunc(moved, func(w writer) bool { return w.isTrace }) {
		if len(moved) > 1 {
			return nil // a trace and an entry are never of one request
		}
		return moved
	}
	if len(moved) == 0 {
		return a.again()
	}
	newest := newest(moved)
	if len(newest) == 1 && a.isLater(&newest[0]) {
		return newest
	}
	return a.proven(newest)
}

// several returns the managers that wrote between two versions of which some in
// between were not seen. Fields prove nothing then: their owner may have been
// put in after another one wrote.
func (a attribution) several() []writer {
	for i := range a.entries {
		if w := &a.entries[i]; a.stayed(w) {
			a.floor = max(a.floor, second(w.Time))
		}
	}
	return slices.DeleteFunc(a.moved(), func(w writer) bool { return w.isTrace || !a.isLater(&w) })
}

// moved returns the entries, and the traces, that the version before did not
// have, as far as who and when. An entry that only its fields changed in is not
// among them: its manager may have lost them to another one.
func (a attribution) moved() []writer {
	return slices.DeleteFunc(slices.Clone(a.entries), func(w writer) bool { return w.made() || a.stayed(&w) })
}

// stayed reports whether the version before had an entry of that manager and time.
func (a attribution) stayed(w *writer) bool {
	_, found := slices.BinarySearchFunc(a.before, write(w.fingerprint), func(f uint64, half uint32) int { return cmp.Compare(write(f), half) })
	return found
}

// isLater reports whether a moved entry is of a write since the version before.
// One that isn't, or has no time, may be there without that its manager wrote: a
// client can put entries in, as the upgrade from client-side to server-side
// apply and the replacement of an object by an old copy do, and a scale to the
// same number makes a new entry without a time for the owner of spec.replicas.
func (a attribution) isLater(w *writer) bool {
	return a.floor > 0 && second(w.Time) > a.floor
}

// again returns the writer of a version without an entry that moved: one whose
// entry has the current second already, or none, as those of the scale
// subresource. Otherwise nobody is named, for a removal leaves no entry.
func (a attribution) again() []writer {
	if a.isScaled() {
		return []writer{{isTrace: true, Manager: history.Manager{Subresource: "scale"}}}
	}
	now := newestSecond(a.entries)
	return a.proven(slices.DeleteFunc(slices.Clone(a.entries), func(w writer) bool {
		if w.Time.IsZero() {
			return w.Subresource != "scale"
		}
		return second(w.Time) < now || !a.fresh
	}))
}

// isScaled reports whether the version must have come through the scale
// subresource, which leaves no entry once nobody owns spec.replicas: scaling to
// 0 takes the field from its owner. Any other write that sets it gets to own it,
// if the object has entries at all.
func (a attribution) isScaled() bool {
	if a.comparison == nil || !slices.ContainsFunc(a.entries, func(w writer) bool { return !w.isTrace }) {
		return false
	}
	replicas, ok := a.comparison.Scaled()
	return ok && !a.mayBeDefault(replicas) &&
		!slices.ContainsFunc(a.entries, func(w writer) bool { return a.comparison.Wrote(w.fieldsV1, a.others(&w)) })
}

// mayBeDefault reports whether the API server may have set spec.replicas to its
// default, which nobody owns. It does if the field's only owner applies without
// it, and takes the field out of that owner's entry. The default of a built-in
// resource is 1, that of a custom resource can be anything.
func (a attribution) mayBeDefault(replicas string) bool {
	if builtIn := a.apiVersion == "apps/v1" || a.apiVersion == "v1"; builtIn && replicas != "1" {
		return false
	}
	return !slices.Equal(a.before, fingerprints(a.entries))
}

// proven returns the only entry that proves to be the writer's, if it is one of
// the candidates.
func (a attribution) proven(candidates []writer) []writer {
	var found []writer
	for i := range a.entries {
		if w := &a.entries[i]; a.wrote(w) {
			found = append(found, *w)
		}
	}
	if len(found) != 1 || !slices.ContainsFunc(candidates, func(w writer) bool { return w.fingerprint == found[0].fingerprint }) {
		return nil
	}
	return found
}

// wrote reports whether an entry proves by its fields that its manager wrote.
// They say nothing about an object in another version of the API.
func (a attribution) wrote(w *writer) bool {
	return a.comparison != nil && !w.isTrace && !w.made() && (w.apiVersion == "" || w.apiVersion == a.apiVersion) &&
		a.comparison.Wrote(w.fieldsV1, a.others(w))
}

// others returns the fieldsV1 of all entries except one. Entries of another
// apiVersion may use different paths, so they count as owning anything.
func (a attribution) others(than *writer) (fieldsV1 [][]byte) {
	for i := range a.entries {
		switch w := &a.entries[i]; {
		case w.isTrace, w.fingerprint == than.fingerprint:
		case w.apiVersion != "" && w.apiVersion != a.apiVersion:
			fieldsV1 = append(fieldsV1, narrative.AnyFields())
		default:
			fieldsV1 = append(fieldsV1, w.fieldsV1)
		}
	}
	return fieldsV1
}

// creators returns the manager of an object's first version, or, if versions
// before it were not seen, all that wrote until then.
func creators(entries []writer, missed bool) []history.Manager {
	wrote := slices.DeleteFunc(attribution{entries: entries}.moved(), func(w writer) bool { return w.isTrace })
	if missed {
		return managers(wrote)
	}
	if wrote = newest(wrote); len(wrote) > 1 {
		return nil
	}
	return managers(wrote)
}

// newest returns the entries with the latest time.
func newest(entries []writer) (top []writer) {
	at := newestSecond(entries)
	for _, w := range entries {
		if second(w.Time) == at {
			top = append(top, w)
		}
	}
	return top
}
