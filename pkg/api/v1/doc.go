// Package v1 defines version 1 of the recorder's REST API: its paths, its
// parameters, its headers, its fixed texts, and the JSON types of its answers.
// Server and client use the same definitions.
//
// docs/api.md lists the part that is fixed for existing clients. Fields may be
// added to the rest, but existing ones are not changed.
//
// The package contains no logic, and imports no other package of this module.
package v1
