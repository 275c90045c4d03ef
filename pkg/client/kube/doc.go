// Package kube finds a recorder in a cluster, and connects a client to it
// through the API server.
//
//	c, err := kube.Connect(ctx, kube.Options{RESTConfig: config})
//
// [Connect] looks for the recorder's Service by its label, or for its pods if
// there is no Service. It then forwards a port to a pod, without opening a
// local port, or uses the API server's proxy. See [Mode].
//
// A Service with a port named https belongs to a recorder that identifies its
// callers. It receives the credentials of the cluster's configuration, over TLS
// in the tunnel. [Direct] does the same at a URL.
//
// # Ownership
//
// A [Client] owns its connections to the cluster. All requests share one
// tunnel. When the tunnel breaks or its pod refuses connections, the next
// request opens another one, to the pod that is ready by then.
//
// # Invariants
//
//   - Every exchange with the API server is bounded in time and size. The time
//     in which a person logs in to the cluster does not count.
//   - Credentials are sent only to a recorder whose certificate was verified.
//     The authorities are given, or published by the recorder in a ConfigMap.
//     Credentials are never sent to another host or without TLS, whatever the
//     Service, the pod or an answer claims.
//   - Nothing is written to stdout or stderr, also not by client-go.
//   - Every error that a person can do something about is a [history.Error]
//     whose cause is a [*ConnectError].
//
// # Limits
//
// The package does not check permissions in advance. It tries, and reports what
// was denied. It trusts the ConfigMap: a user who may write it can make clients
// trust another recorder. It names no flag and no command: a program turns a
// [*ConnectError] into advice.
package kube
