// Package gap owns the rules of gaps: the intervals in which changes of a
// resource may be missing.
//
// A gap is durable or live. A durable gap is in the log. A list opens it in the
// commit that withdraws the checkpoint, and closes it in the commit of the next
// checkpoint. [Track] holds these rules for one stream. A live gap is computed
// when it is requested: the resource is not observed now, but its watch may
// still resume without a loss. [Live] adds live gaps to those of the log.
//
// A gap has one reason. [Causes] chooses it among the causes for which a watch
// failed since anything was observed. [Ignored] provides it if the
// configuration ignored the resource.
//
// Invariant: a gap starts no later than the first change that may be missing,
// and ends no earlier than the last one. It may be wider.
//
// The package does not watch, and it does not write to the log. The watcher
// reports causes and states, and the recorder commits the gaps.
//
// It is internal to watchhistory: its API changes without notice.
package gap
