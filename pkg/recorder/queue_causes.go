package recorder

import (
	"time"

	"github.com/cespare/xxhash/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxCauses bounds how many causes of one object an entry waits for.
// Controllers set one owner.
const maxCauses = 8

// cause identifies an object that must be recorded before another one: an owner
// before its dependents, and the target of an Event before the Event.
type cause struct {
	kind schema.GroupKind
	uid  uint64 // see digestOf
}

// digestOf hashes a UID to 64 bits (XXH64), to save memory.
func digestOf(uid types.UID) uint64 { return xxhash.Sum64String(string(uid)) }

// causes returns the owners of a newly created object and, for an Event, its
// target.
func (v *version) causes() (all []cause) {
	if v.target != nil && v.target.UID != "" {
		all = append(all, cause{schema.GroupKind{Group: v.target.Group, Kind: v.target.Kind}, digestOf(v.target.UID)})
	}
	for i := range v.owners {
		if kind, ok := v.owners[i].groupKind(); ok {
			all = append(all, cause{kind, digestOf(v.owners[i].uid)})
		}
	}
	return all[:min(len(all), maxCauses)]
}

// setLive marks objects as live or deleted without an entry: those that the log
// contains already, and those that a rule ignores. Dependents don't wait for
// live objects. Objects with an entry are marked by put.
func (q *queue) setLive(live bool, uids ...types.UID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, uid := range uids {
		q.markLive(live, uid)
	}
	if q.holding {
		q.reconsider(time.Now())
	}
}

// markLive marks one object as live or deleted. The caller holds the lock.
func (q *queue) markLive(live bool, uid types.UID) {
	if live {
		q.live[digestOf(uid)] = struct{}{}
	} else {
		delete(q.live, digestOf(uid))
	}
}

// resolveCauses marks the objects of the entry's records as live or deleted.
// Then it drops the causes that the entry need not wait for: live objects, and
// objects of resources that are not watched. The caller holds the lock.
func (q *queue) resolveCauses(e *entry, now time.Time) {
	for _, r := range e.records {
		switch r.Verb {
		case history.Create:
			q.markLive(true, r.Ref.UID)
		case history.Delete:
			q.markLive(false, r.Ref.UID)
		}
	}
	causes := e.causes[:0:0]
	for _, c := range e.causes {
		if _, live := q.live[c.uid]; !live && q.watches(c.kind) {
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

// lacksCause reports whether an entry still has to wait for one of its causes.
// The caller holds the lock.
func (q *queue) lacksCause(e *entry, now time.Time) bool {
	if now.Sub(e.at) >= maxSkew {
		return false
	}
	for _, c := range e.causes {
		if _, live := q.live[c.uid]; !live {
			return true
		}
	}
	return false
}
