package key

import (
	"crypto/sha256"
	"encoding/binary"
)

// The keyspaces that don't belong to a day. Changing a letter changes the
// database's format.
const (
	heads        = 'h' // resource, hash of the UID, hash of the identity -> head
	identities   = 'i' // object -> identity
	names        = 'n' // hash of the name, resource, namespace, object -> nothing
	dictionaries = 'd' // dictionary, 't', text -> number; dictionary, 'n', number -> text
	checkpoints  = 'c' // resource -> checkpoint
	catalogue    = 'g' // group, plural -> resource as discovery describes it
	gaps         = 'l' // resource, start -> gap
	baselines    = 's' // 'o', 'b' or 'w'; see Baseline, BaselineBody and BaselineOwner
	globals      = 'm' // letter -> a value that exists once
)

// Dictionary is a keyspace that numbers texts.
type Dictionary byte

// The dictionaries.
const (
	Resources  Dictionary = 'r' // group and plural
	Namespaces Dictionary = 'n'
	Kinds      Dictionary = 'k' // API version and kind
)

// Globals returns the prefix of the keys that exist once in the log.
func Globals() []byte { return []byte{globals} }

// Format returns the key of the database's format.
func Format() []byte { return []byte{globals, 'f'} }

// State returns the key of the log's state.
func State() []byte { return []byte{globals, 's'} }

// RetentionFloor returns the key of the first day that is kept.
func RetentionFloor() []byte { return []byte{globals, 'd'} }

// RootsSince returns the key of the time from which on [ByRoot] has entries.
func RootsSince() []byte { return []byte{globals, 'c'} }

// RepairPending returns the key that a repair leaves if the next opening of the
// log has to complete it.
func RepairPending() []byte { return []byte{globals, 'r'} }

// Redaction returns the key of the redaction key.
func Redaction() []byte { return []byte{globals, 'k'} }

// Text returns the key of a text's number.
func Text(d Dictionary, text string) []byte {
	return append([]byte{dictionaries, byte(d), 't'}, text...)
}

// Number returns the key of a number's text.
func Number(d Dictionary, n uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte{dictionaries, byte(d), 'n'}, n)
}

// AllHeads returns the prefix of the keys of all heads.
func AllHeads() []byte { return []byte{heads} }

// Heads returns the prefix of the keys of a resource's heads.
func Heads(resource uint16) []byte {
	return binary.BigEndian.AppendUint16(AllHeads(), resource)
}

// HeadsOf returns the prefix of the keys of the heads of a resource's objects
// with a UID. There are several only if objects have no UID.
func HeadsOf(resource uint16, uid string) []byte {
	h := Sum(uid)
	return append(Heads(resource), h[:8]...)
}

// Head returns the key of an object's head.
func Head(resource uint16, namespace uint32, name, uid string) []byte {
	h := Sum(string(binary.BigEndian.AppendUint32(nil, namespace)), name, uid)
	return append(HeadsOf(resource, uid), h[:8]...)
}

// Identities returns the prefix of the keys of all identities.
func Identities() []byte { return []byte{identities} }

// Identity returns the key of an object's identity.
func Identity(object uint64) []byte {
	return binary.BigEndian.AppendUint64(Identities(), object)
}

// DecodeIdentity is the inverse of [Identity]. Any other key is [ErrMalformed].
func DecodeIdentity(k []byte) (object uint64, err error) {
	if len(k) != 1+8 || k[0] != identities {
		return 0, ErrMalformed
	}
	r := fields(k[1:])
	return r.u64(), nil
}

// Names returns the prefix of the keys of all objects with a name.
func Names(name string) []byte {
	h := Sum(name)
	return append([]byte{names}, h[:8]...)
}

// Name returns an object's key in the index of names.
func Name(name string, resource uint16, namespace uint32, object uint64) []byte {
	b := binary.BigEndian.AppendUint16(Names(name), resource)
	b = binary.BigEndian.AppendUint32(b, namespace)
	return binary.BigEndian.AppendUint64(b, object)
}

