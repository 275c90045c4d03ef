// Package install installs a recorder in a cluster, and removes it.
//
// [Build] builds manifests from the kustomizations of deploy/, which are
// embedded in the program. [Cluster] applies and deletes them with the caller's
// own rights.
//
// # Invariants
//
//   - deploy/ is the only source of the manifests. Options are patches of it,
//     so [Build] without options returns what kubectl kustomize deploy/
//     returns.
//   - Nothing is changed before the API server has accepted all changes in a
//     dry run.
//   - A namespace that exists already is not changed. It is deleted only if
//     this package created it and nothing else is in it.
//   - The volume with the history is deleted only on request.
//
// # Limits
//
// The package names no flags. It does not check whether the recorder accepts a
// configuration, because that belongs to the recorder.
//
// It is internal to watchhistory: its API changes without notice.
package install
