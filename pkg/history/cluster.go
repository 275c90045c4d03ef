package history

import (
	"context"
	"iter"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// ClusterNamespace is the namespace whose UID identifies a cluster. It exists
// from the cluster's beginning to its end.
const ClusterNamespace = "kube-system"

// ClusterUID returns the UID of the cluster that a log is about, as its
// [ClusterNamespace] was recorded at a time. It is empty if that is not
// recorded. state returns the state of the log.
func ClusterUID(
	ctx context.Context, state func(context.Context, StateScan) iter.Seq2[*Record, error], at time.Time,
) (types.UID, error) {
	scan := StateScan{At: at, Limit: 1, Filter: Filter{
		Resources: []schema.GroupResource{{Resource: "namespaces"}}, Namespace: ClusterScoped, Name: ClusterNamespace,
	}}
	for r, err := range state(ctx, scan) {
		if err != nil {
			return "", err
		}
		return r.Ref.UID, nil
	}
	return "", nil
}
