// Package load drives writes against an API server and keeps the truth about
// them: one Write for each request that the server accepted and that changed
// an object, and nothing else.
//
// A recorder can be compared with that truth only where nobody else writes to
// the same objects. Pods name a scheduler that does not exist and belong to
// nobody, so the scheduler, kwok and the controllers leave them alone; the
// other kinds interest no controller. An update that meets a foreign version
// fails the run instead of leaving a hole in the truth.
//
// The namespace, and the definition of the custom resource, are made before
// the load and are no part of the truth; nor are the ConfigMaps that the
// controller manager puts into every namespace.
package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
	"k8s.io/client-go/rest"
)

// The verbs of a Write.
const (
	Create = "create"
	Update = "update"
	Delete = "delete"
)

// Write is one accepted write.
type Write struct {
	Group     string `json:"group"`
	Resource  string `json:"resource"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// ResourceVersion is the one that a watch shows with this write. It is
	// empty for a delete, since no response tells it: uid and verb identify
	// a delete all the same.
	ResourceVersion string `json:"resourceVersion"`
	Verb            string `json:"verb"`
}

// Options describe a load. Each object is created, updated Updates times and,
// with Delete, deleted (a pod by two writes, an update that marks it and the
// delete proper), always by the same writer; a writer takes all of its
// objects through one step before the next.
type Options struct {
	Namespace string
	// Prefix begins the objects' names, and tells runs apart.
	Prefix  string
	Kinds   []string
	Objects int
	Updates int
	Writers int
	// Rate limits the writes per second of all writers together; 0 does not.
	Rate   float64
	Delete bool
}

func (o Options) validate() error {
	switch {
	case o.Objects < 1 || o.Writers < 1:
		return errors.New("a load needs at least one object and one writer")
	case o.Updates < 0 || o.Rate < 0:
		return errors.New("updates and rate can't be negative")
	case len(o.Kinds) == 0:
		return fmt.Errorf("a load needs kinds: choose from %v", Kinds())
	}
	return nil
}

// Run drives the load until it is complete, ctx is done or a write fails.
// The sink gets every accepted write, from several goroutines; those of one
// object come in their order. An error of the sink ends the run. Where a
// connection breaks in the middle of a request, the run waits for the API
// server to come back and finds out whether the write was accepted.
func Run(ctx context.Context, config *rest.Config, o Options, sink func(Write) error) error {
	if err := o.validate(); err != nil {
		return err
	}
	kinds, err := open(ctx, config, o)
	if err != nil {
		return err
	}
	limiter := rate.NewLimiter(rate.Inf, 0)
	if o.Rate > 0 {
		limiter = rate.NewLimiter(rate.Limit(o.Rate), max(1, int(o.Rate/20)))
	}
	group, ctx := errgroup.WithContext(ctx)
	for i := range min(o.Writers, o.Objects) {
		w := &writer{options: o, limiter: limiter, sink: sink}
		for n := i; n < o.Objects; n += o.Writers {
			w.objects = append(w.objects, &object{
				kind: kinds[n%len(kinds)], name: fmt.Sprintf("%s-%06d", o.Prefix, n),
			})
		}
		group.Go(func() error { return w.run(ctx) })
	}
	return group.Wait()
}

// outagePatience bounds how long a run waits for an API server to come back.
const outagePatience = 2 * time.Minute
