// Package v1 defines version 1 of the recorder's REST API: its paths, its
// parameters, its headers, its fixed texts, and the JSON types of its answers.
// Server and client use the same definitions.
//
// docs/api.md says which part is fixed for existing clients. Everything else
// may be added to, but not changed.
//
// The package contains no logic, and imports no other package of this module.
package v1
