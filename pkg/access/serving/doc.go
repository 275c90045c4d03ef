// Package serving provides the certificate of the secure listener, and
// publishes the authorities by which clients verify it.
//
// [Certificates] owns the current certificate. It reads the certificate from
// files, or makes it with an authority of its own, whose key is only in memory.
// It also owns the ConfigMap with the bundle of authorities, in the recorder's
// namespace.
//
// Its invariant: the certificate that is served is always signed by an
// authority of the current bundle, if the package made it. A new authority is
// in the bundle for a day before it signs, so that clients have it by then.
//
// Limits: a restart makes another authority. A user who may write the ConfigMap
// can replace the authorities that clients trust. Given files are not checked
// against the names of the service. Clients' certificates are requested and not
// verified: package access verifies them for each request.
//
// It is internal to watchhistory: its API changes without notice.
package serving
