package codec

import (
	"encoding/binary"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/internal/wire"
)

// The first bytes of the encodings of what is kept once an object or once a resource.
const (
	headV1       = 1 // without what follows RV's writers
	headV2       = 2
	identityV1   = 1
	checkpointV1 = 1
	stateV1      = 1
)

// Head is the newest version of an object, as much of it as the next version needs.
type Head struct {
	Object   uint64
	Revision uint64
	Alive    bool
	RV       string
	Writers  []uint64
	Last     Last
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
	b := []byte{headV2, 0}
	if h.Alive {
		b[1] = 1
	}
	b = binary.AppendUvarint(binary.AppendUvarint(b, h.Object), h.Revision)
	b = wire.AppendText(b, h.RV)
	b = binary.AppendUvarint(b, uint64(len(h.Writers)))
	for _, w := range h.Writers {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	b = binary.BigEndian.AppendUint64(binary.AppendUvarint(b, h.Last.TS), h.Last.Sum)
	return append(binary.AppendUvarint(b, uint64(h.Last.Parts)), h.Last.Chain)
}

// DecodeHead is the inverse of [Head.Encode].
func DecodeHead(b []byte) (Head, error) {
	r := wire.NewReader(b)
	encoding, alive := r.Byte(), r.Byte()
	if encoding < headV1 || encoding > headV2 {
		r.Fail("head of an unknown encoding")
	}
	if alive > 1 {
		r.Fail("bad flags")
	}
	h := Head{Alive: alive == 1, Object: r.Uvarint(), Revision: r.Uvarint(), RV: r.Text()}
	n := r.Count()
	for i := 0; i < n && r.Err() == nil; i++ {
		if w := r.Bytes(8); w != nil {
			h.Writers = append(h.Writers, binary.BigEndian.Uint64(w))
		}
	}
	if encoding >= headV2 {
		h.Last = Last{TS: r.Uvarint(), Sum: r.Fixed64(), Parts: r.Uint16(), Chain: r.Byte()}
	}
	return h, r.Done()
}

// Identity is what an object number stands for.
type Identity struct {
	Resource  uint16
	Namespace uint32
	Name      string
	UID       types.UID
}

// Encode returns the identity's bytes.
func (i *Identity) Encode() []byte {
	b := binary.AppendUvarint([]byte{identityV1}, uint64(i.Resource))
	b = binary.AppendUvarint(b, uint64(i.Namespace))
	return wire.AppendText(wire.AppendText(b, i.Name), i.UID)
}

// DecodeIdentity is the inverse of [Identity.Encode].
func DecodeIdentity(b []byte) (Identity, error) {
	r := wire.NewReader(b)
	r.Expect(identityV1, "identity of an unknown encoding")
	i := Identity{
		Resource: r.Uint16(), Namespace: r.Uint32(),
		Name: r.Text(), UID: types.UID(r.Text()),
	}
	return i, r.Done()
}

// EncodeCheckpoint returns the bytes of a checkpoint.
func EncodeCheckpoint(rv string, at time.Time) []byte {
	return wire.AppendTime(wire.AppendText([]byte{checkpointV1}, rv), at)
}

// DecodeCheckpoint is the inverse of [EncodeCheckpoint].
func DecodeCheckpoint(b []byte) (rv string, at time.Time, err error) {
	r := wire.NewReader(b)
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
	r := wire.NewReader(b)
	r.Expect(stateV1, "state of an unknown encoding")
	s := State{Last: r.Uvarint(), Object: r.Uvarint()}
	s.Resources, s.Namespaces, s.Kinds = r.Uint32(), r.Uint32(), r.Uint32()
	return s, r.Done()
}
