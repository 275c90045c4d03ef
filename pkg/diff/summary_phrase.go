package diff

import (
	"fmt"
	"strconv"
	"strings"
)

// phraseOf returns the phrase for a change, from the first function that has
// one.
func phraseOf(c Change) phrase {
	for _, phraseFor := range []func(Change) phrase{object, pod, container, conditionPhrase, contentPhrase} {
		if p := phraseFor(c); p.text != "" {
			return p
		}
	}
	return fallback(c)
}

// object returns phrases for changes that any object can have.
func object(c Change) phrase {
	switch {
	case c.Kind == Added && c.Path.is("metadata", "deletionTimestamp"):
		return phrase{rank: byDeletion, text: "deletion requested"}
	case c.Path.is("metadata", "deletionGracePeriodSeconds"):
		return phrase{rank: byAftermath, text: "grace period " + c.transition()}
	case c.Kind == Changed && c.Path.is("spec", "replicas"):
		return phrase{rank: byScale, text: "scaled " + c.transition()}
	case c.isNewLeader():
		old, now := c.holders()
		return phrase{rank: byStatus, text: "leader " + scalar(old) + " → " + scalar(now)}
	case c.Path.is("status", "phase"):
		return phrase{rank: byPhase, text: "phase " + c.transition()}
	default:
		return phrase{}
	}
}

// pod returns phrases for changes of pods and nodes.
func pod(c Change) phrase {
	switch {
	case c.Kind == Added && c.Path.is("spec", "nodeName"):
		return phrase{rank: byScheduling, text: "scheduled to " + scalar(c.New)}
	case c.Path.is("spec", "unschedulable"):
		if c.New == true {
			return phrase{rank: byScheduling, text: "cordoned"}
		}
		return phrase{rank: byScheduling, text: "uncordoned"}
	case len(c.Path) == 2 && c.Path.Below("status"):
		switch field := c.Path[1].Field; field {
		case "podIP", "podIPs", "hostIP", "hostIPs", "startTime":
			return phrase{rank: byAftermath, text: field + " " + c.transition()}
		}
	}
	return phrase{}
}

// container returns phrases for the fields of containers, in a spec and in a
// status.
func container(c Change) phrase {
	if p := c.Path; len(p) > 2 && p.last(0).Field == "image" && p.last(1).Item &&
		strings.HasSuffix(strings.ToLower(p.last(2).Field), "containers") {
		return phrase{rank: byImage, text: "image " + cut(line(p.last(1).name()), valueWidth) + ": " + images(c)}
	}
	if len(c.Path) < 2 || !c.Path.Below("status") ||
		!strings.HasSuffix(strings.ToLower(c.Path[1].Field), "containerstatuses") {
		return phrase{}
	}
	if c.Kind == Reordered {
		return phrase{}
	}
	if len(c.Path) == 2 {
		return firstContainer(c)
	}
	name := cut(line(c.Path[2].name()), valueWidth)
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
		return phrase{rank: byAftermath, subject: name, text: rest[0].Field + " changed"}
	}
}

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
		return phrase{rank: byTrouble, subject: name, text: inside + " " + scalar(c.New)}
	default:
		return phrase{rank: byAftermath, subject: name, text: scalar(inside) + " details changed"}
	}
}

// stateOf returns the phrase for a container that entered a state. For waiting
// and terminated it contains the reason.
func stateOf(state map[string]any, name string) phrase {
	for _, inside := range []string{"waiting", "terminated", "running"} {
		details, ok := state[inside].(map[string]any)
		if !ok {
			continue
		}
		text := inside
		if reason, ok := details["reason"].(string); ok {
			text += " " + scalar(reason)
		}
		if code, ok := details["exitCode"]; ok && isScalar(code) {
			text += fmt.Sprintf(" (exit %s)", scalar(code))
		}
		if inside == "running" {
			return phrase{rank: byRunning, subject: name, text: text}
		}
		return phrase{rank: byTrouble, subject: name, text: text}
	}
	return phrase{rank: byAftermath, subject: name, text: "state changed"}
}

// conditionPhrase returns phrases for the conditions of any status.
func conditionPhrase(c Change) phrase {
	p := c.Path
	switch {
	case inCondition(p) && p.last(1).Key != "" && p.last(0).Field == "status":
		return phrase{rank: byCondition, text: scalar(p.last(1).name()) + " " + c.transition()}
	case inCondition(p) && p.last(1).Key != "":
		return phrase{rank: byAftermath, text: scalar(p.last(1).name()) + " " + p.last(0).Field + " " + c.transition()}
	case len(p) > 1 && p.last(0).Item && p.last(0).Key != "" && p.last(1).Field == "conditions":
		return phrase{rank: byCondition, text: scalar(p.last(0).name()) + " " + conditionValue(c)}
	default:
		return phrase{}
	}
}

// conditionValue returns the status and the reason of an added condition.
func conditionValue(c Change) string {
	whole, ok := c.New.(map[string]any)
	value, isString := whole["status"].(string)
	if !ok || !isString {
		return c.Kind.String()
	}
	if reason, ok := whole["reason"].(string); ok && reason != "" {
		return scalar(value) + " (" + scalar(reason) + ")"
	}
	return scalar(value)
}

// contentPhrase returns phrases for the data of ConfigMaps and Secrets. Values
// that are long or have several lines are not shown.
func contentPhrase(c Change) phrase {
	if len(c.Path) != 2 || c.Path[1].Item {
		return phrase{}
	}
	switch c.Path[0].Field {
	case "data", "stringData", "binaryData":
	default:
		return phrase{}
	}
	name := c.Path[0].Field + " " + cut(line(c.Path[1].Field), valueWidth)
	if c.Path[0].Field == "data" && c.Kind == Changed && short(c.Old) && short(c.New) {
		return phrase{rank: byContent, text: name + ": " + c.transition()}
	}
	return phrase{rank: byContent, text: name + " " + c.Kind.String()}
}

// short reports whether a value is a text that fits into a summary.
func short(value any) bool {
	text, ok := value.(string)
	return ok && len(text) <= valueWidth/2 && !strings.Contains(text, "\n")
}

// number returns a value that is not a string as text. Whole numbers have no
// fraction and no exponent.
func number(value any) string {
	if f, ok := value.(float64); ok {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return fmt.Sprint(value)
}
