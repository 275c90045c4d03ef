package problem

import (
	"fmt"
	"slices"
)

// podObject contains the fields of a pod that show problems.
type podObject struct {
	json     []byte // the whole pod
	Metadata struct{ DeletionTimestamp string }
	Status   struct {
		Phase, Reason, Message string
		Conditions             []condition
		InitContainerStatuses  []container
		ContainerStatuses      []container
	}
}

// podSpec contains the readiness probes of a pod.
type podSpec struct {
	Spec struct {
		Containers []struct {
			Name           string
			ReadinessProbe *struct{}
		}
	}
}

// container is an entry of status.containerStatuses and
// status.initContainerStatuses.
type container struct {
	Name         string
	Ready        bool
	Started      *bool
	RestartCount int
	State        containerState
	LastState    containerState
}

// containerState is the state of a container. At most one field is set.
type containerState struct {
	Waiting    *waiting
	Running    *struct{}
	Terminated *termination
}

// waiting is the state of a container that does not run yet.
type waiting struct{ Reason, Message string }

// isProblem reports whether a container waits for anything but its normal
// start.
func (w *waiting) isProblem() bool {
	switch {
	case w == nil:
		return false
	case w.Reason == "ContainerCreating", w.Reason == "PodInitializing", w.Reason == "":
		return w.Message != ""
	default:
		return true
	}
}

// termination is the state of a container that ended.
type termination struct {
	Reason, Message string
	ExitCode        int
}

// pod returns the problems of a pod: first those of the pod itself, then those
// of its containers in their order. before is the previous version, or nil.
func pod(object, before []byte) []string {
	p := readPod(object)
	// The previous version is parsed only if a container has restarted.
	var was podObject
	if p.hasRestarted() {
		was = readPod(before)
	}
	reasons := p.podProblems()
	for _, c := range p.Status.InitContainerStatuses {
		reasons = append(reasons, p.container("init container", c, restarts(was.Status.InitContainerStatuses, c))...)
	}
	for _, c := range p.Status.ContainerStatuses {
		reasons = append(reasons, p.container("container", c, restarts(was.Status.ContainerStatuses, c))...)
	}
	// A specific reason makes the lost readiness redundant.
	if len(reasons) == 0 && p.Status.Phase == "Running" && !p.isTerminating() {
		reasons = p.unready()
	}
	return reasons
}

// isTerminating reports whether the pod is being deleted. Terminated containers
// and lost readiness are expected then.
func (p *podObject) isTerminating() bool { return p.Metadata.DeletionTimestamp != "" }

// hasRestarted reports whether a container of the pod has been terminated
// before. Otherwise the previous version can't show a restart.
func (p *podObject) hasRestarted() bool {
	restarted := func(c container) bool { return c.LastState.Terminated != nil }
	return slices.ContainsFunc(p.Status.ContainerStatuses, restarted) ||
		slices.ContainsFunc(p.Status.InitContainerStatuses, restarted)
}

// podProblems returns the problems of the pod apart from its containers: it
// failed, can't be scheduled, or was evicted.
func (p *podObject) podProblems() []string {
	var reasons []string
	if p.Status.Phase == "Failed" {
		reasons = append(reasons, colon("Failed", p.Status.Reason, p.Status.Message))
	}
	for _, c := range p.Status.Conditions {
		if c.Type == "PodScheduled" && c.Status == "False" && c.Reason == "Unschedulable" {
			reasons = append(reasons, colon(c.Reason, c.Message))
		}
	}
	return append(reasons, broken(p.Status.Conditions, []rule{
		{condition: "DisruptionTarget", status: "True", text: "DisruptionTarget"},
		{condition: "PodResizePending", status: "True", text: "PodResizePending"},
	})...)
}

// restarts returns how often the container restarted since the previous
// version. It returns 0 if there is no previous status.
func restarts(before []container, c container) int {
	i := slices.IndexFunc(before, func(b container) bool { return b.Name == c.Name })
	if i < 0 {
		return 0
	}
	return c.RestartCount - before[i].RestartCount
}

// container returns what keeps a container from running, how it ended, and how
// it ended the last time.
func (p *podObject) container(kind string, c container, restarts int) []string {
	subject := kind + " " + c.Name
	last := c.LastState.Terminated.suffix(c.RestartCount)
	switch s := c.State; {
	case s.Waiting.isProblem():
		return []string{colon(subject+" waiting", s.Waiting.Reason, s.Waiting.Message) + last}
	case s.Terminated.isProblem(p.isTerminating()):
		return []string{colon(subject+" terminated", s.Terminated.String(), s.Terminated.Message) + last}
	case restarts > 0 && last != "":
		return []string{subject + " restarted" + last}
	default:
		return nil
	}
}

// isReady reports whether the pod has the condition that it is ready.
func (p *podObject) isReady() bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c condition) bool {
		return c.Type == "Ready" && c.Status == "True"
	})
}

// unready returns why a running pod is not ready, with its containers that are
// not. A running container with a readiness probe that has started is not ready
// because the probe does not pass.
func (p *podObject) unready() []string {
	for _, c := range p.Status.Conditions {
		if c.Type != "Ready" || c.Status != "False" || c.Reason == "PodCompleted" {
			continue
		}
		reasons := []string{colon("not ready", c.Reason, c.Message)}
		for _, s := range p.Status.ContainerStatuses {
			if s.State.Running == nil || s.Ready {
				continue
			}
			if s.Started != nil && !*s.Started {
				reasons = append(reasons, "container "+s.Name+" not started")
			} else if p.hasProbe(s.Name) {
				reasons = append(reasons, "container "+s.Name+" not ready: readiness probe does not pass")
			}
		}
		return reasons
	}
	return nil
}

// hasProbe reports whether a container has a readiness probe.
func (p *podObject) hasProbe(name string) bool {
	for _, c := range decode[podSpec](narrow(p.json, "spec")).Spec.Containers {
		if c.Name == name {
			return c.ReadinessProbe != nil
		}
	}
	return false
}

// String returns the reason and the exit code: "OOMKilled (exit code 137)".
func (t *termination) String() string {
	return fmt.Sprintf("%s (exit code %d)", t.Reason, t.ExitCode)
}

// failed reports whether the container ended with an error.
func (t *termination) failed() bool {
	return t != nil && (t.ExitCode != 0 || t.Reason != "Completed" && t.Reason != "")
}

// isProblem reports whether a container ended unexpectedly. In a pod that is
// being deleted, only a lack of memory is unexpected.
func (t *termination) isProblem(terminating bool) bool {
	return t.failed() && (!terminating || t.Reason == "OOMKilled")
}

// suffix returns how the container ended the last time, as a suffix to its
// current state. It returns "" if it ended without an error, or never.
func (t *termination) suffix(restarts int) string {
	if !t.failed() {
		return ""
	}
	return fmt.Sprintf(", restarts %d, last terminated: %s", restarts, t)
}
