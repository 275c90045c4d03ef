package symptom

import (
	"fmt"
	"slices"
	"strings"
)

// eachContainer returns a rule's function that finds at most one symptom of
// each container.
func eachContainer(text func(o *object, c *container) string) func(o *object) []Symptom {
	return func(o *object) (found []Symptom) {
		for i := range o.containers {
			c := &o.containers[i]
			if t := text(o, c); t != "" {
				found = append(found, Symptom{Subject: c.name, Text: t})
			}
		}
		return found
	}
}

const reasonOOM = "OOMKilled"

// failure returns how a container ended if that was with an error, or nil.
func failure(termination value) value {
	reason := termination.at("reason").text()
	if !termination.isObject() || termination.at("exitCode").number() == 0 && (reason == "" || reason == "Completed") {
		return nil
	}
	return termination
}

// hasRestarted reports whether a container runs again after a failure shortly
// before.
func (o *object) hasRestarted(c *container) bool {
	since := c.running.at("startedAt").time()
	return failure(c.last) != nil && !since.IsZero() && !o.at.IsZero() && !o.settled(since)
}

// outOfMemory returns that a container was terminated because of its memory
// limit: now, shortly before, or before it waited for a restart.
func outOfMemory(o *object, c *container) string {
	var then string
	switch {
	case c.terminated.at("reason").text() == reasonOOM:
	case c.last.at("reason").text() != reasonOOM:
		return ""
	case c.waitsFor == "CrashLoopBackOff":
		then = ", CrashLoopBackOff"
	case o.hasRestarted(c):
		then = ", restarted"
	default:
		return ""
	}
	limit := o.containerSpec(c.name).at("resources", "limits", "memory").text()
	if limit == "" {
		return reasonOOM + then
	}
	return reasonOOM + " (limit " + line(limit, maxName) + ")" + then
}

// crashLoop returns that a container waits for its restart after a crash.
func crashLoop(_ *object, c *container) string {
	if c.waitsFor != "CrashLoopBackOff" {
		return ""
	}
	text := "CrashLoopBackOff"
	switch last := failure(c.last); {
	case last != nil:
		text += ", " + exit(last) + lastWords(last)
	case c.last.isObject():
		text += ", exit 0"
	}
	return text
}

// exit returns the exit code of a container, with the signal's name.
func exit(termination value) string {
	code := termination.at("exitCode").number()
	text := fmt.Sprintf("exit %d", code)
	if signal := map[int]string{134: "SIGABRT", 137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}[code]; signal != "" {
		text += " (" + signal + ")"
	}
	return text
}

// lastWords returns the message of a termination in quotes. A message that has
// quotes follows a colon.
func lastWords(termination value) string {
	switch text := terminationMessage(termination); {
	case text == "":
		return ""
	case strings.Contains(text, `"`):
		return ": " + text
	default:
		return ` "` + text + `"`
	}
}

// terminationMessage returns the line of a container's last words that names
// the error, or the first line. The message may be the end of the log.
func terminationMessage(termination value) string {
	const words = 4096 // characters that are searched; the kubelet stores as many
	text := termination.at("message").text()
	first := ""
	for l := range strings.SplitSeq(text[:min(len(text), words)], "\n") {
		l = message(l)
		if first == "" {
			first = l
		}
		lower := strings.ToLower(l)
		for _, word := range []string{"panic", "fatal", "error", "exception", "failed"} {
			if strings.Contains(lower, word) {
				return l
			}
		}
	}
	return first
}

// imageReasons are the reasons for which containers wait for their images.
var imageReasons = []string{ //nolint:gochecknoglobals // a constant table
	"ImagePullBackOff", "ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "ImageInspectError",
	"RegistryUnavailable", "SignatureValidationFailed", "ImageVolumeMountFailed",
}

// imagePull returns that the image of a container can't be pulled.
func imagePull(_ *object, c *container) string {
	if reason := c.waitsFor; slices.Contains(imageReasons, reason) {
		return join(reason, imageCause(c.waiting.at("message").text()))
	}
	return ""
}

