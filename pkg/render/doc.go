// Package render writes what a recorder answered for people and for programs: tables, diffs, JSON, YAML and names.
//
// It owns the look, and one invariant: nothing that came from a cluster reaches a terminal unescaped; but YAML, whose printer
// takes them for letters, has the characters that turn the X asks a recorder nor writes anything but the answer itself.
package render
