package diff

// Noise reports whether the change contains no information about the object.
// Noise is:
//
//   - counters of the server, heartbeats, and the times of conditions
//   - annotations that repeat other fields
//   - the second step of a deletion
//   - the order of lists in a status
//
// docs/noise.md lists all of it. A complete status is never noise, and neither
// is a field that is not listed by its exact name.
func (c Change) Noise() bool {
	p := c.Path
	switch {
	case c.Kind == Reordered:
		return p.Below("status")
	case c.isHeartbeat():
		return true
	case len(p) > 1 && p.Below("metadata"):
		return metadataNoise(c)
	case p.Below("status", "observedGeneration"):
		return true
	case inCondition(p):
		return conditionNoise(p.last(0).Field)
	default:
		return false
	}
}

// metadataNoise is Noise for changes in the metadata.
func metadataNoise(c Change) bool {
	switch c.Path[1].Field {
	case "resourceVersion", "generation", "managedFields", "selfLink":
		return true
	case "deletionTimestamp", "deletionGracePeriodSeconds":
		return c.Kind == Changed // the deletion was requested before
	case "annotations":
		return annotationsNoise(c)
	default:
		return false
	}
}

// annotationsNoise is Noise for one annotation, and for all annotations
// together if one side has none.
func annotationsNoise(c Change) bool {
	if len(c.Path) > 2 {
		return annotationNoise(c.Path[2].Field) && !c.isNewLeader()
	}
	for _, side := range []any{c.Old, c.New} {
		annotations, ok := side.(map[string]any)
		if !ok && side != nil {
			return false
		}
		for name := range annotations {
			if !annotationNoise(name) {
				return false
			}
		}
	}
	return true
}

// annotationNoise reports whether all changes of an annotation are noise,
// except for a new leader.
func annotationNoise(name string) bool {
	switch name {
	case "kubectl.kubernetes.io/last-applied-configuration",
		"deployment.kubernetes.io/revision",
		"deployment.kubernetes.io/revision-history",
		"deprecated.daemonset.template.generation",
		leaderAnnotation:
		return true
	default:
		return false
	}
}

// inCondition reports whether the path leads to a field of a condition.
func inCondition(p Path) bool {
	return len(p) >= 3 && !p.last(0).Item && p.last(1).Item && p.last(2).Field == "conditions"
}

// conditionNoise reports whether all changes of a condition's field are noise.
func conditionNoise(field string) bool {
	switch field {
	case "lastHeartbeatTime", "lastTransitionTime", "lastUpdateTime", "lastProbeTime", "observedGeneration":
		return true
	default:
		return false
	}
}
