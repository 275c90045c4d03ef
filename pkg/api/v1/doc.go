// Package v1 holds the wire types of the REST API, version 1, and nothing else: both ends import it. docs/api.md tells
// which part of it is fixed for clients that exist already; every other field is additive.
package v1