// imageCause returns why an image can't be pulled, if a runtime's message has
// words for it.
func imageCause(text string) string {
	text = strings.ToLower(text)
	for _, cause := range []struct {
		text  string
		words []string
	}{
		{"access denied", []string{
			"unauthorized", "access denied", "authentication required", "403 forbidden", "no basic auth",
		}},
		{"rate limit", []string{"toomanyrequests", "429 too many", "rate limit"}},
		{"certificate not trusted", []string{"x509:"}},
		{"no image for this platform", []string{"no match for platform", "no matching manifest"}},
		{"image not found", []string{"not found", "manifest unknown", "name unknown", "does not exist"}},
		{"registry not reachable", []string{
			"no such host", "i/o timeout", "connection refused", "deadline exceeded", "network is unreachable",
			"dial tcp",
		}},
	} {
		for _, word := range cause.words {
			if strings.Contains(text, word) {
				return cause.text
			}
		}
	}
	return ""
}

// containerConfig returns that a container can't be created or started as its
// spec describes it.
func containerConfig(o *object, c *container) string {
	switch c.waitsFor {
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreCreateHookError",
		"PreStartHookError", "PostStartHookError":
		return join(c.waitsFor, runtimeCause(c.waiting.at("message").text()))
	}
	reason := c.terminated.at("reason").text()
	if reason != "StartError" && reason != "ContainerCannotRun" || o.isTerminating() {
		return ""
	}
	return join(reason, runtimeCause(c.terminated.at("message").text()))
}

// runtimeCause returns the end of a container runtime's message, which names
// the cause: `exec: "app": executable file not found in $PATH`.
func runtimeCause(text string) string {
	if i := strings.Index(text, `exec: "`); i >= 0 {
		text = text[i:]
	}
	return message(strings.TrimSuffix(strings.TrimSpace(text), ": unknown"))
}

// podSandbox returns that the network or another part of a pod can't be set up.
func podSandbox(_ *object, c *container) string {
	switch c.waitsFor {
	case "CreatePodSandboxError", "ConfigPodSandboxError", "KillPodSandboxError":
		return join(c.waitsFor, message(c.waiting.at("message").text()))
	}
	return ""
}

// waitsForMount returns why a volume can't be mounted, if the kubelet writes it
// into the status.
func waitsForMount(_ *object, c *container) string {
	text := c.waiting.at("message").text()
	if !isStarting(c.waitsFor) || !strings.Contains(text, "mount") {
		return ""
	}
	return join("FailedMount", message(text))
}

// isStarting reports whether a container waits as in each start.
func isStarting(reason string) bool {
	return reason == "" || reason == "ContainerCreating" || reason == "PodInitializing"
}

// waits returns any other reason for which a container waits.
func waits(_ *object, c *container) string {
	reason, text := c.waitsFor, message(c.waiting.at("message").text())
	if isStarting(reason) && text == "" {
		return ""
	}
	return join(line(reason, maxName), text)
}

// exited returns that a container ended with an error, and was not started
// again. That is expected in a pod that is deleted or was ended from outside,
// and of the sidecars of a pod that completed.
func exited(o *object, c *container) string {
	ended := failure(c.terminated)
	if ended == nil || o.isTerminating() || o.status.at("phase").text() == "Succeeded" ||
		o.status.at("reason").text() != "" || evicted(o) != "" {
		return ""
	}
	text := join(line(c.name, maxName)+" "+exit(ended), terminationMessage(ended))
	if reason := ended.at("reason").text(); reason != "Error" && reason != "" && reason != "Completed" {
		text += " (" + line(reason, maxName) + ")"
	}
	return text
}

// restarted returns that a container runs again after it ended with an error.
func restarted(o *object, c *container) string {
	if o.isTerminating() || !o.hasRestarted(c) {
		return ""
	}
	return "restarted after " + exit(c.last) + lastWords(c.last)
}

