// Package tools checks what this repository is packaged and released with. It has no code: its tests hold the Dockerfile,
// goreleaser's and krew's files and GitHub's against the parsers of those who will read them, and against the tree. It is
// a module of its own so that none of that is among the product's dependencies; tools/lint, another, pins the linter.
package tools
