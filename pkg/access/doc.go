// Package access establishes who a caller of the REST API is, and what they may
// read. The cluster decides both.
//
// # Ownership
//
// A [Gate] owns the middleware of the secure listener, the clients of the
// reviews, and the caches of their answers. A [Caller] is one identity; the
// middleware puts it into the context of each request. An [Anonymous] is a
// caller without an identity, whose rights a configuration limits. Package
// serving, below this one, owns the certificates of the listener.
//
// # Identity
//
// A caller is identified as by an aggregated API server: by the front proxy's
// certificate and headers, by a client certificate, or by a bearer token. A
// TokenReview decides about tokens. The authorities of certificates are those
// of the ConfigMap kube-system/extension-apiserver-authentication. A request
// without a valid identity is refused. A caller who may impersonate another
// user in the cluster may do it here, with the same headers.
//
// # Invariants
//
//   - A request that failed decides nothing. If the API server can't be asked,
//     the error is history.Unavailable: the caller is neither let in nor
//     refused.
//   - A decision is at most 30 seconds old when it is used, and an identity at
//     most 10 seconds. The age counts from before the request to the API
//     server. A decision whose request took longer is not cached.
//   - Caches are bounded by number, and their keys by size.
//
// # Limits
//
// The package does not filter answers: it answers questions about resources
// and objects, for which package query has an interface. Subresources are
// never reviewed. It supports impersonation by the verb "impersonate", not the
// constrained one that Kubernetes 1.36 added. A revoked client certificate is
// valid until it expires, as in the API server.
//
// It is internal to watchhistory: its API changes without notice.
package access
