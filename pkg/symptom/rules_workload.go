package symptom

import (
	"fmt"
	"strings"
)

// rolledOut is the reason of the condition Progressing after a rollout.
const rolledOut = "NewReplicaSetAvailable"

// progressDeadline returns that a Deployment makes no progress. A paused one
// has the same condition with another reason.
func progressDeadline(o *object) string {
	c := o.condition("Progressing")
	if c.status != "False" || c.reason != "ProgressDeadlineExceeded" {
		return ""
	}
	return fmt.Sprintf("progress deadline exceeded, %d/%d updated, %d ready",
		o.status.at("updatedReplicas").number(), o.desired(), o.status.at("readyReplicas").number())
}

// desired returns spec.replicas.
func (o *object) desired() int {
	if replicas := o.spec.at("replicas"); replicas != nil {
		return replicas.number()
	}
	return 1
}

// unavailable returns that a Deployment has had too few pods for longer than a
// start takes. A rollout has a deadline of its own.
func unavailable(o *object) string {
	c := o.condition("Available")
	if c.status != "False" || !o.settled(c.since) || o.deleted ||
		o.condition("Progressing").reason != rolledOut {
		return ""
	}
	return fmt.Sprintf("%d/%d available", o.status.at("availableReplicas").number(), o.desired())
}

// jobFailed returns why a Job failed, or will.
func jobFailed(o *object) string {
	c := o.condition("Failed")
	if c.status != "True" {
		if c = o.condition("FailureTarget"); c.status != "True" {
			return ""
		}
	}
	switch c.reason {
	case "BackoffLimitExceeded":
		if failed := o.status.at("failed").number(); failed > 0 {
			return c.reason + ": " + count(failed, "pod") + " failed"
		}
		return c.reason
	case "DeadlineExceeded":
		if seconds := o.spec.at("activeDeadlineSeconds").number(); seconds > 0 {
			return fmt.Sprintf("DeadlineExceeded after %ds", seconds)
		}
		return c.reason
	default:
		return join("failed", line(c.reason, maxName), message(c.message()))
	}
}

// scalerBlocked returns why a HorizontalPodAutoscaler can't scale. One of a
// target that was scaled to zero is disabled, as intended.
func scalerBlocked(o *object) (found []Symptom) {
	for _, kind := range []string{"AbleToScale", "ScalingActive"} {
		c := o.condition(kind)
		if c.status == "False" && c.reason != "ScalingDisabled" && !o.isNew() {
			found = append(found, Symptom{Subject: kind, Text: join(line(c.reason, maxName), scalerCause(c.message()))})
		}
	}
	return found
}

// scalerCause returns the cause in a message of the HPA controller.
func scalerCause(text string) string {
	text = strings.TrimPrefix(text, "the HPA was unable to compute the replica count: ")
	text = strings.TrimPrefix(text, "the HPA controller was unable to get the target's current scale: ")
	text = strings.TrimPrefix(text, "the HPA controller was unable to update the target scale: ")
	return message(after(text,
		"unable to get metrics for resource cpu: ", "unable to get metrics for resource memory: "))
}

// scalerLimited returns that a HorizontalPodAutoscaler would scale further up
// than its maximum.
func scalerLimited(o *object) []Symptom {
	c := o.condition("ScalingLimited")
	if c.status != "True" || c.reason != "TooManyReplicas" {
		return nil
	}
	text := fmt.Sprintf("at maxReplicas %d", o.spec.at("maxReplicas").number())
	return []Symptom{{Subject: "ScalingLimited", Text: text}}
}
