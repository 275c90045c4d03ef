package recorder

import (
	"bytes"
	"container/list"
	"sync"
	"time"
)

// memory holds the JSON of the newest recorded version of the objects that changed last, by UID, within a bound. It is for
// comparing the next version with; whoever finds nothing in it does without.
type memory struct {
	room int // in bytes

	mu     sync.Mutex // guards what follows
	size   int
	newest *list.List // of memorised, the last used one in front
	byUID  map[string]*list.Element
}

type memorised struct {
	lastVersion

	uid string
}

// lastVersion is the newest recorded version of an object.
type lastVersion struct {
	rv     string
	object []byte // nil if it is not at hand

	// newest is the second of its newest entry in managedFields, which was
	// received first at the time since.
	newest uint32
	since  time.Time
}

// size estimates what an object costs, in bytes.
func (m memorised) size() int { return 240 + len(m.uid) + len(m.object) }

func newMemory(room int) *memory {
	return &memory{room: room, newest: list.New(), byUID: map[string]*list.Element{}}
}

// recall returns an object's newest version, which nobody may write to. It has
// no object if it is not held.
func (m *memory) recall(uid string) lastVersion {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byUID[uid]
	if e == nil {
		return lastVersion{}
	}
	m.newest.MoveToFront(e)
	return held(e).lastVersion
}

// hold puts a version in the place of the object's last one. Those that were not used for longest make room.
func (m *memory) hold(uid string, last lastVersion) {
	if cap(last.object) > 2*len(last.object) {
		last.object = bytes.Clone(last.object) // a part of something larger would keep all of it
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(m.byUID[uid])
	one := memorised{last, uid}
	if one.size() > m.room {
		return
	}
	m.byUID[uid] = m.newest.PushFront(one)
	for m.size += one.size(); m.size > m.room; {
		m.drop(m.newest.Back())
	}
}

// forget drops an object that is gone.
func (m *memory) forget(uid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(m.byUID[uid])
}

func (m *memory) drop(e *list.Element) {
	if e == nil {
		return
	}
	one := held(e)
	m.newest.Remove(e)
	delete(m.byUID, one.uid)
	m.size -= one.size()
}

func held(e *list.Element) memorised {
	one, _ := e.Value.(memorised) // nothing else is ever put in
	return one
}
