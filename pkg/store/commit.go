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

// commitGrace is how long Append waits for a running commit after its context
// ends. A late result is better than an unknown one.
const commitGrace = 5 * time.Second

// Append commits a batch and returns once readers see it. Unless
// [Options.NoSync] is set, the batch is on disk by then. Append sets the Time
// and Revision of the batch's versions, and the Time of its checkpoints if that
// is zero.
//
// A batch that exceeds a transaction is split between versions. Open gaps and
// checkpoints without an RV commit with the first part, because they claim that
// something is missing. Other checkpoints and the ends of gaps claim that
// nothing is missing, and commit with the last part.
//
// An invalid batch is a [history.Invalid] error. If the volume has no space for
// it, the error is [history.Unavailable]. In both cases nothing is committed,
// and the log accepts further batches. After any other error of a commit the
// log is read-only until it is opened again; its heads and checkpoints then
// show what was committed.
//
// If the disk blocks, the commit and all readers that begin during the commit
// block too. When ctx ends, Append waits for a few seconds and then returns
// while the commit is still running. The caller must not use the batch any more
// in that case.
func (s *Store) Append(ctx context.Context, b *history.Batch) error {
	if err := checkBatch(b); err != nil {
		return err
	}
	if err := s.retryUnwritten(func() error { return s.appendInBackground(ctx, b) }); err != nil {
		return fmt.Errorf("append: %w", err)
	}
	return nil
}

// writeError is an error after which a part of the batch may be committed.
type writeError struct{ error }

// Unwrap returns the cause.
func (w *writeError) Unwrap() error { return w.error }

// appendInBackground runs append in a goroutine, and stops waiting for it
// commitGrace after the context ends. The goroutine keeps the database open
// until the commit has ended.
func (s *Store) appendInBackground(ctx context.Context, b *history.Batch) error {
	release, err := s.acquire()
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
		case <-time.After(commitGrace):
			err = ctx.Err()
		}
	}
	return err
}

