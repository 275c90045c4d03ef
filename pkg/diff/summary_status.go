package diff

import (
	"fmt"
	"slices"
	"strings"
)

// statusPhrase returns the phrase for a change in the status.
func statusPhrase(c Change) phrase {
	switch p := c.Path; {
	case p.is("status", "phase"):
		return phrase{rank: byPhase, text: "phase " + c.transition()}
	case len(p) > 1 && p.last(0).Item && p.last(0).Key != "" && p.last(1).Field == "conditions":
		return wholeCondition(c)
	case len(p) > 1 && strings.HasSuffix(strings.ToLower(p[1].Field), "containerstatuses") && c.Kind != Reordered:
		return containerStatus(c)
	case len(p) == 2:
		switch field := p[1].Field; field {
		case "podIP", "podIPs", "hostIP", "hostIPs", "startTime":
			return phrase{rank: byAftermath, text: field + " " + c.transition()}
		}
	}
	text := shortPath(c.Path) + " " + c.transition()
	if c.Kind != Reordered && isCount(c) {
		p := phrase{rank: byCounts, depth: 1, text: text}
		if c.Path.is("status", "readyReplicas") {
			p.depth = 0
		}
		return p
	}
	return phrase{rank: byStatus, text: text}
}

// containerStatus returns the phrase for a change in the statuses of a pod's
// containers.
func containerStatus(c Change) phrase {
	if len(c.Path) == 2 {
		return firstContainer(c)
	}
	name := itemName(c.Path[2])
	switch rest := c.Path[3:]; {
	case len(rest) == 0:
		return wholeContainer(c, name)
	case rest[0].Field == "state":
		return containerState(c, rest, name)
	case rest[0].Field == "restartCount":
		return phrase{rank: byRestarts, subject: name, text: "restarts " + c.transition()}
	case rest[0].Field == "ready" && c.New == true:
		return phrase{rank: byReadiness, subject: name, text: "ready"}
	case rest[0].Field == "ready":
		return phrase{rank: byReadiness, subject: name, text: "not ready"}
	default:
		return phrase{rank: byAftermath, subject: name, text: scalar(rest[0].Field) + " changed"}
	}
}

// itemName returns the name of a list item in one line of a bounded length.
func itemName(s Segment) string { return cut(line(s.name()), valueWidth) }

// firstContainer returns the phrase for containers that got their first
// statuses: the most interesting one of them.
func firstContainer(c Change) phrase {
	best := phrase{}
	statuses, _ := c.New.([]any)
	for _, item := range statuses {
		status, _ := item.(map[string]any)
		name, _ := status["name"].(string)
		state, _ := status["state"].(map[string]any)
		if p := stateOf(state, scalar(name)); best.text == "" || p.rank < best.rank {
			best = p
		}
	}
	return best
}

// wholeContainer returns the phrase for a container whose status was added or
// removed.
func wholeContainer(c Change, name string) phrase {
	status, ok := c.New.(map[string]any)
	if !ok {
		return phrase{rank: byAftermath, subject: name, text: "status " + c.Kind.String()}
	}
	state, _ := status["state"].(map[string]any)
	return stateOf(state, name)
}

// containerState returns the phrase for a change of state.waiting,
// state.running or state.terminated. rest is the path from "state" on, and name
// that of the container.
func containerState(c Change, rest Path, name string) phrase {
	if len(rest) == 1 {
		state, _ := c.New.(map[string]any)
		return stateOf(state, name)
	}
	switch inside := rest[1].Field; {
	case len(rest) == 2 && c.Kind == Added:
		return stateOf(map[string]any{inside: c.New}, name)
	case len(rest) == 2 && c.Kind == Removed:
		return phrase{rank: byAftermath, subject: name, text: "no longer " + scalar(inside)}
	case len(rest) == 3 && rest[2].Field == "reason" && inside != "running" && c.Kind == Removed:
		return phrase{rank: byAftermath, subject: name, text: scalar(inside) + " reason " + c.transition()}
	case len(rest) == 3 && rest[2].Field == "reason" && inside != "running":
		return phrase{rank: byTrouble, subject: name, text: scalar(inside) + " " + scalar(c.New)}
	default:
		return phrase{rank: byAftermath, subject: name, text: scalar(inside) + " details changed"}
	}
}

