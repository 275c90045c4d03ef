// Package query answers questions about the log: timelines, one object's history, and the Kubernetes Events regarding an
// object and what it owned.
//
// It owns how a question becomes scans, and how a scan's records become versions with a summary of what changed and, where
// the object is in trouble, the reason. Its invariant: a filter applies before a page is cut, so that a page that says
// that there is no more leaves nothing out. Every answer is bounded, in records and in bytes, and so is the effort of
// counting; where a bound was met, the answer says so.
//
// It refuses to guess: a resource is known by the names that the catalogue has for it, and by no others. It knows no HTTP
// and no storage engine.
package query
