package admin

import (
	"fmt"
	"io"
	"time"

	"github.com/watchhistory/watchhistory/pkg/store"
)

// tell prints what a repair does: the damaged files, what is lost, and what is not.
func tell(w io.Writer, r *store.Report) {
	for _, f := range r.Files {
		_, _ = fmt.Fprintf(w, "%s: %s: %s\n", f.Name, f.Problem, f.Repair)
	}
	versions, objects := r.Lost()
	_, _ = fmt.Fprintf(w, "lost: %d versions of %d objects\n", versions, objects)
	for _, l := range r.Losses() {
		resource := l.Resource
		if resource == "" {
			resource = "of an unknown resource"
		}
		_, _ = fmt.Fprintf(w, "lost: %s %s: %d versions of %d objects, from %s to %s\n", l.Day, resource, l.Versions, l.Objects,
			l.From.Format(time.TimeOnly), l.To.Format(time.TimeOnly))
	}
	if r.Unknown {
		_, _ = fmt.Fprintln(w, "lost: versions of which nothing is left to count them by; gaps cover their time")
	}
	for _, n := range []struct {
		count int
		text  string
	}{
		{r.Bare, "deletions lose their object's JSON"},
		{r.Unattributed, "versions lose who wrote them and their summary"},
		{r.Forgotten, "objects have no version left and are recorded again when they are seen"},
		{r.Restored, "entries are restored from others"},
		{r.Gaps, "gaps say what is missing"},
	} {
		if n.count > 0 {
			_, _ = fmt.Fprintf(w, "%d %s\n", n.count, n.text)
		}
	}
	if r.NewKey {
		_, _ = fmt.Fprintln(w, "the key that values of Secrets are hashed with is lost: a new one is made, and hashes from before can't be compared with later ones")
	}
}
