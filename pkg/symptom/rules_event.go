package symptom

import (
	"slices"
	"strings"
)

// onEvent returns a rule for Events with one of the reasons. text returns the
// text of the symptom, or "". BackOff is not always a Warning.
func onEvent(name, code string, text func(reason, text string) string, reasons ...string) rule {
	return rule{
		name: name, code: code, resources: of(events, newEvents),
		find: func(o *object) []Symptom {
			reason := o.event.reason
			if !o.event.isWarning && reason != "BackOff" || !slices.Contains(reasons, reason) {
				return nil
			}
			return []Symptom{{Subject: o.eventContainer(), Text: text(reason, o.event.message.text())}}
		},
	}
}

// eventContainer returns the container that an Event is about, or "". The field
// path is such as spec.containers{app}.
func (o *object) eventContainer() string {
	_, name, _ := strings.Cut(o.event.regarding.at("fieldPath").text(), "{")
	return strings.TrimSuffix(name, "}")
}

// plainEvent returns the reason and the message.
func plainEvent(reason, text string) string { return join(reason, message(text)) }

// warning returns a Warning for which there is no other rule. Kubelets write
// InvalidDiskCapacity at each start.
func warning(o *object) []Symptom {
	reason := o.event.reason
	if !o.event.isWarning || reason == "InvalidDiskCapacity" {
		return nil
	}
	text := plainEvent(line(reason, maxName), o.event.message.text())
	return []Symptom{{Subject: o.eventContainer(), Text: text}}
}

// crashEvent returns that a container is restarted more and more slowly.
func crashEvent(_, text string) string {
	if !strings.HasPrefix(text, "Back-off restarting failed container") {
		return ""
	}
	return "CrashLoopBackOff"
}

// imageEvent returns that an image can't be pulled.
func imageEvent(reason, text string) string {
	switch {
	case strings.HasPrefix(text, "Back-off pulling image"):
		return join("ImagePullBackOff", imageCause(text))
	case strings.HasPrefix(text, "Failed to pull image"):
		return join("ErrImagePull", imageCause(text))
	case reason == "InspectFailed", reason == "ErrImageNeverPull":
		return join(reason, message(text))
	}
	if name := strings.TrimPrefix(text, "Error: "); slices.Contains(imageReasons, name) {
		return name
	}
	return ""
}

// configEvent returns that a container can't be created or started. It has no
// text for messages about images.
func configEvent(reason, text string) string {
	if imageEvent(reason, text) != "" {
		return ""
	}
	return join(reason, runtimeCause(strings.TrimPrefix(text, "Error: ")))
}

// mountEvent returns why a volume can't be mounted.
func mountEvent(reason, text string) string {
	text = line(text, 4*maxText)
	if _, cause, ok := strings.Cut(text, `" : `); ok { // MountVolume.SetUp failed for volume "x" : cause
		text = cause
	}
	if before, cause, ok := strings.Cut(text, "]: "); ok { // … unmounted volumes=[x], …: cause
		volumes := ""
		if _, volumes, ok = strings.Cut(before, "unmounted volumes=["); ok {
			volumes, _, _ = strings.Cut(volumes, "]")
			cause = "volume " + volumes + ": " + cause
		}
		text = cause
	}
	return join(reason, message(text))
}

// schedulingEvent returns why no node is suitable for a pod.
func schedulingEvent(_, text string) string { return join("Unschedulable", schedulingCause(text)) }

// probeEvent returns which probe failed, and how.
func probeEvent(_, text string) string {
	probe, output, ok := strings.Cut(text, ": ")
	if !ok {
		return join("probe failed", message(text))
	}
	probe, _, _ = strings.Cut(strings.ToLower(line(probe, maxName)), " and resulted in")
	return join(probe, probeCause(output))
}

// probeCause returns how a probe failed, without addresses.
func probeCause(output string) string {
	switch code, ok := strings.CutPrefix(output, "HTTP probe failed with statuscode: "); {
	case ok:
		return message("HTTP " + code)
	case strings.Contains(output, "connection refused"):
		return "connection refused"
	case strings.Contains(output, "context deadline exceeded"), strings.Contains(output, "i/o timeout"),
		strings.Contains(output, "Client.Timeout"), strings.HasPrefix(output, "command timed out"):
		return "timeout"
	case strings.HasPrefix(output, "Get "), strings.HasPrefix(output, "dial tcp"):
		return message(after(output, ": "))
	}
	for l := range strings.SplitSeq(output[:min(len(output), maxText*4)], "\n") {
		if l = message(l); l != "" {
			return l
		}
	}
	return ""
}

// evictionEvent returns why a pod was evicted.
func evictionEvent(reason, text string) string { return join(reason, evictionCause(text)) }

// scalerEvent returns why a HorizontalPodAutoscaler can't scale.
func scalerEvent(reason, text string) string { return join(reason, scalerCause(text)) }

// claimEvent returns why a claim is not bound.
func claimEvent(reason, text string) string {
	if _, cause, ok := strings.Cut(text, "rpc error: "); ok {
		_, cause, _ = strings.Cut(cause, "desc = ")
		text = cause
	}
	return join(reason, message(text))
}
