// Package symptom finds what is wrong with an object in one version ([Of]), and
// how far the version is from what its spec requires ([HealthOf]). Additional
// rules are CEL expressions ([Compile]).
//
// It owns the table of rules, and the codes by which symptoms are grouped.
// docs/symptoms.md lists them. Package summary has a longer text of the same
// status, which is searched for words; a Symptom is one short phrase.
//
// Invariant: no object makes it panic, whatever its JSON is. A value of an
// unexpected type is the same as a missing one. Texts are short and have one
// line.
//
// A healthy object has no symptoms, and neither does one that starts normally.
// The package reads one version, and no other objects: a Service that selects
// no pods has no symptom, but its EndpointSlice has.
//
// It does no I/O, and it never reads the clock.
//
// It is internal to watchhistory: its API changes without notice.
package symptom
