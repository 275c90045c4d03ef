// Package load sends writes to an API server and records the truth: one [Write]
// for each request that the server accepted and that changed an object.
//
// A recorder can be compared with the truth only if nothing else writes to the
// same objects. Pods name a scheduler that does not exist and have no owner, so
// the scheduler, kwok and the controllers ignore them. No controller writes to
// the other kinds. If an update conflicts with another writer's version, the
// run fails, because the truth would be incomplete.
//
// The truth does not contain the namespace and the CRD, which are created
// before the load. Nor does it contain the ConfigMap that the controller
// manager creates in every namespace.
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
	// ResourceVersion is that of the write's watch event. It is empty for a
	// delete, because no response contains it. uid and verb identify a delete.
	ResourceVersion string `json:"resourceVersion"`
	Verb            string `json:"verb"`
}

// Options describe a load. Each object is created, updated Updates times and,
// with Delete, deleted. A pod is deleted by two writes: an update that marks
// it, and the delete. An object has one writer. A writer completes each step
// for all of its objects before the next step.
type Options struct {
	Namespace string
	// Prefix is the beginning of the objects' names. It distinguishes runs.
	Prefix  string
	Kinds   []string
	Objects int
	Updates int
	Writers int
	// Rate is the maximum number of writes per second of all writers. 0 means
	// no limit.
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

// Run runs the load until it is complete, ctx is done or a write fails. It
// calls sink with every accepted write, from several goroutines. The writes of
// one object are in order. An error of sink ends the run. If a connection
// breaks during a request, Run waits for the API server and checks whether the
// write was accepted.
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

// outagePatience is how long a run waits for an unavailable API server.
const outagePatience = 2 * time.Minute
