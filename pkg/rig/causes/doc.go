// Package causes checks on a whole control plane that the recorder's history
// tells causes before their effects.
//
// It owns one test, which lets Deployments roll out with a real controller
// manager and scheduler, and compares the order of all records with the order
// of the writes in etcd. The test has a long form of 10,000 rollouts.
package causes
