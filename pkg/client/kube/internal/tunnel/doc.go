// Package tunnel carries TCP connections to a pod through the API server's
// port-forward, without opening a local port.
//
// # Ownership
//
// A [Tunnel] owns one multiplexed connection to the API server. Each connection
// that [Tunnel.Open] returns has two streams in it: one for the data, and one
// on which the kubelet reports errors.
//
// # Invariants
//
//   - An error that the kubelet reports ends only its own connection, as a
//     [*RefusedError].
//   - After such an error, the tunnel is not used for new connections, because
//     another pod may be the right one by now.
//   - Nothing is sent on a connection that the pod has closed. What was sent
//     before may still arrive there, and nothing reads it. That blocks other
//     streams at the kubelet, so the tunnel is not used for new connections
//     either.
//   - Each connection has its own deadlines.
//
// # Limits
//
// The protocol has no flow control per stream. A connection that is not read
// blocks the others in its tunnel, so readers must read or close.
//
// The package does not find pods, retry or log.
package tunnel
