package codec

import (
	"encoding/binary"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

// The first bytes of the encodings of what is kept once an object or once a resource.
const (
	headV1       = 1 // without what follows RV's writers
	headV2       = 2 // without the sum of relations
	headV3       = 3
	identityV1   = 1 // without relations
	identityV2   = 2
	checkpointV1 = 1
	stateV1      = 1
)

// Head is the newest version of an object, as much of it as the next version needs.
type Head struct {
	Object        uint64
	Revision      uint64
	Alive         bool
	RV            string
	ManagedHashes []uint64
	Last          Last
	// Relations is that of the object's identity.
	Relations uint64
}

// Last is what a delta against an object's newest version needs to know of that.
type Last struct {
	TS    uint64 // in nanoseconds since 1970; 0: not known
	Sum   uint64 // of its JSON
	Parts uint16 // of its body
	Chain uint8  // how many deltas lead to it from a snapshot
}

// Encode returns the head's bytes.
func (h *Head) Encode() []byte {
	b := []byte{headV3, 0}
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
	encoding, alive := r.Byte(), r.Byte()
	if encoding < headV1 || encoding > headV3 {
		r.Fail("head of an unknown encoding")
	}
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
	if encoding >= headV2 {
		h.Last = Last{TS: r.Uvarint(), Sum: r.Fixed64(), Parts: r.Uint16(), Chain: r.Byte()}
	}
	if encoding >= headV3 {
		h.Relations = r.Fixed64()
	}
	return h, r.Done()
}

// Identity is what an object number stands for.
type Identity struct {
	Resource  uint16
	Namespace uint32
	Name      string
	UID       types.UID

	// The owners and the target of the object's first version, which are mostly those of all its versions, and their sum; 0: they
	// are not known.
	Owners    []types.UID
	Regarding *history.Target
	Relations uint64
}

// Encode returns the identity's bytes.
func (i *Identity) Encode() []byte {
	b := []byte{identityV2}
	if i.Relations == 0 {
		b[0] = identityV1
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(i.Resource)), uint64(i.Namespace))
	b = binval.AppendText(binval.AppendText(b, i.Name), i.UID)
	if i.Relations == 0 {
		return b
	}
	if i.Regarding != nil {
		return appendRelations(append(b, 1), i.Owners, i.Regarding)
	}
	return appendRelations(append(b, 0), i.Owners, nil)
}

// DecodeIdentity is the inverse of [Identity.Encode].
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
		target := r.Byte()
		if target > 1 {
			r.Fail("bad flags")
		}
		i.Owners, i.Regarding = relations(r, target == 1)
		i.Relations = Relations(i.Owners, i.Regarding)
	}
	return i, r.Done()
}

// Relations returns a sum of owners and a target: where it is that of an object's identity, they are as well. It is never 0.
func Relations(owners []types.UID, target *history.Target) uint64 {
	b := make([]byte, 0, 256)
	if target != nil {
		b = append(b, 1)
	}
	return max(Sum(appendRelations(b, owners, target)), 1)
}

// appendRelations appends owners and, where there is one, a target.
func appendRelations(b []byte, owners []types.UID, target *history.Target) []byte {
	b = binval.AppendTexts(b, owners)
	if target != nil {
		b = binval.AppendTarget(b, target)
	}
	return b
}

func relations(r *binval.Reader, target bool) (owners []types.UID, of *history.Target) {
	owners = binval.Texts[types.UID](r)
	if target {
		of = r.Target()
	}
	return owners, of
}

// EncodeCheckpoint returns the bytes of a checkpoint.
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

// State is what the log goes on from: the time of its last record and the highest numbers that it gave out.
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
