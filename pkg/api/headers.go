package api

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// roomForMore is left in a header for its last entry, "+N more".
const roomForMore = len(", +1000000 more")

// writeCoverage says since when an answer's resources are recorded, and which of
// them are not. An answer without records says it as well: that is where silence
// would be taken for "nothing happened".
func writeCoverage(w http.ResponseWriter, c query.Coverage) {
	if !c.Since.IsZero() {
		w.Header().Set(v1.SinceHeader, inSeconds(c.Since))
		if c.Trimmed {
			w.Header().Set(v1.SinceTrimmedHeader, "true")
		}
	}
	var entries []string
	for _, a := range c.Absent {
		entries = append(entries, a.Resource.GroupResource().String()+" "+a.Reason)
	}
	for _, r := range c.Late {
		entries = append(entries, r.GroupResource().String()+" before="+inSeconds(r.Since))
	}
	if len(entries) > 0 {
		w.Header().Set(v1.NotRecordedHeader, strings.Map(visible, joined(entries, v1.MaxNotRecordedLength)))
	}
}

// inSeconds writes a time. A fraction would be more than is known: changes of
// that second may be missing.
func inSeconds(t time.Time) string {
	return t.UTC().Add(time.Second - 1).Truncate(time.Second).Format(time.RFC3339)
}

// joined joins as many of the entries as fit, and says how many do not.
func joined(entries []string, most int) string {
	text := ""
	for i, e := range entries {
		if i > 0 {
			e = ", " + e
		}
		if len(text)+len(e) > most-roomForMore {
			return fmt.Sprintf("%s, +%d more", text, len(entries)-i)
		}
		text += e
	}
	return text
}
