// Package why ranks the root changes that may have caused a symptom.
//
// It owns the score: how near a change is to the object with the symptom, how
// long before the onset it happened, whether such a change can cause such a
// symptom, who made it, and how rare it is. The score orders candidates, and is
// not a probability. Its parts are reasons that people can check: what speaks
// for a candidate and what against it.
//
// Invariant: the score depends on the kinds of objects, changes, symptoms and
// writers, and never on a name that a user chose.
//
// The package does no I/O.
//
// It is internal to watchhistory: its API changes without notice.
package why
