// Package exchange bounds HTTP exchanges: the time from sending a request to the end of its answer, and the size of the
// answer.
//
// It is meant to be the innermost layer of a transport, below the layers that obtain credentials. A credential plugin may
// have to log a person in, which takes as long as it takes; no time limit may cover that.
//
// Invariants: RoundTrip returns once its time is up or its context ends, whatever the layers below do. The body of an
// answer with a status of 300 and above is read before RoundTrip returns, and is cut at [maxErrorBody]. A larger body of
// any other answer is an error, never a shorter body.
//
// It does not retry, decode or log.
package exchange