// append commits a valid batch:
//
//  1. Encode the bodies concurrently, without a lock.
//  2. Lock commitMu.
//  3. Check everything that may reject the batch: the number of tables, disk
//     space, and what the batch reads; see prepare.
//  4. Write the transactions. An error makes the log read-only.
//  5. Copy the dictionaries to the spare file if they changed.
func (s *Store) append(ctx context.Context, b *history.Batch) error {
	bodies, size := s.encodeAll(b.Versions), int64(0)
	for _, r := range b.Versions {
		size += int64(len(r.Object))
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := errors.Join(s.failed, ctx.Err()); err != nil {
		return err
	}
	if err := errors.Join(s.checkTableCount(), s.checkSpace(size)); err != nil {
		return err
	}
	heads, err := s.prepare(b)
	if err != nil {
		return err
	}
	if err := s.write(b, bodies, heads); err != nil {
		return &writeError{s.fail(err)}
	}
	if s.spareNumbers != s.numbersGiven() && s.now().Sub(s.sparedAt) >= spareEvery {
		s.copySpare()
	}
	return nil
}

// prepare verifies the blocks that a batch reads, and returns the heads of the
// objects that exist. It rejects terms for which there are no free numbers. The
// caller holds commitMu.
//
// Badger skips a block that it can't read. The batch would then continue from
// an outdated head, or assign the number of an existing phrase again.
func (s *Store) prepare(b *history.Batch) (heads map[history.ObjectRef]objectHead, err error) {
	if err := s.checkTerms(batchTerms(b)); err != nil {
		return nil, err
	}
	err = s.db.View(func(txn *badger.Txn) error {
		if err := s.checkSince(txn, b.Checkpoints); err != nil || len(b.Versions) == 0 {
			return err
		}
		if heads, err = s.readHeads(txn, b.Versions); err != nil {
			return err
		}
		if err := s.checkIdentities(b.Versions, heads); err != nil {
			return err
		}
		return s.openDay(txn, key.Day(max(timestamp(s.now()), s.state.Last+1)))
	})
	return heads, err
}

// fail makes the log read-only until it is opened again, and returns err. The
// caller holds commitMu.
func (s *Store) fail(err error) error {
	s.failed = fmt.Errorf("the history's database failed and must be opened again: %w", err)
	return err
}

// write commits the batch in as few transactions as possible. It doesn't stop
// when a context ends, because that would commit half of a batch.
func (s *Store) write(b *history.Batch, bodies []body, heads map[history.ObjectRef]objectHead) error {
	w := s.newBatchTx()
	w.heads = heads
	defer func() { w.txn.Discard() }()
	if err := w.addClaims(b, true); err != nil {
		return err
	}
	for i, r := range b.Versions {
		if err := w.addRecord(r, bodies[i]); err != nil {
			return fmt.Errorf("%s: %w", r.Ref, err)
		}
	}
	if err := w.addClaims(b, false); err != nil {
		return err
	}
	return w.commit()
}

// addClaims adds the batch's gaps and checkpoints: those that claim that
// something is missing, or the others.
func (w *batchTx) addClaims(b *history.Batch, missing bool) error {
	for i := range b.Gaps {
		if b.Gaps[i].Open() != missing {
			continue
		}
		if err := w.addGap(&b.Gaps[i]); err != nil {
			return fmt.Errorf("gap: %w", err)
		}
	}
	for i := range b.Checkpoints {
		if (b.Checkpoints[i].RV == "") != missing {
			continue
		}
		if err := w.addCheckpoint(&b.Checkpoints[i]); err != nil {
			return fmt.Errorf("checkpoint: %w", err)
		}
	}
	return nil
}

// checkBatch returns a [history.Invalid] error if the batch exceeds the limits
// of the log or lacks a required field. It reads only the batch.
func checkBatch(b *history.Batch) error {
	for _, r := range b.Versions {
		if err := checkNewVersion(r); err != nil {
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

// checkGap checks a gap of a batch.
func checkGap(g history.Gap) error {
	if g.Start.IsZero() {
		return history.Errorf(history.Invalid, "gap of %s has no start", g.GroupResource())
	}
	return checkResource(g.GroupResource())
}

// checkNewVersion checks a version of a batch. Its texts must fit into keys and
// metadata, and the record with its entries into a transaction.
func checkNewVersion(r history.NewVersion) error {
	switch {
	case r.Verb < history.Create || r.Verb > history.Delete:
		return history.Errorf(history.Invalid, "record of %s has no verb", r.Ref)
	case r.Ref.Name == "" ||
		max(len(r.Ref.Name), len(r.Ref.UID), len(r.Ref.Namespace)) > history.MaxText:
		return history.Errorf(history.Invalid, "record of %s: a name is empty or too long", r.Ref.GroupResource())
	case r.Ref.Namespace == history.ClusterScoped.String():
		return history.Errorf(history.Invalid, "record of %s: %q is not a namespace", r.Ref, r.Ref.Namespace)
	case len(r.Version)+len(r.Kind) > history.MaxText:
		return history.Errorf(history.Invalid, "record of %s: the kind is too long", r.Ref)
	case len(r.Owners) > history.MaxOwners, len(r.ManagedHashes) > history.MaxManagedEntries,
		r.Attributes() > history.MaxAttributes:
		return history.Errorf(history.Invalid,
			"record of %s: attributes are too large: %d owners, %d managed entries, %d bytes",
			r.Ref, len(r.Owners), len(r.ManagedHashes), r.Attributes())
	case len(r.Object) > codec.MaxObject:
		return history.Errorf(history.Invalid, "record of %s: the object has %d bytes, the limit is %d",
			r.Ref, len(r.Object), codec.MaxObject)
	default:
		return checkResource(r.Ref.GroupResource())
	}
}

func checkResource(r schema.GroupResource) error {
	if r.Resource == "" || len(r.Resource)+len(r.Group) > history.MaxText {
		return history.Errorf(history.Invalid, "resource %q: the name is empty or too long", r)
	}
	return nil
}
