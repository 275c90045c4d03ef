package history

import "k8s.io/apimachinery/pkg/util/resourceversion"

// Older reports whether one resourceVersion is known to precede another one of
// the same resource. Most servers count them; those of any other are in no
// order.
func Older(rv, than string) bool {
	order, err := resourceversion.CompareResourceVersion(rv, than)
	return err == nil && order < 0
}
