// Package exchange bounds HTTP exchanges: the time from sending a request to
// the end of its answer, and the size of the answer.
//
// It is the innermost layer of a transport, below the layers that obtain
// credentials. A credential plugin may have to log a person in, which no time
// limit may cover.
//
// Invariants:
//
//   - The answer to a request of [Stream] has no limit of time after its
//     headers.
//   - RoundTrip returns when its time is over or its context ends, even if the
//     layers below do not.
//   - The body of an answer with a status of 300 or more is read before
//     RoundTrip returns, and truncated at maxErrorBody.
//   - A larger body of any other answer is an error, never a shorter body.
//
// The package does not retry, decode or log.
package exchange
