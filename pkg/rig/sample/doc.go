// Package sample provides watch events for tests and benchmarks without a
// cluster. They are as an API server serves them, including managedFields.
//
// There are two sources. A [Cluster] generates any number of watch events, with
// objects as large as those of real clusters. The same options give the same
// watch events. [Recorded] returns a few thousand that the API server of a dev
// cluster served.
//
// Generated objects are templates with values, one template for each kind.
// Tests check that the API's own types read and write them the same way. Random
// values (UIDs, hashes, addresses) are drawn for each object, because they
// compress worst. A Cluster keeps some hundred bytes for each existing object,
// and no JSON, so that it can run next to what is measured.
//
// Only tests import it. It is internal to watchhistory: its API changes without
// notice.
package sample
