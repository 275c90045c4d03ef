// Package openapi checks the OpenAPI document of the REST API with a parser
// that tools for OpenAPI use. It has no code. What the document says is checked
// by the tests of pkg/api.
package openapi
