package query

import (
	"context"
	"regexp"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/why"
)

// serviceHost matches the host of a Service: its name, its namespace and svc.
var serviceHost = regexp.MustCompile(
	`(?:^|[^-.a-z0-9])([a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)\.([a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?)\.svc(?:[^-a-z0-9]|$)`)

// maxHosts bounds the Services in other namespaces whose changes are read.
const maxHosts = 3

// distantHost is what may have changed of a Service in another namespace: the
// objects of its name.
type distantHost struct {
	filter history.Filter
	neighbour
}

// hosts returns the Services in other namespaces that texts of the symptoms
// name. The workload of a Service usually has the same name.
func (w *investigation) hosts(ctx context.Context) (all []distantHost, err error) {
	known := map[string]bool{}
	for i := range w.answer.Symptoms {
		for _, m := range serviceHost.FindAllStringSubmatch(w.answer.Symptoms[i].Text, maxHosts) {
			name, namespace := m[1], m[2]
			if known[name+"."+namespace] || len(all) == maxHosts || namespace == w.answer.Of.Ref.Namespace {
				continue
			}
			known[name+"."+namespace] = true
			h := distantHost{neighbour: neighbour{distance: why.Elsewhere, named: true}}
			h.filter.Namespace, h.filter.Name = history.ScopeOf(namespace), name
			q := Timeline{Filter: history.Filter{Namespace: h.filter.Namespace}}
			if h.filter.View, err = w.service.viewOfConsequences(ctx, q); err != nil {
				return nil, err
			}
			all = append(all, h)
		}
	}
	return all, nil
}
