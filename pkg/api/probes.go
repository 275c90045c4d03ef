package api

import (
	"fmt"
	"io"
	"net/http"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// healthBody is the whole answer of [v1.HealthPath], byte for byte.
const healthBody = `{"status":"` + v1.HealthyStatus + `"}`

// hiddenDetails is the second line of [v1.ReadyzPath] for a caller who may not
// read the others.
const hiddenDetails = "not in sync: the details are for callers who may get " + v1.MetricsPath + "\n"

// health answers while the process serves.
func health(w http.ResponseWriter) {
	w.Header().Set(headerType, v1.ContentType)
	_, _ = io.WriteString(w, healthBody)
}

// livez answers "ok" while the process serves.
func livez(w http.ResponseWriter) {
	w.Header().Set(headerType, "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// readyz answers "ok", followed by what is missing. It never fails: a resource
// that can't be listed must not make the history of all others unavailable.
func (h *handler) readyz(w http.ResponseWriter, r *http.Request) {
	refused, missing := h.options.Refused(), h.options.Missing()
	livez(w)
	if !h.options.Details(r.Context()) {
		if refused != nil || len(missing) > 0 {
			_, _ = io.WriteString(w, hiddenDetails)
		}
		return
	}
	if refused != nil {
		_, _ = fmt.Fprintf(w, "nothing is recorded now: %v\n", refused)
	}
	if len(missing) > 0 {
		_, _ = io.WriteString(w, "not in sync:\n")
	}
	for _, line := range missing {
		_, _ = io.WriteString(w, printable.Line(line)+"\n")
	}
}
