package recorder

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The bounds of what a record says beside its object, in bytes. Whoever may write an object may put into it whatever names thousands
// of owners and managers; together with the words they stay below [history.MaxAttributes].
const (
	maxReference = 1 << 10  // of an owner's UID, and of an Event's target: no object has longer ones
	maxOwners    = 32 << 10 // of all owners' UIDs
	maxManagers  = 16 << 10 // of all managers, with the fields that they own
)

// maxKinds is how many kinds and API versions the objects of one resource may have while the recorder runs: they have one.
const maxKinds = 16

// bound leaves out of a record what is beyond the bounds. The object has all of it.
func bound(r *history.Record) {
	r.Owners = firstOwners(r.Owners)
	r.Managers = firstManagers(r.Managers)
	if r.Regarding != nil && r.Regarding.Size() > maxReference {
		r.Regarding = nil
	}
	r.ManagedHashes = r.ManagedHashes[:min(len(r.ManagedHashes), history.MaxManagedEntries)]
}

// firstOwners returns the first owners that the bounds allow, without those that can be no object's UID.
func firstOwners(uids []types.UID) []types.UID {
	uids = slices.DeleteFunc(uids, func(uid types.UID) bool { return len(uid) > maxReference })
	n, size := 0, 0
	for n < min(len(uids), history.MaxOwners) && size+len(uids[n]) <= maxOwners {
		size += len(uids[n])
		n++
	}
	return uids[:n]
}

// firstManagers returns the first managers that the bounds allow. Where fields are too long, none are named.
func firstManagers(list []history.Manager) []history.Manager {
	n, size := 0, 0
	for ; n < len(list); n++ {
		m := &list[n]
		if size+m.Size() > maxManagers {
			m.Fields = nil
		}
		if size += m.Size(); size > maxManagers {
			break
		}
	}
	return list[:n]
}
