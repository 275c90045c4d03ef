// Package problem finds the reason why an object is in trouble, in its own status.
//
// Clients look for words in the reason ("CrashLoopBackOff", "MemoryPressure"), so it says them as the status does, and its
// invariant is that it says nothing about what is fine: of a healthy object there is no word, not even that a condition is
// false.
//
// It reads only what the API server wrote. It does not guess from Events, from ages or from what is missing.
package problem

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// The bounds of a text from a status, and of the whole reason, in runes.
const (
	detailWidth = 240
	reasonWidth = 1000
)

// Of returns what is wrong with the object, given as JSON, in one line; "" where nothing is. The version before may be nil;
// it tells a restart that just happened from one of long ago. What cannot be decoded has no trouble to tell.
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

// narrow returns the object with no other members than these: decoding walks over each byte three times, and most of an
// object's are of no interest. What is no object becomes nothing.
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

// decode reads as much of an object as T has fields for.
func decode[T any](object []byte) T {
	var into T
	if json.Unmarshal(object, &into) != nil {
		var none T
		return none
	}
	return into
}

// colon joins the parts that say something with colons: "CrashLoopBackOff: back-off 5m0s …".
func colon(parts ...string) string {
	var said []string
	for _, p := range parts {
		if p = cut(strings.Join(strings.Fields(p), " "), detailWidth); p != "" {
			said = append(said, p)
		}
	}
	return strings.Join(said, ": ")
}

// cut shortens a text to that many runes, with an ellipsis.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
