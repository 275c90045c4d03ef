package recorder

import (
	"cmp"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// writer is one entry of managedFields.
type writer struct {
	history.Manager
	fieldsV1 []byte // what the manager owns; a part of the frame
	// fingerprint stands for the whole entry: its upper half for who wrote and when (manager, operation, subresource,
	// time), its lower half for all of it. It is kept in the log, so the hashes (of XXH64, seed 0) are a part of the format.
	fingerprint uint64
}

// of tells whether the entry is the manager's.
func (w *writer) of(m history.Manager) bool {
	return w.Name == m.Name && w.Operation == m.Operation && w.Subresource == m.Subresource && w.Time.Equal(m.Time)
}

// write returns the half of a fingerprint that stands for who wrote and when.
func write(fingerprint uint64) uint32 { return uint32(fingerprint >> 32) }

// unnamed returns a write that leaves a trace in the object but no entry in managedFields: a request to delete, or a pod's
// binding. Nobody can be named for it, least of all whoever wrote before.
func unnamed(what, trace string) writer {
	return writer{fingerprint: xxhash.Sum64String(what + "\x00" + trace)}
}

func writers(scan *rawjson.Scanner, object []byte) (entries []writer) {
	for start := range scan.Elements() {
		var w writer
		for _, key := range scan.Members() {
			switch string(key) {
			case "manager":
				w.Name = scan.Text()
			case "operation":
				w.Operation = scan.Text()
			case "subresource":
				w.Subresource = scan.Text()
			case "fieldsV1":
				w.fieldsV1 = scan.Skip()
			case "time":
				w.Time, _ = time.Parse(time.RFC3339, scan.Text()) // an entry without a time is the oldest
			}
		}
		whole := xxhash.Sum64(object[start:scan.Offset()])
		w.fingerprint = w.identity()<<32 | whole>>32
		entries = append(entries, w)
	}
	return entries
}

// identity hashes who wrote and when, in 32 bits.
func (w *writer) identity() uint64 {
	h := xxhash.New()
	for _, part := range []string{w.Name, w.Operation, w.Subresource, w.Time.UTC().Format(time.RFC3339)} {
		_, _ = h.WriteString(part)
		_, _ = h.Write([]byte{0})
	}
	return h.Sum64() >> 32
}

func fingerprints(entries []writer) []uint64 {
	if len(entries) == 0 {
		return nil
	}
	prints := make([]uint64, len(entries))
	for i := range entries {
		prints[i] = entries[i].fingerprint
	}
	slices.Sort(prints)
	return prints
}

// attribute tells who wrote a version: the entries that the version before did not have, and whether that is sure.
//
// An entry also changes when its manager loses a field to another one, which leaves its time alone. So entries of a new
// writer or a new time go before those of which only the fields changed; an entry that is older than one that stayed
// counts only when there is no other, which clocks that differ explain; and when no version was missed in between, which
// makes it one write, only the newest entries count.
//
// Without an entry of a new writer or a new time it is a guess, which confirm has to bear out: a second write within
// the same second leaves its entry's time as it was, and perhaps all of it. But so does a write that only removes fields,
// whoever's they were: it leaves no entry of its own, and takes the fields out of those of others.
func attribute(entries []writer, before []uint64, missed bool) (who []history.Manager, sure bool) {
	changed, stayed := split(entries, before)
	if len(changed) == 0 {
		if last := managers(newest(entries)); len(last) == 1 {
			return last, false
		}
		return nil, false
	}
	wrote := anew(changed, before)
	if sure = len(wrote) > 0; sure {
		changed = wrote
	}
	since := latest(stayed)
	candidates := slices.DeleteFunc(slices.Clone(changed), func(w writer) bool { return w.Time.Before(since) })
	if len(candidates) == 0 {
		candidates = changed
	}
	if !missed {
		candidates = newest(candidates)
	}
	return managers(candidates), sure
}

// anew returns the entries of whose writer and time the version before had none.
func anew(entries []writer, before []uint64) []writer {
	return slices.DeleteFunc(slices.Clone(entries), func(w writer) bool {
		return slices.ContainsFunc(before, func(f uint64) bool { return write(f) == write(w.fingerprint) })
	})
}

// attributeDeletion names only who left a new entry, and not who lost a field with a finalizer: deleting leaves none.
func attributeDeletion(entries []writer, before []uint64) []history.Manager {
	changed, _ := split(entries, before)
	return managers(newest(anew(changed, before)))
}

func split(entries []writer, before []uint64) (changed, stayed []writer) {
	for _, w := range entries {
		if slices.Contains(before, w.fingerprint) {
			stayed = append(stayed, w)
		} else {
			changed = append(changed, w)
		}
	}
	return changed, stayed
}

func latest(entries []writer) (at time.Time) {
	for _, w := range entries {
		if w.Time.After(at) {
			at = w.Time
		}
	}
	return at
}

func newest(entries []writer) (top []writer) {
	at := latest(entries)
	for _, w := range entries {
		if w.Time.Equal(at) {
			top = append(top, w)
		}
	}
	return top
}

// managers returns the entries' managers that have names, the newest first and otherwise by name, each once.
func managers(entries []writer) []history.Manager {
	found := make([]history.Manager, 0, len(entries))
	for _, w := range entries {
		if w.Name != "" {
			found = append(found, w.Manager)
		}
	}
	byTime := func(a, b history.Manager) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Subresource, b.Subresource))
	}
	slices.SortFunc(found, byTime)
	return slices.CompactFunc(found, func(a, b history.Manager) bool { return byTime(a, b) == 0 })
}
