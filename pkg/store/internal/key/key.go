// Package key is the codec of the log's keys. It owns every byte of them; nothing else puts a key together or takes one
// apart.
//
// The invariant: keys are binary and big-endian, and within one index and one prefix they sort by time. Historical keys,
// which are all that belongs to a version, begin with their day, so that a day is one prefix. Every other key begins with
// a letter of its own.
//
// It knows no values and no database, and it refuses what it did not write: [Decode] answers anything else with an error.
package key

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// History is the first byte of every historical key: 'v', then the day.
const History = 'v'

// Class is a historical keyspace: the versions' parts and their indexes.
type Class byte

// The classes, with what stands between the day and the time.
const (
	Record      Class = 'o' // object
	Body        Class = 'b' // object; a part number follows the time
	ByTime      Class = 't' // nothing
	ByResource  Class = 'g' // resource
	ByNamespace Class = 'k' // resource, namespace
	ByTarget    Class = 'r' // hash of an Event's target
	ByOwner     Class = 'w' // hash of an owner's UID
	Phrase      Class = 'd' // belongs to a day and to no version: a number, as the part, and no time
)

// Hash is the first half of a SHA-256.
type Hash [16]byte

// Entry is a historical key taken apart. A class carries only some of the fields; the others are zero.
type Entry struct {
	Class     Class
	TS        uint64 // nanoseconds since 1970
	Object    uint64
	Resource  uint16
	Namespace uint32
	Verb      byte
	Hash      Hash
	Part      uint16
}

// MaxTS is the last time that a key can carry: the end of day 65,535, in the year 2149.
const MaxTS = (math.MaxUint16+1)*uint64(24*time.Hour) - 1

// ErrMalformed is the error of [Decode] for what is not a historical key.
var ErrMalformed = errors.New("malformed key")

// Day returns the number of the day, counted from 1970 in UTC, that a time falls in.
func Day(ts uint64) uint16 { return uint16(ts / uint64(24*time.Hour)) }

// Start returns the first time of a day; of the day behind the last one, the first that no key can carry.
func Start(day uint32) uint64 { return uint64(day) * uint64(24*time.Hour) }

// DayPrefix is what all historical keys of one day begin with.
func DayPrefix(day uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{History}, day)
}

// ClassPrefix is what all keys of one class and day begin with.
func ClassPrefix(day uint16, class Class) []byte {
	return append(DayPrefix(day), byte(class))
}

// Prefix returns the part of the entry's key in front of its time, for a day: within it, keys sort by time.
func (e *Entry) Prefix(day uint16) []byte {
	b := make([]byte, 0, 48)
	b = append(append(b, DayPrefix(day)...), byte(e.Class))
	switch e.Class {
	case Record, Body:
		b = binary.BigEndian.AppendUint64(b, e.Object)
	case ByResource:
		b = binary.BigEndian.AppendUint16(b, e.Resource)
	case ByNamespace:
		b = binary.BigEndian.AppendUint16(b, e.Resource)
		b = binary.BigEndian.AppendUint32(b, e.Namespace)
	case ByTarget, ByOwner:
		b = append(b, e.Hash[:]...)
	case ByTime, Phrase:
	}
	return b
}

// Numbered returns the key of a day's phrase.
func Numbered(day, phrase uint16) []byte {
	e := Entry{Class: Phrase, TS: Start(uint32(day)), Part: phrase}
	return e.Encode()
}

// Encode returns the entry's key. Its time must not be behind [MaxTS].
func (e *Entry) Encode() []byte {
	if e.Class == Phrase {
		return binary.BigEndian.AppendUint16(e.Prefix(Day(e.TS)), e.Part)
	}
	b := binary.BigEndian.AppendUint64(e.Prefix(Day(e.TS)), e.TS)
	switch e.Class {
	case Record:
		return b
	case Body:
		return binary.BigEndian.AppendUint16(b, e.Part)
	}
	b = binary.BigEndian.AppendUint64(b, e.Object)
	switch e.Class {
	case ByTime:
		b = binary.BigEndian.AppendUint16(b, e.Resource)
		b = binary.BigEndian.AppendUint32(b, e.Namespace)
	case ByResource:
		b = binary.BigEndian.AppendUint32(b, e.Namespace)
	}
	return append(b, e.Verb)
}

// In returns the entry's key in another class, for the same version.
func (e Entry) In(class Class) []byte {
	e.Class = class
	return e.Encode()
}
