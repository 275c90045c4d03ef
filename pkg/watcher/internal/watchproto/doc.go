// Package watchproto cuts watch streams and list pages into the JSON of single objects, without decoding the objects.
//
// Its invariant: an object's bytes leave it as the server sent them, valid and whole. A line that the connection cut off
// is an error and never a shorter object. It looks no further into an object than its kind and resourceVersion.
package watchproto
