package problem

import (
	"fmt"
	"slices"
)

// podObject is as much of a pod as can be in trouble.
type podObject struct {
	whole    []byte
	Metadata struct{ DeletionTimestamp string }
	Status   struct {
		Phase, Reason, Message string
		Conditions             []condition
		InitContainerStatuses  []container
		ContainerStatuses      []container
	}
}

// podSpec tells which containers have a readiness probe.
type podSpec struct {
	Spec struct {
		Containers []struct {
			Name           string
			ReadinessProbe *struct{}
		}
	}
}

// container is an entry of status.containerStatuses and status.initContainerStatuses.
type container struct {
	Name         string
	Ready        bool
	Started      *bool
	RestartCount int
	State        containerState
	LastState    containerState
}

type containerState struct {
	Waiting    *waiting
	Running    *struct{}
	Terminated *termination
}

type waiting struct{ Reason, Message string }

// trouble tells whether a container waits for something else than its turn.
func (w *waiting) trouble() bool {
	switch {
	case w == nil:
		return false
	case w.Reason == "ContainerCreating", w.Reason == "PodInitializing", w.Reason == "":
		return w.Message != ""
	default:
		return true
	}
}

type termination struct {
	Reason, Message string
	ExitCode        int
}

// pod tells what is wrong with a pod: with the whole of it first, then with its containers, in their order.
func pod(object, before []byte) []string {
	p := readPod(object)
	var was podObject
	if p.ended() {
		was = readPod(before)
	}
	reasons := p.itself()
	for _, c := range p.Status.InitContainerStatuses {
		reasons = append(reasons, p.container("init container", c, restarts(was.Status.InitContainerStatuses, c))...)
	}
	for _, c := range p.Status.ContainerStatuses {
		reasons = append(reasons, p.container("container", c, restarts(was.Status.ContainerStatuses, c))...)
	}
	if len(reasons) == 0 && p.Status.Phase == "Running" && !p.ending() {
		reasons = p.unready()
	}
	return reasons
}

// ending tells whether the pod is on its way out, when terminated containers and lost readiness are as they should be.
func (p *podObject) ending() bool { return p.Metadata.DeletionTimestamp != "" }

// ended tells whether a container of the pod ran before, so that the version before has something to tell.
func (p *podObject) ended() bool {
	again := func(c container) bool { return c.LastState.Terminated != nil }
	return slices.ContainsFunc(p.Status.ContainerStatuses, again) || slices.ContainsFunc(p.Status.InitContainerStatuses, again)
}

// itself tells what is wrong with the pod apart from its containers: it failed, it can't be scheduled, it was evicted.
func (p *podObject) itself() []string {
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
		{condition: "DisruptionTarget", status: "True", words: "DisruptionTarget"},
		{condition: "PodResizePending", status: "True", words: "PodResizePending"},
	})...)
}

// restarts returns how many times the container restarted since the version before; 0 where there is none.
func restarts(before []container, c container) int {
	i := slices.IndexFunc(before, func(b container) bool { return b.Name == c.Name })
	if i < 0 {
		return 0
	}
	return c.RestartCount - before[i].RestartCount
}

// container tells what keeps a container from running, how it ended, and what ended it the last time.
func (p *podObject) container(kind string, c container, restarts int) []string {
	subject := kind + " " + c.Name
	last := c.LastState.Terminated.after(c.RestartCount)
	switch s := c.State; {
	case s.Waiting.trouble():
		return []string{colon(subject+" waiting", s.Waiting.Reason, s.Waiting.Message) + last}
	case s.Terminated.trouble(p.ending()):
		return []string{colon(subject+" terminated", s.Terminated.String(), s.Terminated.Message) + last}
	case restarts > 0 && last != "":
		return []string{subject + " restarted" + last}
	default:
		return nil
	}
}

// unready tells why a running pod is not ready. A container that has started and is not ready has a readiness probe that
// does not pass; nothing else makes it so.
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
			} else if p.probed(s.Name) {
				reasons = append(reasons, "container "+s.Name+" not ready: readiness probe does not pass")
			}
		}
		return reasons
	}
	return nil
}

func (p *podObject) probed(name string) bool {
	for _, c := range decode[podSpec](narrow(p.whole, "spec")).Spec.Containers {
		if c.Name == name {
			return c.ReadinessProbe != nil
		}
	}
	return false
}

// String returns the reason and the code with which a container ended: "OOMKilled (exit code 137)".
func (t *termination) String() string {
	return fmt.Sprintf("%s (exit code %d)", t.Reason, t.ExitCode)
}

func (t *termination) failed() bool {
	return t != nil && (t.ExitCode != 0 || t.Reason != "Completed" && t.Reason != "")
}

// trouble tells whether a container ended as it should not. In a pod that is on its way out, only a lack of memory counts.
func (t *termination) trouble(ending bool) bool {
	return t.failed() && (!ending || t.Reason == "OOMKilled")
}

// after returns how the container ended the last time, to go behind what it does now.
func (t *termination) after(restarts int) string {
	if !t.failed() {
		return ""
	}
	return fmt.Sprintf(", restarts %d, last terminated: %s", restarts, t)
}
