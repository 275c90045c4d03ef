// Package problem finds the reason why an object is in trouble, in the object's
// own status.
//
// Clients search the text for words such as "CrashLoopBackOff" and
// "MemoryPressure". So it contains the words of the status.
//
// Invariant: nothing is reported for a healthy object, not even that a
// condition is false.
//
// The package reads only the object. It does not guess from Events, from ages,
// or from missing fields.
package problem

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// The bounds of one text of a status, and of the whole reason, in runes.
const (
	detailWidth = 240
	reasonWidth = 1000
)

// Of returns the problem of an object in one line, or "" if it has none. The
// object and its previous version are JSON. The previous version may be nil. It
// shows whether a restart is recent. An object that can't be decoded has no
// problem.
func Of(resource schema.GroupResource, object, before []byte) string {
	var reasons []string
	switch resource {
	case schema.GroupResource{Resource: "pods"}:
		reasons = pod(object, before)
	case schema.GroupResource{Resource: "nodes"}:
		reasons = node(object)
	case schema.GroupResource{Resource: "persistentvolumeclaims"}, schema.GroupResource{Resource: "persistentvolumes"}:
		reasons = volume(object)
	case schema.GroupResource{Resource: "events"}, schema.GroupResource{Group: "events.k8s.io", Resource: "events"}:
		reasons = event(object)
	default:
		reasons = workload(resource, object)
	}
	return cut(strings.Join(reasons, "; "), reasonWidth)
}

// Begins reports whether an object with a problem had none in the previous
// version. A pod that starts is not ready for a while: its problem does not
// begin then.
func Begins(resource schema.GroupResource, object, before []byte) bool {
	if Of(resource, before, nil) != "" {
		return false
	}
	if resource != (schema.GroupResource{Resource: "pods"}) {
		return true
	}
	p, was := readPod(object), readPod(before)
	return !slices.Equal(pod(object, before), p.unready()) || was.isReady()
}

// narrow returns the object with only the named members. Decoding walks over
// each byte three times, and most members are not needed. It returns nil if the
// value is not an object.
func narrow(object []byte, names ...string) []byte {
	scan := rawjson.ScanValid(object)
	if scan.Kind() != rawjson.Object {
		return nil
	}
	narrowed := []byte{'{'}
	for at, key := range scan.Members() {
		if !slices.Contains(names, string(key)) {
			continue
		}
		if scan.Skip(); len(narrowed) > 1 {
			narrowed = append(narrowed, ',')
		}
		narrowed = append(narrowed, object[at:scan.Offset()]...)
	}
	if scan.End() != nil {
		return nil
	}
	return append(narrowed, '}')
}

// decode decodes the fields of an object that T has.
func decode[T any](object []byte) T {
	var into T
	if json.Unmarshal(object, &into) != nil {
		var none T
		return none
	}
	return into
}

// colon joins the parts that are not empty with colons: "CrashLoopBackOff:
// back-off 5m0s …".
func colon(parts ...string) string {
	var texts []string
	for _, p := range parts {
		if p = cut(strings.Join(strings.Fields(p), " "), detailWidth); p != "" {
			texts = append(texts, p)
		}
	}
	return strings.Join(texts, ": ")
}

// cut shortens a text to at most width runes, with an ellipsis.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