// stateOf returns the phrase for a container that entered a state. For waiting
// and terminated it contains the reason. The last message of a container that
// terminated is the detail.
func stateOf(state map[string]any, name string) phrase {
	for _, inside := range []string{"waiting", "terminated", "running"} {
		details, ok := state[inside].(map[string]any)
		if !ok {
			continue
		}
		p := phrase{rank: byTrouble, subject: name, text: inside}
		reason, _ := details["reason"].(string)
		code, hasCode := details["exitCode"]
		hasCode = hasCode && isScalar(code)
		switch {
		case inside == "terminated" && reason == "Error" && hasCode:
			p.text = "exit " + scalar(code)
		case hasCode && reason != "":
			p.text += fmt.Sprintf(" %s (exit %s)", scalar(reason), scalar(code))
		case hasCode:
			p.text += fmt.Sprintf(" (exit %s)", scalar(code))
		case reason != "":
			p.text += " " + scalar(reason)
		}
		if inside == "running" {
			p.rank = byRunning
			return p
		}
		if message, ok := details["message"].(string); ok && inside == "terminated" {
			p.detail = lastWords(message)
		}
		return p
	}
	return phrase{rank: byAftermath, subject: name, text: "state changed"}
}

// maxMessage bounds, in bytes, how much of the end of a message [lastWords]
// reads. Kubelets write at most 4 KiB.
const maxMessage = 4 << 10

// lastWords returns the line of a container's last output that probably shows
// why it terminated: the first one with an error, otherwise the last one.
func lastWords(message string) string {
	message = message[max(0, len(message)-maxMessage):]
	last := ""
	for text := range strings.Lines(message) {
		if text = line(text); text == "" {
			continue
		}
		lower := strings.ToLower(text)
		for _, word := range []string{"fatal", "panic", "error", "exception"} {
			if strings.Contains(lower, word) {
				return cut(text, messageWidth)
			}
		}
		last = text
	}
	return cut(last, messageWidth)
}

// condition returns the phrase for a change of a condition's field. The other
// fields of a condition precede its status, because changes are sorted. So the
// status, or else the last changed field, has the phrase for all of them.
func (s *summarizer) condition(i int) phrase {
	c := &s.changes[i]
	name := itemName(c.Path.last(1))
	if s.isSibling(i+1, c.Path) {
		return phrase{}
	}
	var status, reason, message *Change
	for j := i; j == i || s.isSibling(j, c.Path); j-- {
		switch at := &s.changes[j]; at.Path.last(0).Field {
		case "status":
			status = at
		case "reason":
			reason = at
		case "message":
			message = at
		}
	}
	why := reasonOf(reason.new(), message.new())
	p := phrase{rank: byAftermath, text: name}
	switch {
	case status == nil && why == "":
		p.text += " " + scalar(c.Path.last(0).Field) + " " + c.transition()
		return p
	case status == nil:
		p.text += ": " + why
		return p
	case why == "" || status.Kind != Changed || !isScalar(status.New):
		p.text += " " + status.transition()
	default:
		p.text += " " + scalar(status.New)
		p.detail = why
	}
	p.rank = conditionRank(name)
	return p
}

// conditionRank returns the rank of a condition whose status changed. Some
// conditions of pods are parts of others.
func conditionRank(name string) int {
	switch name {
	case "Ready", "Available":
		return byReady
	case "ContainersReady", "PodReadyToStartContainers", "Initialized":
		return byAftermath
	default:
		return byCondition
	}
}

// isSibling reports whether the change with an index is of another field of the
// same condition, and not noise.
func (s *summarizer) isSibling(i int, of Path) bool {
	if i < 0 || i >= len(s.changes) {
		return false
	}
	p := s.changes[i].Path
	return len(p) == len(of) && slices.Equal(p[:len(p)-1], of[:len(of)-1]) && !conditionNoise(p.last(0).Field)
}

// new returns the new value of a change, which may be nil.
func (c *Change) new() any {
	if c == nil {
		return nil
	}
	return c.New
}

// messageWidth bounds a message, in runes.
const messageWidth = 72

// reasonOf returns the reason and the message of a condition, as far as they
// are set.
func reasonOf(reason, message any) string {
	var texts []string
	if text, ok := reason.(string); ok && text != "" {
		texts = append(texts, scalar(text))
	}
	if text, ok := message.(string); ok && text != "" {
		texts = append(texts, cut(line(text), messageWidth))
	}
	return strings.Join(texts, ", ")
}

// wholeCondition returns the phrase for a condition that was added or removed.
func wholeCondition(c Change) phrase {
	name := itemName(c.Path.last(0))
	p := phrase{rank: conditionRank(name), text: name}
	whole, _ := c.New.(map[string]any)
	status, ok := whole["status"].(string)
	switch {
	case !ok:
		p.text += " " + c.Kind.String()
		return p
	case name == "PodScheduled" && status == "True": // the node says it
		p.rank = byAftermath
	}
	p.text += " " + scalar(status)
	p.detail = reasonOf(whole["reason"], whole["message"])
	return p
}
