package recorder

import "k8s.io/apimachinery/pkg/runtime/schema"

// IgnoredVersions returns how many versions of each resource were ignored by a
// rule since the recorder was created. Resources without a stream are absent.
func (r *Recorder) IgnoredVersions() map[schema.GroupResource]uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	versions := make(map[schema.GroupResource]uint64, len(r.streams))
	for resource, s := range r.streams {
		versions[resource] = s.metrics.ignored()
	}
	return versions
}

// Refused returns the error of a write that is being retried. It returns nil if
// the last write succeeded.
func (r *Recorder) Refused() error {
	if err := r.refused.Load(); err != nil {
		return *err
	}
	return nil
}
