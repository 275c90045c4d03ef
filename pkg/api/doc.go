// Package api serves the recorder's REST API over HTTP.
//
// It owns the parameters, the status codes and the wire form of answers. Its invariant is the contract that docs/api.md
// calls fixed: its paths, its texts and its fields stay as they are; whatever is new is added beside them, and an error in
// something new is JSON.
//
// It holds no logic of queries, and it never redirects: clients join base URLs and paths as they like.
package api
