// Package delivery finds the release that made a version of an object: of a
// Helm chart, an Argo CD application, a Flux kustomization or HelmRelease.
//
// It owns the labels, the annotations and the fields by which these tools mark
// what they write ([Of]).
//
// Invariant: only what the object itself says is reported. The marks stay when
// someone else changes the object. So a release is reported only if a field
// manager of the version is that of the tool.
//
// Anyone who may write the object may write the marks: a delivery is a hint for
// readers, and never decides what is recorded or who may read it.
//
// The package does no I/O.
//
// It is internal to watchhistory: its API changes without notice.
package delivery
