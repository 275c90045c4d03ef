// Package manifests contains only tests. They install deploy/ on a real API
// server, as a user would, and check that the manifests grant and configure
// only the needs of the recorder.
//
// The tests are here and not in deploy/, because only packages below pkg/ may
// use the test cluster.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package manifests
