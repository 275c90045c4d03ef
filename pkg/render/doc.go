// Package render writes what a recorder answered for people and for programs: tables, diffs, JSON, YAML and names.
//
// It owns the look, and one invariant: nothing that came from a cluster reaches a terminal unescaped. In documents and names the
// caller says whether it is a terminal: in a pipe, YAML and names have all characters that their syntax allows, as they are. The
// package decides nothing about its surroundings: the caller says whether there are colours, how wide a line may be and what
// time it is. It neither asks a recorder nor writes anything but the answer itself.
package render
