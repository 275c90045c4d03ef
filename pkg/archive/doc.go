// Package archive is the file that a part of a history is exported to, and what answers questions from such a file.
//
// The file is a format of its own, of versions and gaps and not of a database's keys: whatever the database becomes, an export stays
// readable. It is described byte by byte in docs/storage-format.md. [Write] writes one of an excerpt, and [Open] makes an excerpt
// of one and puts it into a log of its own, in a temporary directory, which answers what the original would have answered.
//
// The invariant: what is read is what was written, all of it, or an error. Nothing is answered from a file before it has been read
// to its end.
//
// It reads no object, and knows of no secrets: values were hashed when they were recorded, and the key stays where it is.
package archive
