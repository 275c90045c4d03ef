// Package fold tells root changes from their consequences.
//
// A root change is what people look for after an incident: a person or a
// program changed what the cluster should be, or a node's condition changed.
// All other versions follow from root changes: status, owned objects, Events.
//
// [ClassOf] decides it for one version, when that is recorded. It depends only
// on the version and the previous one. If nothing proves a consequence, the
// version is a root change, so that no cause is hidden.
//
// The package does no I/O.
//
// It is internal to watchhistory: its API changes without notice.
package fold
