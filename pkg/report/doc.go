// Package report puts an incident on one page.
//
// [Gather] reads what a report contains from a recorder, or from anything else
// that serves its REST API. [WriteMarkdown] writes the report for comments and
// job summaries, and [WriteHTML] as a page of one file. The writers send no
// queries, so a [Report] can be written several times.
//
// # Invariants
//
//   - A report begins with what is not recorded. What was left out for its size
//     is counted.
//   - Numbers and words are those of the commands get, why and diff: they share
//     the functions of package render and of this package.
//   - Text from the cluster stays text. In Markdown it forms no link, mention,
//     markup or further cell. In HTML it is data that no parser of markup or
//     scripts reads.
//   - The size of a report is bounded, however much it contains.
//
// The package does not format for terminals, and does not judge: which change
// is likely the cause is the answer of the recorder.
//
// It is internal to watchhistory: its API changes without notice.
package report
