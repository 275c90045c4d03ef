package key

import "encoding/binary"

// head is the length of the beginning of every historical key: the letter, the
// day and the class.
const head = 1 + 2 + 1

// size returns the length of a class's keys in bytes, or 0 for an unknown
// class.
func (c Class) size() int {
	switch c {
	case Record:
		return head + 8 + 8
	case Body:
		return head + 8 + 8 + 2
	case ByTime, ByRoot, ByResource, ByNamespace:
		return head + 2 + 4 + 8 + 8 + 1
	case ByTarget, ByOwner:
		return head + 16 + 8 + 8 + 1
	case Phrase:
		return head + 2
	default:
		return 0
	}
}

// Decode is the inverse of [Entry.Encode]. Any other key is [ErrMalformed].
func Decode(k []byte) (Entry, error) {
	if len(k) < head || k[0] != History || len(k) != Class(k[3]).size() {
		return Entry{}, ErrMalformed
	}
	e := Entry{Class: Class(k[3])}
	r := fields(k[head:])
	if e.decode(&r); e.Class == Phrase {
		e.TS = Start(uint32(binary.BigEndian.Uint16(k[1:])))
	}
	if e.TS > MaxTS || Day(e.TS) != binary.BigEndian.Uint16(k[1:]) {
		return Entry{}, ErrMalformed
	}
	return e, nil
}

// decode decodes the fields after the head, in the order of the class.
func (e *Entry) decode(r *fields) {
	switch e.Class {
	case Record:
		e.Object, e.TS = r.u64(), r.u64()
	case Body:
		e.Object, e.TS, e.Part = r.u64(), r.u64(), r.u16()
	case ByTime, ByRoot:
		e.TS, e.Object, e.Resource, e.Namespace, e.Verb = r.u64(), r.u64(), r.u16(), r.u32(), r.u8()
	case ByResource:
		e.Resource, e.TS, e.Object, e.Namespace, e.Verb = r.u16(), r.u64(), r.u64(), r.u32(), r.u8()
	case ByNamespace:
		e.Resource, e.Namespace, e.TS, e.Object, e.Verb = r.u16(), r.u32(), r.u64(), r.u64(), r.u8()
	case ByTarget, ByOwner:
		e.Hash = Hash(r.next(len(e.Hash)))
		e.TS, e.Object, e.Verb = r.u64(), r.u64(), r.u8()
	case Phrase:
		e.Part = r.u16()
	}
}

// fields is the rest of a key. The caller has checked its length.
type fields []byte

func (f *fields) next(n int) []byte {
	b := (*f)[:n]
	*f = (*f)[n:]
	return b
}

func (f *fields) u8() byte    { return f.next(1)[0] }
func (f *fields) u16() uint16 { return binary.BigEndian.Uint16(f.next(2)) }
func (f *fields) u32() uint32 { return binary.BigEndian.Uint32(f.next(4)) }
func (f *fields) u64() uint64 { return binary.BigEndian.Uint64(f.next(8)) }
