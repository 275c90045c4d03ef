// Package delta encodes bytes as their difference to other bytes. It is made
// for versions of one JSON object, which are equal except for timestamps,
// counts and conditions.
//
// A patch is a sequence of pairs of an insertion and a copy, until the target
// is complete. Either may be empty:
//
//	insert  uvarint n, then n bytes
//	copy    uvarint 2n: copy n bytes of the base from the base position; or
//	        uvarint 2n+1 and a varint: move the base position by the varint,
//	        then copy n bytes
//
// The base position begins at the base's first byte. A copy moves it to the end
// of the copied bytes. An insertion of n bytes moves it by n: inserted bytes
// mostly replace as many bytes of the base, such as those of a timestamp.
// If an insertion completes the target, the copy of the last pair is omitted. A
// patch doesn't contain the length of its target.
//
// Invariants: [Apply] restores the target of [Encoder.Append] for any bytes.
// Time and memory are proportional to the lengths of base, target and patch.
// For arbitrary bytes, Apply returns an error or a target of the requested
// length. It never panics.
//
// Inserted bytes are not compressed. The database compresses them with their
// neighbors.
package delta
