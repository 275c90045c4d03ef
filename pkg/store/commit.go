package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// commitWithin is how long a commit may take that is under way when its context ends: half a batch is worse than a late end.
const commitWithin = 5 * time.Second

// Append commits a batch, sets the Time and Revision of its records and, where it is zero, the Time of its checkpoints,
// and returns once readers see it; unless [Options.NoSync] is set, it is on disk then. A batch that does not fit one
// transaction is cut between records. What says that something is missing, open gaps and checkpoints without an RV,
// commits with the first part; what says that nothing is, other checkpoints and the ends of gaps, with the last.
//
// An invalid batch is a [history.Invalid] error, and one for which the volume has no room a [history.Unavailable] one; nothing
// of it is committed, and the log goes on. After any other error of a commit the log can't be appended to until it is
// opened again: what was committed is then told by the heads and checkpoints.
//
// A disk that takes no table blocks a commit, and whoever begins to read meanwhile, for as long. When ctx ends, it is waited for a
// little; what becomes of it then is told by the log alone, and the batch must not be touched any more.
func (s *Store) Append(ctx context.Context, b *history.Batch) error {
	if err := checkBatch(b); err != nil {
		return err
	}
	err := s.appendWithin(ctx, b)
	_, damage := errors.AsType[*damageError](err)
	_, begun := errors.AsType[*writeError](err)
	if !begun && (damage || errors.Is(err, errRepairing)) {
		if err = s.repairs.wait(); err == nil || errors.Is(err, errClosed) {
			err = s.appendWithin(ctx, b)
		}
	}
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	return nil
}

// writeError is an error after which a part of a batch may be committed.
type writeError struct{ error }

// Unwrap returns what went wrong.
func (w *writeError) Unwrap() error { return w.error }

func (s *Store) appendWithin(ctx context.Context, b *history.Batch) error {
	release, err := s.use()
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		defer release()
		done <- s.append(ctx, b)
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done:
		case <-time.After(commitWithin):
			err = ctx.Err()
		}
	}
	return err
}

func (s *Store) append(ctx context.Context, b *history.Batch) error {
	bodies, size := s.encodeAll(b.Records), int64(0)
	for _, r := range b.Records {
		size += int64(len(r.Object))
	}
	s.commits.Lock()
	defer s.commits.Unlock()
	if err := errors.Join(s.failed, ctx.Err()); err != nil {
		return err
	}
	if err := errors.Join(s.tables(), s.numbers(b), s.room(size), s.checkHeads(b)); err != nil {
		return err
	}
	if err := s.write(b, bodies); err != nil {
		return &writeError{s.fail(err)}
	}
	if s.spareNumbers != s.numbersGiven() && s.now().Sub(s.sparedAt) >= spareEvery {
		s.copySpare()
	}
	return nil
}

// checkHeads checks the blocks that may have the heads of a batch's objects, and the numbers of what it names: an older head, or none,
// would be taken for the object's if the newest is in a damaged block. The caller holds commits.
func (s *Store) checkHeads(b *history.Batch) error {
	return s.db.View(func(txn *badger.Txn) error {
		var heads []keyRange
		for _, r := range b.Records {
			if _, known := s.objects.get(r.Ref); known {
				continue
			}
			resource, err := s.terms.number(txn, resourceTerm(r.Ref.GroupResource()))
			namespace := uint32(0)
			if err == nil && r.Ref.Namespace != "" {
				namespace, err = s.terms.number(txn, term{key.Namespaces, r.Ref.Namespace})
			}
			if err == nil {
				_, err = s.terms.number(txn, term{key.Kinds, codec.Pair(r.Version, r.Kind)})
			}
			if err == nil && resource != 0 {
				heads = append(heads, onlyKey(key.Head(uint16(resource), namespace, r.Ref.Name, string(r.Ref.UID))))
			}
			if err != nil {
				return err
			}
		}
		return s.sound.check(heads...)
	})
}

// fail lets nothing be committed until the log is opened again, and returns why. The caller holds commits.
func (s *Store) fail(err error) error {
	s.failed = fmt.Errorf("the history's database failed and must be opened again: %w", err)
	return err
}

// write commits the batch in as few transactions as it fits. The context is not asked in between: half a batch is worse
// than a late end.
func (s *Store) write(b *history.Batch, bodies []body) error {
	w := s.newWriter()
	defer func() { w.txn.Discard() }()
	if err := w.claims(b, true); err != nil {
		return err
	}
	for i, r := range b.Records {
		if err := w.record(r, bodies[i]); err != nil {
			return fmt.Errorf("%s: %w", r.Ref, err)
		}
	}
	if err := w.claims(b, false); err != nil {
		return err
	}
	return w.commit()
}

// claims adds what the batch says about its resources: that something is missing, or that nothing is.
func (w *writer) claims(b *history.Batch, missing bool) error {
	for i := range b.Gaps {
		if b.Gaps[i].Open() != missing {
			continue
		}
		if err := w.gap(&b.Gaps[i]); err != nil {
			return fmt.Errorf("gap: %w", err)
		}
	}
	for i := range b.Checkpoints {
		if (b.Checkpoints[i].RV == "") != missing {
			continue
		}
		if err := w.checkpoint(&b.Checkpoints[i]); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	return nil
}

func checkBatch(b *history.Batch) error {
	for _, r := range b.Records {
		if err := checkRecord(r); err != nil {
			return err
		}
	}
	for _, c := range b.Checkpoints {
		if err := checkResource(schema.GroupResource{Group: c.Group, Resource: c.Resource}); err != nil {
			return err
		}
	}
	for _, g := range b.Gaps {
		if err := checkGap(g); err != nil {
			return err
		}
	}
	return nil
}

func checkGap(g history.Gap) error {
	if g.Start.IsZero() {
		return history.Errorf(history.Invalid, "a gap of %s has no start", g.GroupResource())
	}
	return checkResource(g.GroupResource())
}

func checkRecord(r *history.Record) error {
	switch {
	case r.Verb < history.Create || r.Verb > history.Delete:
		return history.Errorf(history.Invalid, "record of %s has no verb", r.Ref)
	case r.Ref.Name == "" || len(r.Ref.Name) > history.MaxText || len(r.Ref.UID) > history.MaxText || len(r.Ref.Namespace) > history.MaxText:
		return history.Errorf(history.Invalid, "record of %s has an empty name, or one too long", r.Ref.GroupResource())
	case r.Ref.Namespace == history.ClusterScoped.String():
		return history.Errorf(history.Invalid, "record of %s: %q is not a namespace", r.Ref, r.Ref.Namespace)
	case len(r.Version)+len(r.Kind) > history.MaxText:
		return history.Errorf(history.Invalid, "record of %s has a kind too long", r.Ref)
	case len(r.Owners) > history.MaxOwners, len(r.ManagedHashes) > history.MaxManagedEntries, r.Attributes() > history.MaxAttributes:
		return history.Errorf(history.Invalid, "record of %s names too much beside its object: %d owners, %d writers, %d bytes",
			r.Ref, len(r.Owners), len(r.ManagedHashes), r.Attributes())
	case len(r.Object) > codec.MaxObject:
		return history.Errorf(history.Invalid, "object %s has %d bytes; the most that can be kept is %d",
			r.Ref, len(r.Object), codec.MaxObject)
	default:
		return checkResource(r.Ref.GroupResource())
	}
}

func checkResource(r schema.GroupResource) error {
	if r.Resource == "" || len(r.Resource)+len(r.Group) > history.MaxText {
		return history.Errorf(history.Invalid, "resource %q has an empty name, or one too long", r)
	}
	return nil
}
