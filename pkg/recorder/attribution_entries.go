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

// writer is one entry of managedFields, or a trace: what a write leaves in the
// object for which the API server records no entry.
type writer struct {
	history.Manager

	apiVersion string // of fieldsV1; of entries only
	fieldsV1   []byte // what the manager owns; a part of the frame
	isTrace    bool
	// fingerprint is a hash of the whole entry: its upper half of who wrote and
	// when (manager, operation, subresource, time), its lower half of all of it.
	// It is kept in the log, so the hashes (of XXH64, seed 0) are a part of the
	// format.
	fingerprint uint64
}

// of reports whether the entry is the manager's.
func (w *writer) of(m history.Manager) bool {
	return w.Name == m.Name && w.Operation == m.Operation && w.Subresource == m.Subresource && w.Time.Equal(m.Time)
}

// made reports whether the API server made the entry up: it joins the oldest
// entries of an object that has more than ten, and gives one to what an object
// without entries holds when somebody first applies to it.
func (w *writer) made() bool {
	return w.Operation == "Update" && (w.Name == "ancient-changes" || w.Name == "before-first-apply")
}

// write returns the half of a fingerprint that identifies who wrote and when.
func write(fingerprint uint64) uint32 { return uint32(fingerprint >> 32) }

// trace returns what a write leaves that gets no entry in managedFields: a
// request to delete, or the binding of a pod. The text differs from that of any
// other such write to the object.
func trace(what, text string, inferred history.Manager) writer {
	return writer{Manager: inferred, isTrace: true, fingerprint: xxhash.Sum64String(what + "\x00" + text)}
}

// binding returns the trace of the write that bound a pod to its node, whose
// spec comes next. It is inferred to be by the scheduler that the pod asks for.
func binding(scan *rawjson.Scanner) []writer {
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
	return []writer{trace("binding", node, history.Manager{Name: scheduler, Subresource: "binding"})}
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
			case "apiVersion":
				w.apiVersion = scan.Text()
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

// second returns a time in seconds since 1970 within the range of a uint32,
// which saves room in every head; 0 for no time.
func second(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(min(max(t.Unix(), 0), math.MaxUint32))
}

// newestSecond returns the second of the newest entry; 0 if none has a time.
func newestSecond(entries []writer) (at uint32) {
	for i := range entries {
		at = max(at, second(entries[i].Time))
	}
	return at
}

// managers returns the entries' managers that have names, and what is inferred
// from traces; the newest first and otherwise by name, each once.
func managers(entries []writer) []history.Manager {
	found := make([]history.Manager, 0, len(entries))
	for i := range entries {
		if m := &entries[i].Manager; m.Name != "" || m.IsInferred() {
			found = append(found, entries[i].Manager)
		}
	}
	byTime := func(a, b history.Manager) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Subresource, b.Subresource))
	}
	slices.SortFunc(found, byTime)
	return slices.CompactFunc(found, func(a, b history.Manager) bool { return byTime(a, b) == 0 })
}
