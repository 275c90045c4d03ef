// Package watchproto splits watch streams and list pages into the JSON of
// single objects, without decoding them.
//
// Invariant: it returns the bytes of an object as the API server sent them,
// valid and complete. A truncated line is an error, never a shorter object. The
// package reads only the kind and the resourceVersion of an object.
package watchproto
