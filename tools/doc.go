// Package tools checks the files with which the project is packaged and
// released.
//
// It has no code. Its tests load the Dockerfile and the configurations of
// goreleaser, krew and GitHub with the parsers of the programs that read them,
// and compare them with the repository.
//
// It is a module of its own, so that these parsers are not dependencies of the
// product. tools/lint and tools/vuln are further modules: they pin the linter
// and govulncheck. tools/openapi is another one, because its parser needs newer
// versions of modules that goreleaser uses.
package tools
