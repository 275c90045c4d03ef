package recorder

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// managedEntry is one entry of managedFields, or a trace: the mark that a write
// leaves in the object for which the API server adds no entry.
type managedEntry struct {
	history.Manager

	apiVersion string // of fieldsV1; entries only
	fieldsV1   []byte // the fields that the manager owns; a slice of the watch event
	isTrace    bool
	// hash identifies the entry in a record's ManagedHashes. Its upper half
	// hashes who wrote and when (manager, operation, subresource, time), its
	// lower half the whole entry. The hashes (XXH64 with seed 0) are a part of
	// the storage format.
	hash uint64
}

// isOf reports whether the entry is the manager's.
func (e *managedEntry) isOf(m history.Manager) bool {
	return e.Name == m.Name && e.Operation == m.Operation && e.Subresource == m.Subresource && e.Time.Equal(m.Time)
}

// isSynthetic reports whether the API server generated the entry, so that it
// names no manager. The server merges the oldest entries of an object that has
// more than ten. It also adds an entry for the fields of an object without
// entries at the first apply to it.
func (e *managedEntry) isSynthetic() bool {
	return e.Operation == "Update" && (e.Name == "ancient-changes" || e.Name == "before-first-apply")
}

// writeHash returns the half of a hash that identifies who wrote and when.
func writeHash(hash uint64) uint32 { return uint32(hash >> 32) }

// newTrace returns the trace of a write that gets no entry in managedFields: a
// request to delete, or the binding of a pod. The text must differ between two
// such writes to one object.
func newTrace(what, text string, inferred history.Manager) managedEntry {
	return managedEntry{Manager: inferred, isTrace: true, hash: xxhash.Sum64String(what + "\x00" + text)}
}

// bindingTrace returns the trace of the write that bound a pod to its node,
// whose spec comes next. The writer is inferred to be the pod's scheduler.
func bindingTrace(scan *rawjson.Scanner) []managedEntry {
	node, scheduler := "", ""
	for _, key := range scan.Members() {
		switch string(key) {
		case "nodeName":
			node = scan.Text()
		case "schedulerName":
			scheduler = scan.Text()
		}
	}
	if node == "" {
		return nil
	}
	if scheduler == "" || scheduler == "default-scheduler" {
		scheduler = "kube-scheduler"
	}
	return []managedEntry{newTrace("binding", node, history.Manager{Name: scheduler, Subresource: "binding"})}
}

// readManagedFields reads the managedFields, which come next.
func readManagedFields(scan *rawjson.Scanner, object []byte) (entries []managedEntry) {
	for start := range scan.Elements() {
		var e managedEntry
		for _, key := range scan.Members() {
			switch string(key) {
			case "manager":
				e.Name = scan.Text()
			case "operation":
				e.Operation = scan.Text()
			case "subresource":
				e.Subresource = scan.Text()
			case "apiVersion":
				e.apiVersion = scan.Text()
			case "fieldsV1":
				e.fieldsV1 = scan.Skip()
			case "time":
				e.Time, _ = time.Parse(time.RFC3339, scan.Text()) // an entry without a time counts as the oldest
			}
		}
		whole := xxhash.Sum64(object[start:scan.Offset()])
		e.hash = e.identityHash()<<32 | whole>>32
		entries = append(entries, e)
	}
	return entries
}

// identityHash hashes who wrote and when, in 32 bits.
func (e *managedEntry) identityHash() uint64 {
	h := xxhash.New()
	for _, part := range []string{e.Name, e.Operation, e.Subresource, e.Time.UTC().Format(time.RFC3339)} {
		_, _ = h.WriteString(part)
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64() >> 32
}

// managedHashes returns the hashes of the entries, sorted.
func managedHashes(entries []managedEntry) []uint64 {
	if len(entries) == 0 {
		return nil
	}
	hashes := make([]uint64, len(entries))
	for i := range entries {
		hashes[i] = entries[i].hash
	}
	slices.Sort(hashes)
	return hashes
}

// second returns a time in whole seconds since 1970, or 0 for the zero time. A
// uint32 saves memory in every head.
func second(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}

// newestSecond returns the second of the newest entry, or 0 if no entry has a
// time.
func newestSecond(entries []managedEntry) (at uint32) {
	for i := range entries {
		at = max(at, second(entries[i].Time))
	}
	return at
}

// managersOf returns the managers of the entries, each once: those that have a
// name, and those that are inferred from traces. The newest come first, then
// they are sorted by name.
func managersOf(entries []managedEntry) []history.Manager {
	found := make([]history.Manager, 0, len(entries))
	for i := range entries {
		if m := &entries[i].Manager; m.Name != "" || m.IsInferred() {
			found = append(found, entries[i].Manager)
		}
	}
	byTime := func(a, b history.Manager) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Operation, b.Operation),
			cmp.Compare(a.Subresource, b.Subresource))
	}
	slices.SortFunc(found, byTime)
	return slices.CompactFunc(found, func(a, b history.Manager) bool { return byTime(a, b) == 0 })
}
