// Package render writes recorded versions as tables, diffs, JSON, YAML and
// names.
//
// It owns the layout of the output and one invariant: text from a cluster never
// reaches a terminal unescaped. JSON, YAML and names depend on
// [Options.Terminal]: in a pipe, they contain every character that their syntax
// allows.
//
// The package takes everything about its surroundings from [Options]: colours,
// width, time and time zone. It does not query a recorder, and it writes
// nothing but the output itself.
//
// # Files
//
//   - printer.go: options, styles and times
//   - table*.go: the tables of the commands, and the gap rows in them
//   - diff*.go: structural and unified diffs
//   - version.go: one version, with what changed around it
//   - blame.go: the fields of an object with the versions that set them
//   - log.go: the versions of one object, as git log shows commits
//   - stat.go: objects that differ between two times
//   - document*.go: JSON, YAML and names
//
// It is internal to watchhistory: its API changes without notice.
package render
