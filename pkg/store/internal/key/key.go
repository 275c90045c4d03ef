// Package key encodes and decodes the keys of the log. It owns their layout:
// other packages may cut or extend the keys and prefixes that it returns, but
// define none.
//
// Invariant: keys are binary and big-endian. Within one index and one prefix
// they sort by time. Keys that belong to a version begin with the letter
// [History] and the day, so that a day is one prefix. All other keyspaces begin
// with their own letter. [Decode] and its siblings return an error for any key
// that the package did not encode.
//
// The package handles neither values nor a database. docs/storage-format.md
// describes the keys byte by byte.
package key

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// History is the first byte of every historical key. The day follows.
const History = 'v'

// Class is a historical keyspace: the parts of versions, and their indexes.
type Class byte

// The classes, with the fields between the class and the time. After the time,
// the keys of an index have the remaining fields, so that a key alone decides
// most filters.
const (
	Record      Class = 'o' // object
	Body        Class = 'b' // object; a part number follows the time
	ByTime      Class = 't' // none
	ByRoot      Class = 'c' // none; no consequences
	ByResource  Class = 'g' // resource
	ByNamespace Class = 'k' // resource, namespace
	ByTarget    Class = 'r' // hash of an Event's target
	ByOwner     Class = 'w' // hash of an owner's UID
	Phrase      Class = 'd' // an entry of the day dictionary: a number in Part, and no time
)

// Hash is the first half of a SHA-256 checksum.
type Hash [16]byte

// Entry is a parsed historical key. The keys of a class contain only some of
// the fields. The others are zero.
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

// MaxTS is the last time that a key can store: the end of day 65,535, in the
// year 2149.
const MaxTS = (math.MaxUint16+1)*uint64(24*time.Hour) - 1

// ErrMalformed is the error of the functions that decode keys, for keys that
// the package did not encode.
var ErrMalformed = errors.New("malformed key")

// Day returns the day of a time, counted from 1970 in UTC.
func Day(ts uint64) uint16 { return uint16(ts / uint64(24*time.Hour)) }

// Start returns the first time of a day. The day may be one more than the last
// day that a key can store.
func Start(day uint32) uint64 { return uint64(day) * uint64(24*time.Hour) }

// DayPrefix returns the prefix of all historical keys of a day.
func DayPrefix(day uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{History}, day)
}

// ClassPrefix returns the prefix of all keys of a class and a day.
func ClassPrefix(day uint16, class Class) []byte {
	return append(DayPrefix(day), byte(class))
}

// Prefix returns the part of the entry's key before its time, for a day. The
// keys with that prefix sort by time.
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
	case ByTime, ByRoot, Phrase:
	}
	return b
}

// DayPhrase returns the key of a phrase of a day.
func DayPhrase(day, phrase uint16) []byte {
	e := Entry{Class: Phrase, TS: Start(uint32(day)), Part: phrase}
	return e.Encode()
}

// Encode returns the entry's key. Its time must not be after [MaxTS].
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
	case ByTime, ByRoot:
		b = binary.BigEndian.AppendUint16(b, e.Resource)
		b = binary.BigEndian.AppendUint32(b, e.Namespace)
	case ByResource:
		b = binary.BigEndian.AppendUint32(b, e.Namespace)
	}
	return append(b, e.Verb)
}

// In returns the key of the same version in another class.
func (e Entry) In(class Class) []byte {
	e.Class = class
	return e.Encode()
}
