package codec

import (
	"encoding/binary"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// The first bytes of the values that exist once for each object or resource, or
// once in the log.
const (
	headV1       = 1
	identityV1   = 1 // without Created
	identityV2   = 2
	checkpointV1 = 1
	stateV1      = 1
)

// Head is the part of an object's newest version that the committer needs to
// add the next one.
type Head struct {
	Object        uint64
	Revision      uint64
	Alive         bool // the newest version isn't a deletion
	RV            string
	ManagedHashes []uint64
	Last          Last
	// Relations is that of the object's identity.
	Relations uint64
}

// Last is the part of an object's newest version that a delta against it needs.
type Last struct {
	TS    uint64 // nanoseconds since 1970; 0: unknown, after a repair or an import
	Sum   uint64 // of its JSON
	Parts uint16 // of its body
	Chain uint8  // number of deltas between it and its snapshot
}

// Encode returns the head's bytes.
func (h *Head) Encode() []byte {
	b := []byte{headV1, 0}
	if h.Alive {
		b[1] = 1
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, h.Object), h.Revision)
	b = binval.AppendText(b, h.RV)
	b = binary.AppendUvarint(b, uint64(len(h.ManagedHashes)))
	for _, w := range h.ManagedHashes {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	b = binary.BigEndian.AppendUint64(binary.AppendUvarint(b, h.Last.TS), h.Last.Sum)
	b = append(binary.AppendUvarint(b, uint64(h.Last.Parts)), h.Last.Chain)
	return binary.BigEndian.AppendUint64(b, h.Relations)
}

// DecodeHead is the inverse of [Head.Encode].
func DecodeHead(b []byte) (Head, error) {
	r := binval.NewReader(b)
	r.Expect(headV1, "head of an unknown encoding")
	alive := r.Byte()
	if alive > 1 {
		r.Fail("bad flags")
	}
	h := Head{Alive: alive == 1, Object: r.Uvarint(), Revision: r.Uvarint(), RV: r.Text()}
	n := r.Count()
	for i := 0; i < n && r.Err() == nil; i++ {
		if w := r.Bytes(8); w != nil {
			h.ManagedHashes = append(h.ManagedHashes, binary.BigEndian.Uint64(w))
		}
	}
	h.Last = Last{TS: r.Uvarint(), Sum: r.Fixed64(), Parts: r.Uint16(), Chain: r.Byte()}
	h.Relations = r.Fixed64()
	return h, r.Done()
}

// Identity is the object of an object number.
type Identity struct {
	Resource  uint16
	Namespace uint32 // 0: cluster-scoped
	Name      string
	UID       types.UID
	// Created is the object's creationTimestamp, in seconds since 1970. It is
	// 0 if it is unknown.
	Created int64

	// Owners and Regarding are those of the object's first version. Most other
	// versions have the same, and don't repeat them.
	Owners    []types.UID
	Regarding *history.Target
	// Relations is the result of [Relations]. It is not encoded.
	Relations uint64
}

// Encode returns the identity's bytes.
func (i *Identity) Encode() []byte {
	b := []byte{identityV2}
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(i.Resource)), uint64(i.Namespace))
	b = binval.AppendText(binval.AppendText(b, i.Name), i.UID)
	b = binary.AppendVarint(b, i.Created)
	if i.Regarding != nil {
		return appendRelations(append(b, 1), i.Owners, i.Regarding)
	}
	return appendRelations(append(b, 0), i.Owners, nil)
}

// DecodeIdentity is the inverse of [Identity.Encode]. It computes Relations. It
// also reads identities that were written without Created.
func DecodeIdentity(b []byte) (Identity, error) {
	r := binval.NewReader(b)
	encoding := r.Byte()
	if encoding != identityV1 && encoding != identityV2 {
		r.Fail("identity of an unknown encoding")
	}
	i := Identity{
		Resource: r.Uint16(), Namespace: r.Uint32(),
		Name: r.Text(), UID: types.UID(r.Text()),
	}
	if encoding == identityV2 {
		i.Created = r.Varint()
	}
	target := r.Byte()
	if target > 1 {
		r.Fail("bad flags")
	}
	i.Owners, i.Regarding = readRelations(r, target == 1)
	i.Relations = Relations(i.Owners, i.Regarding)
	return i, r.Done()
}

// Relations returns a checksum of owners and a target. It is never 0. Equal
// checksums mean that owners and target are equal.
func Relations(owners []types.UID, target *history.Target) uint64 {
	b := make([]byte, 0, 256)
	if target != nil {
		b = append(b, 1)
	}
	return max(Sum(appendRelations(b, owners, target)), 1)
}

// appendRelations appends owners and, unless it is nil, a target.
func appendRelations(b []byte, owners []types.UID, target *history.Target) []byte {
	b = binval.AppendTexts(b, owners)
	if target != nil {
		b = binval.AppendTarget(b, target)
	}
	return b
}

// readRelations reads owners and, if hasTarget is set, a target.
func readRelations(r *binval.Reader, hasTarget bool) (owners []types.UID, target *history.Target) {
	owners = binval.Texts[types.UID](r)
	if hasTarget {
		target = r.Target()
	}
	return owners, target
}

// EncodeCheckpoint returns the bytes of a checkpoint without its resource,
// which is in the key.
func EncodeCheckpoint(rv string, at time.Time) []byte {
	return binval.AppendTime(binval.AppendText([]byte{checkpointV1}, rv), at)
}

// DecodeCheckpoint is the inverse of [EncodeCheckpoint].
func DecodeCheckpoint(b []byte) (rv string, at time.Time, err error) {
	r := binval.NewReader(b)
	r.Expect(checkpointV1, "checkpoint of an unknown encoding")
	rv, at = r.Text(), r.Time()
	return rv, at, r.Done()
}

// State is the state from which the next commit continues: the time of the
// newest record, and the highest assigned numbers.
type State struct {
	Last       uint64 // nanoseconds since 1970
	Object     uint64
	Resources  uint32
	Namespaces uint32
	Kinds      uint32
}

// Encode returns the state's bytes.
func (s *State) Encode() []byte {
	b := binary.AppendUvarint(binary.AppendUvarint([]byte{stateV1}, s.Last), s.Object)
	for _, n := range []uint32{s.Resources, s.Namespaces, s.Kinds} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// DecodeState is the inverse of [State.Encode].
func DecodeState(b []byte) (State, error) {
	r := binval.NewReader(b)
	r.Expect(stateV1, "state of an unknown encoding")
	s := State{Last: r.Uvarint(), Object: r.Uvarint()}
	s.Resources, s.Namespaces, s.Kinds = r.Uint32(), r.Uint32(), r.Uint32()
	return s, r.Done()
}
