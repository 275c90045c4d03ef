package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// catalogued returns the catalogue's entry of a resource, and whether there is
// one.
func catalogued(txn *badger.Txn, group, plural string) (r history.Resource, found bool, err error) {
	b, err := get(txn, key.Catalogued(group, plural))
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

// begin adds to the group that recording of a resource began, if its checkpoint
// is the first one. A resource that has a checkpoint and no beginning was
// recorded before logs kept that: then nobody knows.
func (w *writer) begin(g *group, n uint16, c *history.Checkpoint, at time.Time) error {
	if c.RV == "" || w.s.begun[n] {
		return nil
	}
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
	r, found, err := catalogued(w.txn, c.Group, c.Resource)
	if err != nil || !found || !r.Since.IsZero() {
		return err
	}
	r.Since = at
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	g.set(key.Catalogued(c.Group, c.Resource), b, 0)
	return nil
}

// trim moves the beginning of a resource to where what is kept begins, if that
// is later.
func (r *reader) trim(one *history.Resource) {
	if oldest := moment(r.bottom()); !one.Since.IsZero() && one.Since.Before(oldest) {
		one.Since, one.Trimmed = oldest, true
	}
}
