package recorder

import (
	"bytes"
	"container/list"
	"sync"
	"time"
)

// lastVersions caches the last recorded version of the objects that changed
// most recently, by UID. The next version of an object is compared with it.
// After a cache miss, the version is read from the log, or there is no summary.
//
// Its methods are safe for concurrent use.
type lastVersions struct {
	maxBytes int

	mu    sync.Mutex // guards the fields below
	bytes int
	used  *list.List // of cachedVersion, the most recently used first
	byUID map[string]*list.Element
}

// cachedVersion is an element of lastVersions.
type cachedVersion struct {
	lastVersion

	uid string
}

// lastVersion is the last recorded version of an object.
type lastVersion struct {
	rv     string
	object []byte // JSON, immutable; nil if it is not available

	// newest is the second of the newest managed entry. An entry of that second
	// was first received at the time since.
	newest uint32
	since  time.Time
}

// size estimates the memory that a cached version uses, in bytes. The constant
// is for the list element, the map entry and the structs.
func (c cachedVersion) size() int { return 240 + len(c.uid) + len(c.object) }

// newLastVersions returns an empty cache.
func newLastVersions(maxBytes int) *lastVersions {
	return &lastVersions{maxBytes: maxBytes, used: list.New(), byUID: map[string]*list.Element{}}
}

// get returns an object's last version, or the zero lastVersion if it is not
// cached. The caller must not write to the object.
func (l *lastVersions) get(uid string) lastVersion {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byUID[uid]
	if e == nil {
		return lastVersion{}
	}
	l.used.MoveToFront(e)
	return cached(e).lastVersion
}

// put replaces an object's last version. It evicts the least recently used
// versions if there is no room.
func (l *lastVersions) put(uid string, last lastVersion) {
	if cap(last.object) > 2*len(last.object) {
		last.object = bytes.Clone(last.object) // do not retain a much larger buffer
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evict(l.byUID[uid])
	c := cachedVersion{last, uid}
	// A version that exceeds the bound alone would evict all others.
	if c.size() > l.maxBytes {
		return
	}
	l.byUID[uid] = l.used.PushFront(c)
	for l.bytes += c.size(); l.bytes > l.maxBytes; {
		l.evict(l.used.Back())
	}
}

// remove evicts a deleted object.
func (l *lastVersions) remove(uid string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.evict(l.byUID[uid])
}

// evict removes an element, which may be nil. The caller holds the lock.
func (l *lastVersions) evict(e *list.Element) {
	if e == nil {
		return
	}
	c := cached(e)
	l.used.Remove(e)
	delete(l.byUID, c.uid)
	l.bytes -= c.size()
}

// cached returns the value of an element.
func cached(e *list.Element) cachedVersion {
	c, _ := e.Value.(cachedVersion) // the list has no other elements
	return c
}
