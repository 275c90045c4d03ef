package api

import (
	"fmt"
	"io"
	"net/http"
	"slices"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// The states of resources that are not recorded. One that was recorded once is
// stopped, though the configuration does not name it any more.
const (
	stateStopped       = "stopped"
	stateNotConfigured = "not_configured"
)

// healthy is the whole body of an answer, to the byte.
const healthy = `{"status":"healthy"}`

func health(w http.ResponseWriter) {
	w.Header().Set(headerType, contentTypeJSON)
	_, _ = io.WriteString(w, healthy)
}

func livez(w http.ResponseWriter) {
	w.Header().Set(headerType, "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n")
}

// readyz answers "ok" as soon as what is recorded can be asked for, and then
// what is missing. One resource that can't be listed must not keep people from
// the history of all others.
func (h *handler) readyz(w http.ResponseWriter) {
	refused, missing := h.options.Refused(), h.options.Missing()
	livez(w)
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

// resources answers with the catalogue: what is recorded, waited for or served, and then what was recorded once.
func (h *handler) resources(w http.ResponseWriter, r *http.Request) {
	catalogue, err := h.service.Resources(r.Context())
	if err != nil {
		h.fail(w, r, err)
		return
	}
	list := v1.ResourceList{Resources: append([]v1.Resource{}, h.options.States()...)}
	for _, c := range catalogue {
		known := slices.IndexFunc(list.Resources, func(l v1.Resource) bool { return l.Group == c.Group && l.Plural == c.Plural })
		if known >= 0 {
			l := &list.Resources[known]
			if l.Since = c.Since; l.State == stateNotConfigured {
				l.State = stateStopped
			}
			l.Former = former(c)
			continue
		}
		list.Resources = append(list.Resources, v1.Resource{
			Group: c.Group, Version: c.Version, Plural: c.Plural, Singular: c.Singular, Kind: c.Kind,
			ShortNames: c.ShortNames, Namespaced: c.Namespaced, Former: former(c), State: stateStopped, Since: c.Since,
		})
	}
	writeJSON(w, http.StatusOK, list)
}

func former(r history.Resource) (all []v1.Definition) {
	for _, d := range r.Former {
		all = append(all, v1.Definition{Kind: d.Kind, Singular: d.Singular, ShortNames: d.ShortNames, Namespaced: d.Namespaced})
	}
	return all
}
