// Package render writes what a recorder answered for people and for programs: tables, diffs, JSON, YAML and names.
//
// It owns the look, and one invariant: nothing that came from a cluster reaches a terminal unescaped. It decides nothing
// about its surroundings: the caller says whether there are colours, how wide a line may be and what time it is. It
// neither asks a recorder nor writes anything but the answer itself.
package render
