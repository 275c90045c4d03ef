package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// addGap adds a gap to the current transaction. An open gap doesn't expire. A
// closed gap expires like a record at its end. It ends no earlier than the
// newest record, so that it covers the records of its batch.
func (w *batchTx) addGap(of *history.Gap) error {
	var g group
	n, err := w.numberOf(&g, term{key.Resources, codec.Pair(of.Group, of.Resource)})
	if err != nil {
		return err
	}
	written, expires := *of, uint64(0)
	if !of.Open() {
		end := max(timestamp(of.End), w.state.Last)
		written.End, expires = moment(end), w.s.expiry(end)
	}
	g.set(key.Gap(uint16(n), timestamp(of.Start)), codec.EncodeGap(&written), expires)
	return w.add(g)
}

// Gaps returns the gaps that touch the time from start to end, sorted by their
// starts. No resources mean all resources but the reserved ones, and a zero end
// means no end. Gaps that ended before the retention are not returned.
func (s *Store) Gaps(
	ctx context.Context, resources []schema.GroupResource, start, end time.Time,
) ([]history.Gap, error) {
	if oldest := moment(s.horizon()); start.Before(oldest) {
		start = oldest
	}
	var gaps []history.Gap
	err := s.view(func(r *reader) (err error) {
		gaps, err = r.gaps(ctx, resources, start, end)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("gaps: %w", err)
	}
	return gaps, nil
}

// gaps returns the gaps that touch the time from start to end, sorted by their
// starts. Unlike [Store.Gaps], it doesn't respect the retention.
func (r *reader) gaps(
	ctx context.Context, resources []schema.GroupResource, start, end time.Time,
) (gaps []history.Gap, err error) {
	err = r.eachGap(resources, func(item *badger.Item) error {
		g, err := r.gap(item)
		hidden := len(resources) == 0 && history.IsReserved(g.GroupResource())
		if err == nil && !hidden && g.Touches(start, end) {
			gaps = append(gaps, g)
		}
		return errors.Join(err, ctx.Err())
	})
	slices.SortStableFunc(gaps, func(a, b history.Gap) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	return gaps, err
}

// eachGap calls f for the gaps of the resources, or of all if there are none.
func (r *reader) eachGap(resources []schema.GroupResource, f func(*badger.Item) error) error {
	if len(resources) == 0 {
		return r.each(key.AllGaps(), f)
	}
	for _, resource := range resources {
		n, err := r.resource(resource)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if err := r.each(key.Gaps(n), f); err != nil {
			return err
		}
	}
	return nil
}

// gap returns the gap in an item. The key has its resource and its start.
func (r *reader) gap(item *badger.Item) (g history.Gap, err error) {
	resource, start, err := key.DecodeGap(item.Key())
	if err != nil {
		return g, err
	}
	if err := item.Value(func(v []byte) (err error) { g, err = codec.DecodeGap(v); return err }); err != nil {
		return g, err
	}
	pair, err := r.s.terms.text(r.txn, termNumber{key.Resources, uint32(resource)})
	if err != nil {
		return g, err
	}
	g.Start = moment(start)
	g.Group, g.Resource, err = codec.SplitPair(pair)
	return g, err
}
