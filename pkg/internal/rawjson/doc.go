// Package rawjson walks over the bytes of a JSON document without decoding it.
//
// A [Scanner] finds the members of objects, the spans of values and the text of
// strings. [Find] finds the values at paths. [Apply] edits a document: it
// removes or replaces spans, and every other byte stays.
//
// It owns the grammar of RFC 8259. Whatever a Scanner of [Scan] has walked over
// without an error is valid JSON, as encoding/json defines it, including its
// limit of nesting. No input makes it panic.
//
// It does not decode: numbers stay bytes, objects don't become maps, and all
// repeated keys are reported.
package rawjson
