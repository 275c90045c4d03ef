// Package tunnel carries TCP connections to a pod through the API server's port-forward, without a listening local port.
//
// It owns one multiplexed connection per [Tunnel], and in it two streams for each connection that [Tunnel.Open] gives out:
// one for the bytes, and one on which the kubelet reports why there are none.
//
// Its invariants: what the kubelet reports ends that one connection, with a [*RefusedError] as its error, and no other; a tunnel
// through which a refusal came is not used for new connections, because the pod behind it may be another one by now. Deadlines
// hold for each connection by itself. A connection that is not read holds back the others in its tunnel, since the
// protocol has no flow control of its own: readers must read or close.
//
// It refuses to find pods, to retry, and to log.
package tunnel