// evicted returns that a pod was evicted from its node, or will be.
func evicted(o *object) string {
	text := o.status.at("message").text()
	if o.status.at("phase").text() == "Failed" && o.status.at("reason").text() == "Evicted" {
		return join("Evicted", evictionCause(text))
	}
	c := o.condition("DisruptionTarget")
	if c.status != "True" {
		return ""
	}
	switch c.reason {
	case "PreemptionByScheduler":
		return "preempted by a pod with a higher priority"
	case "DeletionByTaintManager":
		return "evicted by a NoExecute taint of its node"
	case "EvictionByEvictionAPI":
		return "evicted through the eviction API"
	case "DeletionByPodGC":
		return join("deleted", message(strings.TrimPrefix(c.message(), "PodGC: ")))
	default:
		return join("Evicted", evictionCause(c.message()))
	}
}

// evictionCause returns the first sentence of a kubelet's message.
func evictionCause(text string) string {
	text = sentence(text)
	if resource, ok := strings.CutPrefix(text, "The node was low on resource: "); ok {
		return "node low on " + resource
	}
	return strings.TrimPrefix(text, "The ")
}

// podFailed returns why a pod failed, if that was not because of a container.
func podFailed(o *object) string {
	reason := o.status.at("reason").text()
	hasFailed := func(c container) bool { return failure(c.terminated) != nil }
	if o.status.at("phase").text() != "Failed" || evicted(o) != "" ||
		reason == "" && slices.ContainsFunc(o.containers, hasFailed) {
		return ""
	}
	return join("Failed", line(reason, maxName), message(o.status.at("message").text()))
}

// unschedulable returns why no node is suitable for a pod.
func unschedulable(o *object) string {
	c := o.condition("PodScheduled")
	if c.status != "False" || c.reason != "Unschedulable" && c.reason != "SchedulerError" || o.isTerminating() {
		return ""
	}
	return join(c.reason, schedulingCause(c.message()))
}

// schedulingCause returns why the nodes are not suitable, from a message such
// as "0/3 nodes are available: 3 Insufficient cpu. preemption: …".
func schedulingCause(text string) string {
	text, _, _ = strings.Cut(text, " preemption: ")
	if nodes, cause, ok := strings.Cut(text, " nodes are available: "); ok && !strings.Contains(nodes, " ") {
		text = cause
	}
	text, _, _ = strings.Cut(text, ". no new claims to deallocate")
	return message(strings.TrimSuffix(text, ". not found"))
}

// podNotReady returns why a pod that runs is not ready: it was ready before, or
// its start takes long.
func podNotReady(o *object) (found []Symptom) {
	c := o.condition("Ready")
	if o.status.at("phase").text() != "Running" || c.status != "False" || c.reason == "PodCompleted" ||
		o.isTerminating() || o.deleted {
		return nil
	}
	for i := range o.containers {
		s := &o.containers[i]
		since := s.running.at("startedAt").time()
		// A readiness that was lost is newer than the start.
		if s.ready || since.IsZero() || !c.since.After(since) && !o.settled(since) {
			continue
		}
		spec := o.containerSpec(s.name)
		switch {
		case string(s.started) == "false" && spec.at("startupProbe").isObject():
			found = append(found, Symptom{Subject: s.name, Text: "not ready: startup probe does not pass"})
		case spec.at("readinessProbe").isObject():
			found = append(found, Symptom{Subject: s.name, Text: "not ready: readiness probe does not pass"})
		case !s.init:
			found = append(found, Symptom{Subject: s.name, Text: "not ready"})
		}
	}
	if len(found) > 0 || slices.ContainsFunc(o.containers, func(s container) bool { return !s.init && !s.ready }) {
		return found
	}
	if !o.settled(c.since) && o.isNew() {
		return nil
	}
	// A gate of the pod is missing, or the node is lost.
	return []Symptom{{Text: join("not ready", line(c.reason, maxName), message(c.message()))}}
}
