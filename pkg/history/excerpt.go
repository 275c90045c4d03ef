package history

import (
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Extent is a part of history: a range of time, of all resources or of some.
type Extent struct {
	Start, End time.Time              // Start is inclusive, End exclusive
	Resources  []schema.GroupResource // any of these; empty: all, with the reserved ones if Namespace is all
	Namespace  NamespaceScope
}

// Filter returns the filter that selects the extent's records, except for those
// of reserved resources.
func (e *Extent) Filter() Filter {
	return Filter{Start: e.Start, End: e.End, Resources: e.Resources, Namespace: e.Namespace}
}

// Excerpt is everything that a log contains about an extent. It can be read
// without the log.
//
// Baselines and Records can be iterated once each, Baselines first. An error
// comes with a nil record and ends the iteration.
type Excerpt struct {
	Extent

	// Catalogue has the extent's resources, including those without a record:
	// they were recorded, and nothing happened.
	Catalogue []Resource
	// Unrecorded are resources of the cluster that were not recorded at the end
	// of the extent, if that is known.
	Unrecorded []UnrecordedResource
	// Cluster is the UID of the recorded cluster, as [ClusterUID] returns it.
	Cluster types.UID
	// Watched is the namespace that was recorded, next to the cluster-scoped
	// objects. It is empty if all namespaces were recorded. Unlike the extent's
	// namespace, it does not select records.
	Watched string
	// Gaps are the gaps of the extent's resources that touch its time, ordered
	// by their starts.
	Gaps []Gap
	// Baselines are the newest versions before the extent's start, one for each
	// object that existed then, in no particular order.
	Baselines iter.Seq2[*Record, error]
	// Records are the extent's records, ordered by time, with their objects.
	Records iter.Seq2[*Record, error]
}
