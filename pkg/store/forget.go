package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// forget drops days some of whose versions are lost, in order. First they become gaps of every resource, so that a crash leaves
// what says too much, and heads forget the versions that go. In the end heads are settled with what is left.
func (s *Store) forget(ctx context.Context, days []uint16) error {
	err := s.db.View(func(txn *badger.Txn) error {
		r := s.newReader(txn)
		return r.eachResource(nil, func(resource uint16) error { return s.lostDays(resource, days) })
	})
	if err != nil {
		return fmt.Errorf("mark the loss: %w", err)
	}
	if err := s.forgetNewest(days); err != nil {
		return fmt.Errorf("mark the loss in heads: %w", err)
	}
	var prefixes [][]byte
	for _, day := range days {
		prefixes = append(prefixes, key.DayPrefix(day))
	}
	if err := s.db.DropPrefix(prefixes...); err != nil {
		return err
	}
	return s.settle(ctx)
}

// lostDays adds a gap for each stretch of days.
func (s *Store) lostDays(resource uint16, days []uint16) error {
	const length = uint64(24 * time.Hour)
	for len(days) > 0 {
		n := 1
		for n < len(days) && days[n] == days[n-1]+1 {
			n++
		}
		start, end := uint64(days[0])*length, (uint64(days[n-1])+1)*length
		days = days[n:]
		end = min(end, max(s.state.Last, start)+1) // nothing is missing of what is to come
		gap := history.Gap{End: moment(end), Reason: history.GapDamaged, Detail: "a file of the database was damaged"}
		err := s.db.Update(func(txn *badger.Txn) error {
			return txn.SetEntry(&badger.Entry{Key: key.Gap(resource, start), Value: codec.EncodeGap(&gap), ExpiresAt: s.expiry(end)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// forgetNewest takes the place of the newest version out of the heads that have it on one of the days.
func (s *Store) forgetNewest(days []uint16) error {
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	err := s.db.View(func(txn *badger.Txn) error {
		return s.newReader(txn).each(key.Heads(0)[:1], func(item *badger.Item) error {
			value, err := item.ValueCopy(nil)
			if err != nil {
				return err
			}
			h, err := codec.DecodeHead(value)
			if err != nil {
				return err
			}
			if _, lost := slices.BinarySearch(days, key.Day(h.Last.TS)); !lost {
				return nil
			}
			h.Last = codec.Last{}
			return batch.SetEntry(&badger.Entry{Key: item.KeyCopy(nil), Value: h.Encode(), ExpiresAt: item.ExpiresAt()})
		})
	})
	if err != nil {
		return err
	}
	return batch.Flush()
}
