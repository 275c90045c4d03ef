package recorder

import (
	"time"

	"github.com/cespare/xxhash/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// maxCauses bounds how many causes of one object an entry waits for.
// Controllers set one owner.
const maxCauses = 8

// cause identifies an object that must be recorded before another one: an owner
// before its dependents, and the involved object before its Events.
type cause struct {
	kind schema.GroupKind
	uid  uint64 // see digestOf
}

// digestOf hashes a UID to 64 bits (XXH64), to save memory.
func digestOf(uid types.UID) uint64 { return xxhash.Sum64String(string(uid)) }

// causes returns the owners of a newly created object and, for an Event, its
// involved object.
func (v *version) causes() (all []cause) {
	if v.regarding != nil && v.regarding.UID != "" {
		all = append(all, cause{schema.GroupKind{Group: v.regarding.Group, Kind: v.regarding.Kind}, digestOf(v.regarding.UID)})
	}
	if len(v.owners) == 0 {
		return all
	}
	scan := rawjson.ScanValid(v.object)
	for _, key := range scan.Members() {
		if string(key) != "metadata" {
			continue
		}
		for _, key := range scan.Members() {
			if string(key) == "ownerReferences" {
				all = append(all, ownersOf(&scan)...)
			}
		}
	}
	return all[:min(len(all), maxCauses)]
}

func ownersOf(scan *rawjson.Scanner) (all []cause) {
	for range scan.Elements() {
		var apiVersion, kind, uid string
		for _, key := range scan.Members() {
			switch string(key) {
			case "apiVersion":
				apiVersion = scan.Text()
			case "kind":
				kind = scan.Text()
			case "uid":
				uid = scan.Text()
			}
		}
		if gv, err := schema.ParseGroupVersion(apiVersion); err == nil {
			all = append(all, cause{schema.GroupKind{Group: gv.Group, Kind: kind}, digestOf(types.UID(uid))})
		}
	}
	return all
}

// know adds recorded objects to the known UIDs. put removes a UID when it
// accepts the object's deletion.
func (q *queue) know(uids ...types.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, uid := range uids {
		q.known[digestOf(uid)] = struct{}{}
	}
}

// pass updates the known UIDs for an object that a rule excludes, so that its
// dependents don't wait for it.
func (q *queue) pass(uid types.UID, frame history.WatchEventType) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if frame == history.Deleted {
		delete(q.known, digestOf(uid))
	} else {
		q.known[digestOf(uid)] = struct{}{}
	}
	if q.holding {
		q.reconsider(time.Now())
	}
}

// meet updates the known UIDs with the entry's records, and drops the causes
// that the entry need not wait for: those that are known, and those of
// resources that are not being watched. The caller holds the lock.
func (q *queue) meet(e *entry, now time.Time) {
	for _, r := range e.records {
		switch r.Verb {
		case history.Create:
			q.known[digestOf(r.Ref.UID)] = struct{}{}
		case history.Delete:
			delete(q.known, digestOf(r.Ref.UID))
		}
	}
	causes := e.causes[:0:0]
	for _, c := range e.causes {
		if _, known := q.known[c.uid]; !known && q.watches(c.kind) {
			causes = append(causes, c)
		}
	}
	e.causes = causes
	if q.holding {
		q.reconsider(now)
	}
}

// watches reports whether a lane with a live watch has this kind. The caller
// holds the lock.
func (q *queue) watches(kind schema.GroupKind) bool {
	for _, l := range q.lanes {
		if l.kind == kind && (l.state == live || l.state == resumed) {
			return true
		}
	}
	return false
}

// lacks reports whether an entry still has to wait for one of its causes. The
// caller holds the lock.
func (q *queue) lacks(e *entry, now time.Time) bool {
	if now.Sub(e.at) >= maxSkew {
		return false
	}
	for _, c := range e.causes {
		if _, known := q.known[c.uid]; !known {
			return true
		}
	}
	return false
}
