// Package recorder turns watch frames into durable records. A checkpoint is never committed ahead of the records that it
// covers.
//
// It owns what a version means: whether a frame is new, which verb it stands for, who wrote it, what of it may be stored
// at all. One [Stream] for each resource decides that, by the head of every object that is alive, about 300 bytes
// each; the [Recorder] commits what all streams accepted, in their order, many records to a transaction.
//
// Its invariants: a version that the log holds is not recorded again, so that a sync over an unchanged cluster records
// nothing. Nothing that was accepted is dropped: queues block, a commit that keeps failing ends the recorder, and
// stopping commits what was accepted before. A Secret's values leave this package only as keyed hashes.
//
// It refuses to guess: a frame without a name, UID and resourceVersion is an error, and a sync that breaks off infers no
// deletion.
package recorder
