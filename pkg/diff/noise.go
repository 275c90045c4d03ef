package diff

// Noise tells whether the change says nothing about the object: the server's own counters, heartbeats, the times of
// conditions, and annotations that repeat what is elsewhere. A status is never noise as a whole.
func (c Change) Noise() bool {
	p := c.Path
	switch {
	case len(p) > 1 && p.Below("metadata"):
		return metadataNoise(c)
	case p.Below("status", "observedGeneration") || p.Below("spec", "renewTime"): // of a Lease
		return true
	case inCondition(p):
		return conditionNoise(p.last(0).Field)
	default:
		return false
	}
}

func metadataNoise(c Change) bool {
	switch c.Path[1].Field {
	case "resourceVersion", "generation", "managedFields", "selfLink":
		return true
	case "annotations":
		return annotationsNoise(c)
	default:
		return false
	}
}

// annotationsNoise also knows the annotations as a whole, where one side has none.
func annotationsNoise(c Change) bool {
	if len(c.Path) > 2 {
		return annotationNoise(c.Path[2].Field)
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

func annotationNoise(name string) bool {
	switch name {
	case "kubectl.kubernetes.io/last-applied-configuration",
		"deployment.kubernetes.io/revision",
		"deployment.kubernetes.io/revision-history",
		"deprecated.daemonset.template.generation",
		"control-plane.alpha.kubernetes.io/leader":
		return true
	default:
		return false
	}
}

// inCondition: the path leads to a field of a condition.
func inCondition(p Path) bool {
	return len(p) >= 3 && !p.last(0).Item && p.last(1).Item && p.last(2).Field == "conditions"
}

func conditionNoise(field string) bool {
	switch field {
	case "lastHeartbeatTime", "lastTransitionTime", "lastUpdateTime", "lastProbeTime", "observedGeneration":
		return true
	default:
		return false
	}
}
