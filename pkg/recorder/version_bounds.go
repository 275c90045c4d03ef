package recorder

import (
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The bounds of a record's metadata, in bytes. An object may name thousands of
// owners and managers. Together with the summary, the bounded metadata is
// smaller than [history.MaxAttributes].
const (
	maxReference = 1 << 10  // of an owner's UID, and of an Event's target
	maxOwners    = 32 << 10 // of the UIDs of all owners
	maxManagers  = 16 << 10 // of all managers, with the fields that they own
)

// maxKinds bounds how many pairs of an API version and a kind are recorded for
// the objects of one resource while the recorder runs. Most resources have one.
const maxKinds = 16

// truncate removes the metadata that exceeds the bounds from a record. The
// object still contains it.
func truncate(r *history.NewVersion) {
	r.Owners = firstOwners(r.Owners)
	r.Managers = firstManagers(r.Managers)
	if r.Regarding != nil && r.Regarding.Size() > maxReference {
		r.Regarding = nil
	}
	r.ManagedHashes = r.ManagedHashes[:min(len(r.ManagedHashes), history.MaxManagedEntries)]
}

// firstOwners returns the first owners that the bounds allow. UIDs that are too
// long for any object are removed.
func firstOwners(uids []types.UID) []types.UID {
	uids = slices.DeleteFunc(uids, func(uid types.UID) bool { return len(uid) > maxReference })
	n, size := 0, 0
	for n < min(len(uids), history.MaxOwners) && size+len(uids[n]) <= maxOwners {
		size += len(uids[n])
		n++
	}
	return uids[:n]
}

// firstManagers returns the first managers that the bounds allow. The fields of
// a manager are removed if they exceed the bounds.
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
