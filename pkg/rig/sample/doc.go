// Package sample is what tests and benchmarks record where no cluster runs: the frames of watches, as an API server serves them,
// managedFields included.
//
// There are two sources. A [Cluster] makes frames up, as many as are wanted, of objects as large as those of real clusters; the
// same options give the same frames. [Recorded] holds a few thousand that a dev cluster's API server served.
//
// The made-up objects are written down in templates, one for each kind, which the tests hold to what the API's own types read and
// write. What is random in them (UIDs, hashes, addresses) is drawn for every object, since that compresses worst. A Cluster keeps
// some hundred bytes for each object that is alive, and no JSON, so that it can run beside what is measured.
package sample