// DecodeName returns the fields of a key of [Name], except for the name. Any
// other key is [ErrMalformed].
func DecodeName(k []byte) (resource uint16, namespace uint32, object uint64, err error) {
	if len(k) != 1+8+2+4+8 || k[0] != names {
		return 0, 0, 0, ErrMalformed
	}
	r := fields(k[9:])
	return r.u16(), r.u32(), r.u64(), nil
}

// Checkpoint returns the key of a resource's checkpoint.
func Checkpoint(resource uint16) []byte {
	return binary.BigEndian.AppendUint16([]byte{checkpoints}, resource)
}

// AllGaps returns the prefix of the keys of all gaps.
func AllGaps() []byte { return []byte{gaps} }

// Gaps returns the prefix of the keys of a resource's gaps. They sort by the
// gaps' starts.
func Gaps(resource uint16) []byte {
	return binary.BigEndian.AppendUint16(AllGaps(), resource)
}

// Gap returns the key of the gap that starts at a time.
func Gap(resource uint16, start uint64) []byte {
	return binary.BigEndian.AppendUint64(Gaps(resource), start)
}

// DecodeGap is the inverse of [Gap]. Any other key is [ErrMalformed].
func DecodeGap(k []byte) (resource uint16, start uint64, err error) {
	if len(k) != 1+2+8 || k[0] != gaps {
		return 0, 0, ErrMalformed
	}
	r := fields(k[1:])
	return r.u16(), r.u64(), nil
}

// AllBaselines returns the prefix of the keys of all baselines' metadata.
func AllBaselines() []byte { return []byte{baselines, byte(Record)} }

// BaselinesOf returns the prefix of the keys of the metadata of an object's
// baselines. They sort by time.
func BaselinesOf(object uint64) []byte {
	return binary.BigEndian.AppendUint64(AllBaselines(), object)
}

// Baseline returns the key of a baseline's metadata.
func Baseline(object, ts uint64) []byte {
	return binary.BigEndian.AppendUint64(BaselinesOf(object), ts)
}

// DecodeBaseline is the inverse of [Baseline]. Any other key is [ErrMalformed].
func DecodeBaseline(k []byte) (object, ts uint64, err error) {
	if len(k) != 2+8+8 || k[0] != baselines || k[1] != byte(Record) {
		return 0, 0, ErrMalformed
	}
	r := fields(k[2:])
	return r.u64(), r.u64(), nil
}

// BaselineBody returns the key of a part of a baseline's body.
func BaselineBody(object, ts uint64, part uint16) []byte {
	b := binary.BigEndian.AppendUint64([]byte{baselines, byte(Body)}, object)
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(b, ts), part)
}

// BaselinesOwnedBy returns the prefix of the keys in the index of owners of the
// baselines that have an owner.
func BaselinesOwnedBy(owner Hash) []byte {
	return append([]byte{baselines, byte(ByOwner)}, owner[:]...)
}

// BaselineOwner returns a baseline's key in the index of owners.
func BaselineOwner(owner Hash, object, ts uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(BaselinesOwnedBy(owner), object), ts)
}

// DecodeBaselineOwner returns the fields of a key of [BaselineOwner], except
// for the owner. Any other key is [ErrMalformed].
func DecodeBaselineOwner(k []byte) (object, ts uint64, err error) {
	if len(k) != 2+len(Hash{})+8+8 || k[0] != baselines || k[1] != byte(ByOwner) {
		return 0, 0, ErrMalformed
	}
	r := fields(k[2+len(Hash{}):])
	return r.u64(), r.u64(), nil
}

// Catalogue returns the prefix of the catalogue's keys.
func Catalogue() []byte { return []byte{catalogue} }

// CatalogueEntry returns a resource's key in the catalogue.
func CatalogueEntry(group, plural string) []byte {
	return append(append(append(Catalogue(), group...), 0), plural...)
}

// Sum returns the hash of a list of texts. It hashes each text with its length,
// so that ("ab", "c") differs from ("a", "bc").
func Sum(texts ...string) Hash {
	var b []byte
	for _, t := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(t))), t...)
	}
	sum := sha256.Sum256(b)
	return Hash(sum[:16])
}
