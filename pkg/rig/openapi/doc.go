// Package openapi makes the OpenAPI document of the REST API, and checks
// answers against it.
//
// It owns the list of endpoints: which parameters each one has, and which
// statuses, headers and bodies it answers with. Names and texts are not here.
// They are those of package v1: the values of its constants, the fields of its
// types, and its comments.
//
// pkg/api/openapi.json is the output of [Build]. A test of package api makes it
// again and fails if it differs. Other tests pass real answers to a [Checker].
//
// The document uses no feature that generators of clients often lack: no
// unions, no conditions, no callbacks. Only tests import the package. It is
// internal to watchhistory: its API changes without notice.
package openapi
