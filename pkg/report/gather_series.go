package report

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// Bounds of what charts show.
const (
	maxMarks     = 5_000  // of one lane
	maxVersions  = 20_000 // of pods and workloads that are read
	maxWorkloads = 24
)

// Series is what charts show.
type Series struct {
	Nodes     []Mark     // root changes of nodes
	Warnings  []Mark     // Kubernetes Events of the type Warning
	Unready   []Level    // the number of pods that are not ready
	Workloads []Workload // those that changed, the worst first

	// Until is the time up to which Unready and Workloads are known. It is zero
	// if they are complete.
	Until     time.Time
	MoreMarks bool // older marks were omitted
}

// Mark is a moment with a text.
type Mark struct {
	Time time.Time
	Text string
}

// Level is a number that holds from a time on.
type Level struct {
	Time time.Time
	N    int
}

// Workload is a workload with its numbers of pods.
type Workload struct {
	Namespace, Name string // the name with the kind: "deployment/web"
	Points          []Point
}

// Point are numbers of pods that hold from a time on.
type Point struct {
	Time           time.Time
	Ready, Desired int
}

// series reads what charts show, of the types that are recorded.
func (g *gatherer) series(ctx context.Context) error {
	if !g.q.Series {
		return nil
	}
	list, err := g.source.Resources(ctx)
	if err != nil {
		return err
	}
	known := func(group string, plurals ...string) (types []string) {
		for _, plural := range plurals {
			if slices.ContainsFunc(list.Resources, func(r v1.Resource) bool {
				return r.Group == group && r.Plural == plural && !r.Since.IsZero()
			}) {
				types = append(types, schema.GroupResource{Group: group, Resource: plural}.String())
			}
		}
		return types
	}
	s := &g.r.Series
	if types := known("", "nodes"); len(types) > 0 {
		scope := g.q.Namespace
		if scope != history.AllNamespaces {
			scope = history.ClusterScoped
		}
		q := client.EventsQuery{Namespace: scope, Resources: types, Classes: []history.Class{history.Root}}
		if s.Nodes, err = g.marks(ctx, q); err != nil {
			return err
		}
	}
	if types := append(known("", "events"), known("events.k8s.io", "events")...); len(types) > 0 {
		q := client.EventsQuery{Namespace: g.q.Namespace, Resources: types, EventTypes: []string{"Warning"}}
		if s.Warnings, err = g.marks(ctx, q); err != nil {
			return err
		}
	}
	types := append(known("", "pods"), known("apps", "deployments", "statefulsets", "daemonsets")...)
	if len(types) == 0 {
		return nil
	}
	return g.levels(ctx, types)
}

// marks reads the newest versions of a query as marks, oldest first. Deletions
// of Events are their expiry.
func (g *gatherer) marks(ctx context.Context, q client.EventsQuery) (marks []Mark, err error) {
	q.Start, q.End, q.Order, q.Summary, q.Limit = g.q.Start, g.until, history.NewestFirst, true, pageSize
	for e, err := range g.source.All(ctx, q) {
		if err != nil {
			return nil, err
		}
		if len(marks) == maxMarks {
			g.r.Series.MoreMarks = true
			break
		}
		if e.ResourceType == "events" && e.Verb == history.Delete.String() || e.Initial {
			continue
		}
		name := eventName(&e)
		if e.ResourceType == "events" { // the summary names what it regards
			name = ""
		}
		marks = append(marks, Mark{e.Timestamp, strings.TrimSpace(name + " " + e.Summary)})
	}
	slices.Reverse(marks)
	return marks, nil
}

