// Package client speaks the recorder's REST API, and reaches a recorder that runs in a cluster.
//
// It owns three things: the typed [Client]; finding the recorder's Service ([Find]); and the roads to it ([Connect]): a URL,
// a port-forward through the API server that opens no local port, or the API server's service proxy.
//
// Its invariants: an answer is either decoded whole or an error, never cut short; its size is bounded; whatever does not
// answer like a recorder is called so. Every failure that a person can do something about is one [*Error] whose message
// says what to do next.
//
// It refuses to check permissions before using them: it tries, and explains what was refused. It imports the domain and the
// wire types, and nothing else of the server. It writes nothing to stdout or stderr.
package client
