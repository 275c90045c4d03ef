package history

import (
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Extent is a part of history: a range of time, of all that is recorded or of some of it.
type Extent struct {
	Start, End time.Time              // from Start on, and before End
	Resources  []schema.GroupResource // any of these; none: all
	Namespace  string                 // "": all; [NoNamespace]: cluster-scoped objects only
}

// Filter returns the filter of the records in the extent.
func (e *Extent) Filter() Filter {
	return Filter{Start: e.Start, End: e.End, Resources: e.Resources, Namespace: e.Namespace}
}

// Excerpt is what a log holds of an extent, whole enough to stand by itself. Baselines and Records can be gone through once, in
// this order; after an error, which comes with a nil record, either ends.
type Excerpt struct {
	Extent

	// Catalogue has the extent's resources, those too of which there is no record: they were recorded, and nothing happened.
	Catalogue []Resource
	// Gaps are those of the extent's resources that touch its time, in the order of their starts.
	Gaps []Gap
	// Baselines are the versions that stood at the extent's start, one for each object that existed then: its newest one before.
	// They are in no order that means anything.
	Baselines iter.Seq2[*Record, error]
	// Records are those of the extent, in the order of their times, with their objects.
	Records iter.Seq2[*Record, error]
}
