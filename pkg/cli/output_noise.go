package cli

import (
	"fmt"
	"slices"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// visible returns the events that a table shows: without noise, which has no
// summary. Noise is an update of nothing but noise fields, and the expiry of a
// Kubernetes Event.
func (o *output) visible(events []v1.Event, noise bool) []v1.Event {
	if noise || !o.isTable() {
		return events
	}
	return slices.DeleteFunc(slices.Clone(events), func(e v1.Event) bool { return e.Verb != "create" && e.Summary == "" })
}

// hiddenNote says how many were left out.
func hiddenNote(n int, noun string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%s with noise only %s hidden; --show-noise lists them", plural(n, noun), are(n))
}

// whoNote explains the question mark that a table shows as WHO, once.
func (o *output) whoNote(shown []v1.Event) string {
	if !o.isTable() || !slices.ContainsFunc(shown, func(e v1.Event) bool { return render.IsAnonymous(&e) }) {
		return ""
	}
	return "? = the API server does not record who made this change (deletions, removed fields, some scaling); audit logs do"
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func are(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}
