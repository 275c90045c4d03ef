// Package delta writes bytes as their difference to other bytes, made for versions of one JSON object: most of which is the same,
// but for timestamps, counts and conditions that change in place, grow or shrink a little.
//
// A patch is a sequence of pairs, an insertion and then a copy, each of which may be empty, until the target is complete:
//
//	insert  uvarint n, and n bytes as they are
//	copy    uvarint 2n, to copy n bytes of the base from where the reading stands; or
//	        uvarint 2n+1 and a varint, by how many bytes to move on in the base (or back) before they are copied
//
// The reading begins at the base's first byte. A copy moves it behind what was copied, and an insertion of n bytes by n: what is
// inserted is taken to stand in the place of as many bytes, which is so where a timestamp changes. The copy of the last pair is
// left out where the insertion completes the target. How long the target is, the patch does not tell.
//
// The invariants: [Apply] undoes [Encoder.Append] for any bytes, needs time and room in proportion to base, target and patch, and answers
// arbitrary bytes with an error or a target of the size asked for, never with a panic.
//
// Inserted bytes are not compressed. The database does that, together with what stands around them.
package delta
