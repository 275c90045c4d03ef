package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// writer writes to its objects. It is their only writer.
type writer struct {
	options Options
	limiter *rate.Limiter
	sink    func(Write) error
	objects []*object
}

// object is one of a writer's objects, with the server's current version.
type object struct {
	kind    kind
	name    string
	current metav1.Object
}

func (w *writer) run(ctx context.Context) error {
	if err := w.each(ctx, Create, func(ctx context.Context, o *object) (metav1.Object, error) {
		return o.kind.create(ctx, o.name)
	}); err != nil {
		return err
	}
	for n := range w.options.Updates {
		if err := w.each(ctx, Update, func(ctx context.Context, o *object) (metav1.Object, error) {
			return o.kind.update(ctx, o.current, n+1)
		}); err != nil {
			return err
		}
	}
	if !w.options.Delete {
		return nil
	}
	if err := w.mark(ctx); err != nil {
		return err
	}
	return w.each(ctx, Delete, func(ctx context.Context, o *object) (metav1.Object, error) {
		return o.current, o.kind.delete(ctx, o.current)
	})
}

// mark marks the objects for deletion whose kind requires it.
func (w *writer) mark(ctx context.Context) error {
	for _, o := range w.objects {
		if m, ok := o.kind.(marker); ok {
			if err := w.step(ctx, o, Update, func(ctx context.Context, o *object) (metav1.Object, error) {
				return m.mark(ctx, o.current)
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

type request func(context.Context, *object) (metav1.Object, error)

// each makes one write to every object.
func (w *writer) each(ctx context.Context, verb string, send request) error {
	for _, o := range w.objects {
		if err := w.step(ctx, o, verb, send); err != nil {
			return err
		}
	}
	return nil
}

// step makes one write and adds it to the truth.
func (w *writer) step(ctx context.Context, o *object, verb string, send request) error {
	if err := w.limiter.Wait(ctx); err != nil {
		return err
	}
	now, err := w.write(ctx, o, verb, send)
	if err != nil {
		return fmt.Errorf("%s %s %s: %w", verb, o.kind.resource().Resource, o.name, err)
	}
	if err := w.sink(o.written(verb, now)); err != nil {
		return fmt.Errorf("keep truth: %w", err)
	}
	if verb != Delete {
		o.current = now
	}
	return nil
}

// write sends a request until the server's response, or the object's state
// afterwards, shows that the write was accepted. After a lost response, the
// lost request may still succeed before the repeated one.
func (w *writer) write(ctx context.Context, o *object, verb string, send request) (metav1.Object, error) {
	deadline := time.Now().Add(outagePatience)
	for unsure := false; ; unsure = true {
		now, err := send(ctx, o)
		open := broken(err) || unsure && overtaken(err)
		if err == nil || ctx.Err() != nil || !open {
			return now, err
		}
		now, accepted, askErr := o.ask(ctx, verb, deadline)
		if askErr != nil || accepted {
			return now, askErr
		}
	}
}

// overtaken reports whether err is the error of a repeated request after the
// first one has succeeded.
func overtaken(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

// broken reports whether the server may have accepted the write in spite of
// err. That is so if err is not a response of the API server, or one from its
// shutdown.
func broken(err error) bool {
	if status := apierrors.APIStatus(nil); !errors.As(err, &status) {
		return true
	}
	return apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) ||
		apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsTooManyRequests(err)
}

// ask waits for the server. It reports whether the write was accepted, by
// comparing the server's version of the object with the version before the
// write.
func (o *object) ask(ctx context.Context, verb string, deadline time.Time) (metav1.Object, bool, error) {
	for {
		now, err := o.kind.get(ctx, o.name)
		switch {
		case err == nil && verb == Create:
			return now, true, nil
		case err == nil && verb == Update:
			return now, now.GetResourceVersion() != o.current.GetResourceVersion(), nil
		case err == nil:
			return o.current, false, nil
		case apierrors.IsNotFound(err):
			return o.current, verb == Delete, nil
		case !broken(err) || ctx.Err() != nil || time.Now().After(deadline):
			return nil, false, err
		}
		select {
		case <-ctx.Done():
			return nil, false, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// written returns the truth's entry for the version that the server has now, or
// had last.
func (o *object) written(verb string, now metav1.Object) Write {
	gvr := o.kind.resource()
	write := Write{
		Group: gvr.Group, Resource: gvr.Resource, Verb: verb,
		Namespace: now.GetNamespace(), Name: o.name, UID: string(now.GetUID()),
	}
	if verb != Delete {
		write.ResourceVersion = now.GetResourceVersion()
	}
	return write
}
