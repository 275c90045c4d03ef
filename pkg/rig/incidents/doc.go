// Package incidents checks that the cause of an incident is found.
//
// It owns a corpus of incidents in four classes: rollouts, configuration,
// infrastructure and people. Each was played on a real control plane, among
// Deployments that change all the time, and is kept in testdata as an export
// with the right answer. Some have no cause in the record. The test asks why
// the object of each incident fails, and compares the ranks with the answers.
//
// With -record, it plays all incidents on a dev cluster, and writes testdata.
// Controllers, scheduler and admission are real. The kubelets are simulated,
// because pods must fail as each incident requires.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package incidents
