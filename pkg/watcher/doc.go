// Package watcher finds out what an API server serves, and lists and watches it from a checkpoint: one Watcher per
// resource, and a Set that keeps one running for each resource that is configured or that a CRD defines.
//
// Its invariant: the resourceVersion that a watch resumes from moves on only after the [Sink] took what lay before it.
// Every frame that the server sends reaches the sink once, in the server's order, or the watcher ends with the sink's
// error; a full list that breaks off is reported as broken off and never as a short list.
//
// It refuses to decode objects, to keep them, or to compare them: a frame is passed on as bytes, and what a list means
// for objects that are missing from it is the sink's business. It refuses to drop frames: a sink that blocks stops the
// reading of the watch. A resource that is not served or may not be read is waited for; it is never an empty list.
package watcher
