// Package manifests has no code. Its tests install deploy/ as a user would, on a real API server, and ask that what the
// manifests grant and configure is what the recorder needs and no more. They stand here, and not in deploy/, because only
// packages below pkg/ may use the test cluster.
package manifests
