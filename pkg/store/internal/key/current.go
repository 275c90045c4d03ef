package key

import (
	"crypto/sha256"
	"encoding/binary"
)

// The keyspaces that belong to no day. To change one of these letters is to change the database's format.
const (
	heads        = 'h' // resource, hash of the UID, hash of the identity -> the head
	identities   = 'i' // object -> resource, namespace, name, UID
	names        = 'n' // hash of the name, resource, namespace, object -> nothing
	dictionaries = 'd' // dictionary, 't', text -> number; dictionary, 'n', number -> text
	checkpoints  = 'c' // resource -> checkpoint
	catalogue    = 'g' // group, plural -> the resource as discovery describes it
	ledger       = 'l' // resource, start -> gap
	standing     = 's' // 'o', object, time -> metadata; 'b', object, time, part -> body; 'w', hash of an owner's UID, object, time -> nothing
	meta         = 'm' // a letter -> what there is only one of
)

// Dictionary is a keyspace in which texts have numbers.
type Dictionary byte

// The dictionaries.
const (
	Resources  Dictionary = 'r' // group and plural
	Namespaces Dictionary = 'n'
	Kinds      Dictionary = 'k' // version and kind
)

// Format is the key of the database's format version.
func Format() []byte { return []byte{meta, 'f'} }

// State is the key of the log's last time and next numbers.
func State() []byte { return []byte{meta, 's'} }

// Floor is the key of the first day that is kept.
func Floor() []byte { return []byte{meta, 'd'} }

// Repaired is the key that a repair leaves for whoever opens the log next.
func Repaired() []byte { return []byte{meta, 'r'} }

// Once is what the keys begin with of which there is only one.
func Once() []byte { return []byte{meta} }

// Redaction is the key of the redaction key.
func Redaction() []byte { return []byte{meta, 'k'} }

// Text is the key of a text's number.
func Text(d Dictionary, text string) []byte {
	return append([]byte{dictionaries, byte(d), 't'}, text...)
}

// Number is the key of a number's text.
func Number(d Dictionary, n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{dictionaries, byte(d), 'n'}, n)
}

// Heads is what the keys of a resource's heads begin with.
func Heads(resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{heads}, resource)
}

// HeadsOf is what the keys of the heads of a resource's objects of one UID begin with. There is more than one only
// where objects have no UID.
func HeadsOf(resource uint16, uid string) []byte {
	h := Sum(uid)
	return append(Heads(resource), h[:8]...)
}

// Head is the key of one object's head.
func Head(resource uint16, namespace uint32, name, uid string) []byte {
	h := Sum(string(binary.BigEndian.AppendUint32(nil, namespace)), name, uid)
	return append(HeadsOf(resource, uid), h[:8]...)
}

// Identity is the key of what an object number stands for.
func Identity(object uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{identities}, object)
}

// Identities is what the keys of all identities begin with.
func Identities() []byte { return []byte{identities} }

// DecodeIdentity is the inverse of [Identity]. Anything else is [ErrMalformed].
func DecodeIdentity(k []byte) (object uint64, err error) {
	if len(k) != 1+8 || k[0] != identities {
		return 0, ErrMalformed
	}
	r := fields(k[1:])
	return r.u64(), nil
}

// Names is what the name index's keys of one name begin with.
func Names(name string) []byte {
	h := Sum(name)
	return append([]byte{names}, h[:8]...)
}

// Name is the name index's key of one object.
func Name(name string, resource uint16, namespace uint32, object uint64) []byte {
	b := binary.BigEndian.AppendUint16(Names(name), resource)
	b = binary.BigEndian.AppendUint32(b, namespace)
	return binary.BigEndian.AppendUint64(b, object)
}

// DecodeName returns what [Name] put behind the name's hash. Anything else is [ErrMalformed].
func DecodeName(k []byte) (resource uint16, namespace uint32, object uint64, err error) {
	if len(k) != 1+8+2+4+8 || k[0] != names {
		return 0, 0, 0, ErrMalformed
	}
	r := fields(k[9:])
	return r.u16(), r.u32(), r.u64(), nil
}

// Checkpoint is the key of a resource's checkpoint.
func Checkpoint(resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{checkpoints}, resource)
}

// Ledger is what the keys of all gaps begin with.
func Ledger() []byte { return []byte{ledger} }

// Gaps is what the keys of a resource's gaps begin with. They sort by the gaps' starts.
func Gaps(resource uint16) []byte {
	return binary.BigEndian.AppendUint16(Ledger(), resource)
}

// Gap is the key of the gap that starts at a time.
func Gap(resource uint16, start uint64) []byte {
	return binary.BigEndian.AppendUint64(Gaps(resource), start)
}

// DecodeGap is the inverse of [Gap]. Anything else is [ErrMalformed].
func DecodeGap(k []byte) (resource uint16, start uint64, err error) {
	if len(k) != 1+2+8 || k[0] != ledger {
		return 0, 0, ErrMalformed
	}
	r := fields(k[1:])
	return r.u16(), r.u64(), nil
}

// StandingOf is what the keys of an object's standing versions begin with. They sort by time.
func StandingOf(object uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{standing, byte(Record)}, object)
}

// Standing is the key of the metadata of an object's standing version.
func Standing(object, ts uint64) []byte {
	return binary.BigEndian.AppendUint64(StandingOf(object), ts)
}

// StandingBody is the key of a part of the body of an object's standing version.
func StandingBody(object, ts uint64, part uint16) []byte {
	b := binary.BigEndian.AppendUint64([]byte{standing, byte(Body)}, object)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(b, ts), part)
}

// DecodeStanding is the inverse of [Standing]. Anything else is [ErrMalformed].
func DecodeStanding(k []byte) (object, ts uint64, err error) {
	if len(k) != 2+8+8 || k[0] != standing || k[1] != byte(Record) {
		return 0, 0, ErrMalformed
	}
	r := fields(k[2:])
	return r.u64(), r.u64(), nil
}

// StandingOwnedBy is what the owner index's keys of the standing versions that have an owner begin with.
func StandingOwnedBy(owner Hash) []byte {
	return append([]byte{standing, byte(ByOwner)}, owner[:]...)
}

// StandingOwned is the owner index's key of an object's standing version.
func StandingOwned(owner Hash, object, ts uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(StandingOwnedBy(owner), object), ts)
}

// DecodeStandingOwned returns what [StandingOwned] put behind the owner's hash. Anything else is [ErrMalformed].
func DecodeStandingOwned(k []byte) (object, ts uint64, err error) {
	if len(k) != 2+len(Hash{})+8+8 || k[0] != standing || k[1] != byte(ByOwner) {
		return 0, 0, ErrMalformed
	}
	r := fields(k[2+len(Hash{}):])
	return r.u64(), r.u64(), nil
}

// Catalogue is what the catalogue's keys begin with.
func Catalogue() []byte { return []byte{catalogue} }

// Catalogued is the catalogue's key of one resource.
func Catalogued(group, plural string) []byte {
	return append(append(append(Catalogue(), group...), 0), plural...)
}

// Sum hashes texts such that no two lists of texts have the same input to the hash.
func Sum(texts ...string) Hash {
	var b []byte
	for _, t := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	sum := sha256.Sum256(b)
	return Hash(sum[:16])
}