// levels reads the versions of pods and workloads: those at the start, and
// those in between.
func (g *gatherer) levels(ctx context.Context, types []string) error {
	l := leveler{unready: map[string]bool{}, workloads: map[string]*Workload{}}
	start := g.q.Start
	if since := g.r.Coverage.Since; start.Before(since) {
		start = since
	}
	if !start.IsZero() {
		q := client.StateQuery{At: start, Namespace: g.q.Namespace, Resources: types, Limit: pageSize}
		for object, err := range g.source.Objects(ctx, q) {
			if code := history.CodeOf(err); code == history.NotFound || code == history.Gone {
				break // nothing was recorded at the start
			}
			if err != nil {
				return err
			}
			if err := l.add(start, object, false); err != nil {
				return err
			}
		}
	}
	n := 0
	for e, err := range g.source.All(ctx, client.EventsQuery{
		Namespace: g.q.Namespace, Resources: types, Start: start, End: g.until, Limit: pageSize,
	}) {
		if err != nil {
			return err
		}
		if n++; n > maxVersions {
			g.r.Series.Until = e.Timestamp
			break
		}
		if err := l.add(e.Timestamp, e.ObjectChanges, e.Verb == history.Delete.String()); err != nil {
			return err
		}
	}
	g.r.Series.Unready, g.r.Series.Workloads = l.levels, l.worst()
	return nil
}

// leveler counts pods that are not ready, and follows workloads.
type leveler struct {
	unready   map[string]bool // by UID
	levels    []Level
	workloads map[string]*Workload
	order     []string // of the workloads
}

// replicas are the fields of pods and workloads that are read.
type replicas struct {
	Kind     string
	Metadata struct{ Name, Namespace, UID string }
	Spec     struct{ Replicas *int }
	Status   struct {
		Phase                  string
		ReadyReplicas          int
		NumberReady            int
		DesiredNumberScheduled int
		Conditions             []struct{ Type, Status string }
	}
}

// add adds a version.
func (l *leveler) add(at time.Time, object json.RawMessage, deleted bool) error {
	var o replicas
	if err := json.Unmarshal(object, &o); err != nil {
		return fmt.Errorf("read the readiness of an object: %w", err)
	}
	if o.Kind == "Pod" {
		l.pod(at, &o, deleted)
		return nil
	}
	p := Point{Time: at, Ready: o.Status.ReadyReplicas, Desired: 1}
	switch {
	case deleted:
		p.Ready, p.Desired = 0, 0
	case o.Kind == "DaemonSet":
		p.Ready, p.Desired = o.Status.NumberReady, o.Status.DesiredNumberScheduled
	case o.Spec.Replicas != nil:
		p.Desired = *o.Spec.Replicas
	}
	name := strings.ToLower(o.Kind) + "/" + o.Metadata.Name
	key := o.Metadata.Namespace + "/" + name
	w := l.workloads[key]
	if w == nil {
		w = &Workload{Namespace: o.Metadata.Namespace, Name: name}
		l.workloads[key] = w
		l.order = append(l.order, key)
	}
	if n := len(w.Points); n == 0 || w.Points[n-1].Ready != p.Ready || w.Points[n-1].Desired != p.Desired {
		w.Points = append(w.Points, p)
	}
	return nil
}

// pod counts a pod. One that has completed does not have to be ready.
func (l *leveler) pod(at time.Time, o *replicas, deleted bool) {
	unready := !deleted && o.Status.Phase != "Succeeded"
	for _, c := range o.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			unready = false
		}
	}
	if unready {
		l.unready[o.Metadata.UID] = true
	} else {
		delete(l.unready, o.Metadata.UID)
	}
	n := len(l.levels)
	switch {
	case n > 0 && l.levels[n-1].N == len(l.unready):
	case n > 0 && l.levels[n-1].Time.Equal(at):
		l.levels[n-1].N = len(l.unready)
	default:
		l.levels = append(l.levels, Level{at, len(l.unready)})
	}
}

// worst returns the workloads that changed, those that lacked the most pods
// first.
func (l *leveler) worst() (all []Workload) {
	for _, key := range l.order {
		if len(l.workloads[key].Points) > 1 {
			all = append(all, *l.workloads[key])
		}
	}
	slices.SortStableFunc(all, func(a, b Workload) int { return b.missing() - a.missing() })
	return all[:min(len(all), maxWorkloads)]
}

// missing returns the largest number of pods that a workload lacked, with those
// at the end counted twice.
func (w *Workload) missing() (most int) {
	for _, p := range w.Points {
		most = max(most, p.Desired-p.Ready)
	}
	last := w.Points[len(w.Points)-1]
	return most + last.Desired - last.Ready
}
