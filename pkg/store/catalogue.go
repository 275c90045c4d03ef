package store

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// Register adds a resource to the catalogue, or replaces its entry. A former
// kind or scope is kept in [history.Resource.Former]. A
// [history.Resource.Since] that is set stays unchanged.
//
// It returns a [history.Invalid] error if the resource can't be recorded: its
// name is too long, or a dictionary is full.
func (s *Store) Register(ctx context.Context, resource history.Resource) error {
	if err := checkResource(resource.GroupResource()); err != nil {
		return err
	}
	if err := s.retryUnwritten(func() error { return s.register(ctx, resource) }); err != nil {
		return fmt.Errorf("register %s: %w", resource.GroupResource(), err)
	}
	return nil
}

// register is Register without the retry after a repair.
func (s *Store) register(ctx context.Context, resource history.Resource) error {
	release, err := s.acquire()
	if err != nil {
		return err
	}
	defer release()
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := errors.Join(s.failed, ctx.Err()); err != nil {
		return err
	}
	if err := s.integrity.checkKey(key.CatalogueEntry(resource.Group, resource.Plural)); err != nil {
		return err
	}
	err = s.db.View(func(txn *badger.Txn) error {
		before, found, err := catalogueEntry(txn, resource.Group, resource.Plural)
		if found {
			resource = resource.After(before)
		}
		if !before.Since.IsZero() {
			resource.Since = before.Since
		}
		return err
	})
	if err != nil {
		return err
	}
	b, err := json.Marshal(resource)
	if err != nil {
		return err
	}
	err = s.checkTerms(map[term]bool{
		resourceTerm(resource.GroupResource()):                   true,
		{key.Kinds, codec.Pair(resource.Version, resource.Kind)}: true,
	})
	if err != nil {
		return err
	}
	return s.writeCatalogueEntry(key.CatalogueEntry(resource.Group, resource.Plural), b)
}

// writeCatalogueEntry writes an entry of the catalogue unless it is unchanged.
// The caller holds commitMu, and has verified the entry's block.
func (s *Store) writeCatalogueEntry(k, v []byte) error {
	var before []byte
	err := s.db.View(func(txn *badger.Txn) (err error) { before, err = get(txn, k); return err })
	if err == nil && bytes.Equal(before, v) {
		return nil
	}
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		return err
	}
	if err := s.checkSpace(int64(len(v))); err != nil {
		return err
	}
	return s.db.Update(func(txn *badger.Txn) error { return txn.Set(k, v) })
}

// Resources returns the catalogue, sorted by group and plural: all resources
// that are or were recorded.
func (s *Store) Resources(ctx context.Context) ([]history.Resource, error) {
	var list []history.Resource
	err := s.view(func(r *reader) (err error) {
		list, err = r.catalogue(ctx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("resources: %w", err)
	}
	return list, nil
}

// catalogue decodes all entries. Their keys sort by group and plural.
func (r *reader) catalogue(ctx context.Context) (list []history.Resource, err error) {
	err = r.each(key.Catalogue(), func(item *badger.Item) error {
		var one history.Resource
		err := item.Value(func(v []byte) error { return json.Unmarshal(v, &one) })
		r.trim(&one)
		list = append(list, one)
		return errors.Join(err, ctx.Err())
	})
	return list, err
}

// trim moves a resource's Since to the beginning of the history that can be
// answered, if that is later.
func (r *reader) trim(one *history.Resource) {
	if oldest := moment(r.lowerBound()); !one.Since.IsZero() && one.Since.Before(oldest) {
		one.Since, one.Trimmed = oldest, true
	}
}

// catalogueEntry returns a resource's entry in the catalogue, and whether there
// is one.
func catalogueEntry(txn *badger.Txn, group, plural string) (r history.Resource, found bool, err error) {
	b, err := get(txn, key.CatalogueEntry(group, plural))
	if errors.Is(err, badger.ErrKeyNotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, false, fmt.Errorf("catalogue entry of %s.%s: %w", plural, group, err)
	}
	return r, true, nil
}

// checkSince verifies the blocks that addSince reads. The caller holds commitMu
// and has called checkTerms.
func (s *Store) checkSince(txn *badger.Txn, checkpoints []history.Checkpoint) error {
	var blocks []keyrange.Range
	for _, c := range checkpoints {
		r := schema.GroupResource{Group: c.Group, Resource: c.Resource}
		n, err := s.terms.number(txn, resourceTerm(r))
		if err != nil {
			return err
		}
		if c.RV != "" && !s.checkpointed[uint16(n)] {
			blocks = append(blocks, keyrange.Single(key.Checkpoint(uint16(n))),
				keyrange.Single(key.CatalogueEntry(c.Group, c.Resource)))
		}
	}
	return s.integrity.check(blocks...)
}

// addSince sets the Since of a resource's catalogue entry if c is its first
// checkpoint. A resource that had a checkpoint before keeps a zero Since: it is
// unknown when its recording began.
func (w *batchTx) addSince(g *group, n uint16, c *history.Checkpoint, at time.Time) error {
	if c.RV == "" || w.s.checkpointed[n] {
		return nil
	}
	// checkpointed is empty after the log is opened, so look the checkpoint up.
	before, err := get(w.txn, key.Checkpoint(n))
	if err == nil {
		var rv string
		if rv, _, err = codec.DecodeCheckpoint(before); err == nil && rv != "" {
			return nil
		}
	}
	if err != nil && !errors.Is(err, badger.ErrKeyNotFound) {
		return err
	}
	r, found, err := catalogueEntry(w.txn, c.Group, c.Resource)
	if err != nil || !found || !r.Since.IsZero() {
		return err
	}
	r.Since = at
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	g.set(key.CatalogueEntry(c.Group, c.Resource), b, 0)
	return nil
}
