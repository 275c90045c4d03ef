// Package chaos breaks a recorder, the API server, or the way between them, while a load runs, and compares what was recorded
// with what the API server accepted.
//
// It owns the scenarios, which are its tests: the recorder's own binary, killed with SIGKILL; the API server killed and
// restarted; connections cut, held and lost; etcd compacted while the recorder is away; restarts on an idle cluster. Each is
// seeded, and says its seed.
//
// No scenario forgives a version that did not happen, one that is there twice, or one out of order. A missing version is
// forgiven only within an interval of resourceVersions in which nobody could have seen it, and only where the scenario makes
// one; and it has to lie in a gap that the recorder owns up to.
package chaos
