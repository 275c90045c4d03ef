// Package diff compares two versions of a Kubernetes object, both as decoded JSON, and says in words what changed.
//
// It owns three things: the structural difference ([Objects]), in which list items meet by what identifies them and not
// by their position; which of the changes are noise ([Change.Noise]); and the one-line summary ([Summary]).
//
// A difference is complete: the old object and its changes determine the new one, the order of lists included. Noise is
// marked and never left out. The package knows no schema, does no I/O and keeps no reference to its arguments other than
// the values inside the changes that it returns; whoever calls it must not modify those.
package diff
