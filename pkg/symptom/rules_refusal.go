package symptom

import (
	"slices"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// refused returns a rule's function that finds refusals of one code, in the
// condition ReplicaFailure and in Events of controllers that can't create.
func refused(code string) func(o *object) []Symptom {
	return func(o *object) []Symptom {
		text := ""
		if o.resource == events || o.resource == newEvents {
			if !o.event.isWarning || o.event.reason != "FailedCreate" {
				return nil
			}
			text = o.event.message.text()
		} else if c := o.condition("ReplicaFailure"); c.status == "True" {
			text = join(c.reason, c.message())
		}
		if text == "" {
			return nil
		}
		if of, phrase := refusal(text); of == code {
			return []Symptom{{Text: phrase}}
		}
		return nil
	}
}

// refusal returns the code and the text of the API server's refusal.
func refusal(text string) (code, phrase string) {
	text = line(text, 8*maxText)
	_, cause, forbidden := strings.Cut(text, " is forbidden: ")
	if !forbidden {
		cause = text
	}
	if _, denied, ok := strings.Cut(cause, "exceeded quota: "); ok {
		return "Quota", quotaText(denied)
	}
	if quota, missing, ok := strings.Cut(cause, ": must specify "); ok && strings.Contains(quota, "failed quota: ") {
		return "Quota", "quota " + after(quota, "failed quota: ") + ": must specify " + message(missing)
	}
	if name, why, ok := cutAround(cause, `admission webhook "`, `" denied the request`); ok {
		return "AdmissionDenied", join("webhook "+name+" denied", message(strings.TrimLeft(why, ": ")))
	}
	if name, why, ok := cutAround(cause, "ValidatingAdmissionPolicy '", "'"); ok {
		_, why, _ = strings.Cut(why, "denied request: ")
		return "AdmissionDenied", join("policy "+name+" denied", message(why))
	}
	if i := strings.Index(cause, "violates PodSecurity "); i >= 0 {
		return "AdmissionDenied", message(cause[i:])
	}
	if name, why, ok := cutAround(cause, `failed calling webhook "`, `"`); ok {
		return "WebhookFailed", join("webhook "+name+" failed", message(after(why, `": `)))
	}
	if forbidden && isLimit(cause) {
		return "LimitRange", join("LimitRange", message(strings.Trim(cause, "[]")))
	}
	if !forbidden {
		cause = strings.TrimPrefix(strings.TrimPrefix(text, "FailedCreate: "), "Error creating: ")
	}
	return "ReplicaFailure", join("FailedCreate", message(cause))
}

// isLimit reports whether a message is that of a LimitRange.
func isLimit(text string) bool {
	text = strings.TrimPrefix(text, "[")
	return (strings.HasPrefix(text, "maximum ") || strings.HasPrefix(text, "minimum ") ||
		strings.Contains(text, "limit to request ratio")) && strings.Contains(text, " per ")
}

// quotaText returns which quota was exceeded by which resources: "quota team-a
// exceeded: cpu, memory".
func quotaText(denied string) string {
	name, rest, _ := strings.Cut(denied, ", requested: ")
	requested, _, _ := strings.Cut(rest, ", used: ")
	var resources []string
	for item := range strings.SplitSeq(requested, ",") {
		resource, _, _ := strings.Cut(strings.TrimSpace(item), "=")
		if resource != "" && !slices.Contains(resources, resource) {
			resources = append(resources, resource)
		}
	}
	return join("quota "+line(name, maxName)+" exceeded", strings.Join(resources, ", "))
}

// cutAround returns the text between two others, and the text after both.
func cutAround(text, before, behind string) (between, rest string, ok bool) {
	_, text, ok = strings.Cut(text, before)
	if !ok {
		return "", "", false
	}
	between, rest, ok = strings.Cut(text, behind)
	return line(between, maxName), rest, ok
}

// Refusal returns the symptom of an Event about a pod that the API server
// refused to create. created reports an Event about one that was created. The
// record must have its object.
//
// StatefulSets, DaemonSets and Jobs have no condition for refusals, so their
// Events are the only record of them.
func Refusal(r *history.Record) (s Symptom, refused, created bool) {
	o := newObject(r, r.Time)
	if o.deleted || o.resource != events && o.resource != newEvents {
		return Symptom{}, false, false
	}
	if o.event.reason != "FailedCreate" {
		return Symptom{}, false, o.event.reason == "SuccessfulCreate"
	}
	found := o.symptoms()
	if len(found) == 0 {
		return Symptom{}, false, false
	}
	return found[0], true, false
}
