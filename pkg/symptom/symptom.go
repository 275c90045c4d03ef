package symptom

import (
	"iter"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Symptom is one thing that is wrong with an object.
type Symptom struct {
	// Code is stable, for grouping: "ImagePull".
	Code string
	// Subject is the part of the object that has the symptom: a container or a
	// condition. It is empty for the whole object.
	Subject string
	// Text is a short phrase in one line: "ImagePullBackOff".
	Text string
}

// maxSymptoms bounds the symptoms of one version.
const maxSymptoms = 16

// Of returns the symptoms that a version shows at its time, most serious first.
// The record must have its object. A part of an object has at most one symptom.
//
// A deleted object has the symptoms of its last state. An Event whose reason is
// not a symptom, and one that expired, has none.
func Of(r *history.Record) []Symptom { return At(r, r.Time) }

// At returns the symptoms that a version shows at a time at which it is still
// the newest. Some states are symptoms only if they last, such as a claim that
// is not bound.
func At(r *history.Record, at time.Time) []Symptom { return newObject(r, at).symptoms() }

// Codes returns all codes, most serious first.
func Codes() []string {
	var all []string
	for i := range rules {
		if !slices.Contains(all, rules[i].code) {
			all = append(all, rules[i].code)
		}
	}
	return all
}

// rule finds one kind of symptom.
type rule struct {
	name string
	code string
	// resources are those whose objects can have the symptom. If they are nil,
	// all can have it.
	resources []schema.GroupResource
	// custom means that objects of custom resources can have it, and no others.
	custom bool
	// fallback means that the symptom is not of interest if there is another.
	fallback bool
	// find returns the symptoms, without their codes.
	find func(o *object) []Symptom
}

// applies reports whether objects of a resource can have the symptom.
func (r *rule) applies(resource schema.GroupResource) bool {
	switch {
	case r.custom:
		return isCustom(resource)
	case r.resources == nil:
		return true
	default:
		return slices.Contains(r.resources, resource)
	}
}

// symptoms returns the symptoms of the object, in the order of the rules.
func (o *object) symptoms() (found []Symptom) {
	for _, s := range o.apply() {
		found = append(found, s)
	}
	return found
}

// apply yields the symptoms of the object, and the rules that found them.
func (o *object) apply() iter.Seq2[*rule, Symptom] {
	return func(yield func(*rule, Symptom) bool) {
		if o.deleted && history.IsEventResource(o.resource) {
			return // it expired
		}
		var found []Symptom
		for i := range rules {
			r := &rules[i]
			if !r.applies(o.resource) || r.fallback && len(found) > 0 {
				continue
			}
			for _, s := range r.find(o) {
				s.Code, s.Subject, s.Text = r.code, line(s.Subject, maxName), line(s.Text, maxText)
				if s.Text == "" || isKnown(found, s.Subject) {
					continue
				}
				if len(found) == maxSymptoms || !yield(r, s) {
					return
				}
				found = append(found, s)
			}
		}
	}
}

// isKnown reports whether a part of the object has a symptom already.
func isKnown(found []Symptom, subject string) bool {
	return subject != "" && slices.ContainsFunc(found, func(s Symptom) bool { return s.Subject == subject })
}

// whole returns a rule's function that finds one symptom of the whole object.
func whole(text func(o *object) string) func(o *object) []Symptom {
	return func(o *object) []Symptom {
		if t := text(o); t != "" {
			return []Symptom{{Text: t}}
		}
		return nil
	}
}
