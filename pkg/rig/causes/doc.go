// Package causes checks the order of records with a whole control plane: an
// object is recorded after its owner, and an Event after the object it regards.
//
// It owns one test, which rolls out Deployments with a real controller manager
// and scheduler, and compares the order of all records with the order of the
// writes in etcd. The test has a long form of 10,000 rollouts.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package causes
