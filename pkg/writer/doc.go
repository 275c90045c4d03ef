// Package writer classifies field managers: people, pipelines and operators,
// and the cluster itself. It also names them as people do.
//
// It knows names only. The API server records the name that a client gives
// itself, and does not verify it: a class is a hint for readers, and never
// decides what is recorded or who may read it.
//
// It does no I/O.
//
// It is internal to watchhistory: its API changes without notice.
package writer
