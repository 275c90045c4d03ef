// Package rawjson walks over JSON bytes without decoding them: it finds the members of objects, the spans of values and
// the text of strings, and edits documents by cutting spans out or replacing them, so that every other byte stays.
//
// It owns the grammar of RFC 8259. Whatever a [Scanner] has walked over without an error is valid JSON, by the same
// verdict as encoding/json, its limit of nesting included. It never panics on any input.
//
// It refuses to decode: numbers stay bytes, objects become no maps, and repeated keys are all reported.
package rawjson
