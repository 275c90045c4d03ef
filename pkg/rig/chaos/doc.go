// Package chaos runs failure scenarios: while a load runs, they kill the
// recorder or the API server, or break the connection between them. Then they
// compare the records with the writes that the API server accepted.
//
// It owns the scenarios, which are its tests. They kill the recorder's binary
// with SIGKILL, and kill and restart the API server. They close, block and
// black-hole connections, and compact etcd while the recorder is down. They
// change CRDs and permissions, and restart the recorder on an idle cluster.
// Each scenario logs its seed.
//
// Invariant: no scenario accepts a version that did not happen, is recorded
// twice, or is out of order. A version may be missing only if it is in an
// interval of resourceVersions that no watch could deliver, and in a gap that
// the recorder reports.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package chaos
