// Package relation finds how Kubernetes objects relate to each other: which
// objects one of them names, and which ones it selects by their labels.
//
// # Ownership
//
// The package owns the table of rules. A rule has a name, which is part of the
// REST API, the resources whose objects have the relation, and those that it
// leads to. [Rules.Of] applies the rules to one object's JSON. [Rules.To]
// returns the rules that may lead to a resource, so that the objects to search
// are known.
//
// # Invariants
//
//   - No input makes the package panic. A value of a wrong type is as if it
//     were absent.
//   - The result is bounded: [Rules.Of] stops after a number of relations, and
//     reports that.
//   - An absent selector and an empty one mean what the API server takes them
//     for, which depends on the kind.
//   - A text that can't be the name of an object is not a reference.
//
// # Limits
//
// The package reads one object at a time. It does not know which objects exist,
// and which resource has a kind. Fields of custom resources are references if
// they follow the API conventions. These are guesses, which the caller has to
// drop if no such kind is recorded.
//
// It is internal to watchhistory: its API changes without notice.
package relation
