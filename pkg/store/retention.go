package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// Reason is why a day was dropped.
type Reason string

// The reasons.
const (
	ByAge  Reason = "age"  // all of the day is older than the retention
	BySize Reason = "size" // the day was the oldest, and the files neared [Options.MaxBytes]
)

// dayDrop is the dropping of a day. Its steps, each durable before the next:
//
//  1. writeBaselines: copy the last version in the day of each object to the
//     baselines. A deletion is copied too if it ends a baseline. Readers ignore
//     the copies so far.
//  2. raiseFloor: make the next day the retention floor, in one transaction
//     with the gaps of what is lost. From now on the day isn't answered, and
//     the copies are.
//  3. gcBaselines: remove the baselines that the copies replace, the copied
//     deletions, and the heads, identities and names of objects that were
//     deleted in the day and did not come back.
//  4. dropPrefix: drop the keys of the day. Only this step is visible to
//     running transactions; see [reader.droppedMeanwhile].
//
// Invariant: the baselines that readers see are the state of the cluster at the
// beginning of the retention floor.
//
// Every step is idempotent. An interrupted drop begins again: from the first
// step if the floor was not raised, otherwise from the third.
type dayDrop struct {
	day    uint16
	reason Reason
	begun  bool // an earlier attempt raised the floor
}

// Prune drops the days that are completely older than the retention. Then,
// while the database's files exceed nine tenths of [Options.MaxBytes], it drops
// the oldest day and records gaps. It never drops the day of the newest record.
// The newest version of each object before the remaining days is kept as a
// baseline.
//
// Call it every few minutes. It blocks commits while it drops a prefix, and for
// the time of each of its own commits. After an error, the next call continues.
func (s *Store) Prune(ctx context.Context) error {
	return s.retryUnwritten(func() error { return s.prune(ctx) })
}

// prune is Prune without the retry after a repair. It returns as soon as it
// finds damage, because the repair waits for it.
func (s *Store) prune(ctx context.Context) error {
	release, err := s.acquire()
	if err != nil {
		return err
	}
	defer release()
	s.pruneMu.Lock()
	defer s.pruneMu.Unlock()
	for {
		d, err := s.nextDrop()
		if err != nil {
			return fmt.Errorf("prune: %w", err)
		}
		if d == nil {
			err := s.updateUsage(ctx)
			s.commitMu.Lock()
			s.copySpare()
			s.commitMu.Unlock()
			return err
		}
		if err := s.dropDay(ctx, d); err != nil {
			return fmt.Errorf("drop the day of %s: %w", moment(key.Start(uint32(d.day))).Format(time.DateOnly), err)
		}
	}
}

// nextDrop returns the next day to drop, or nil if there is none. A day whose
// drop was interrupted comes first: it is the oldest, and below the floor. The
// caller holds pruneMu.
func (s *Store) nextDrop() (*dayDrop, error) {
	var oldest, floor uint32
	err := s.viewOnce(func(r *reader) (err error) {
		if oldest, err = s.oldestDay(r.txn); err == nil {
			err = r.loadFloor()
		}
		floor = r.floorDay
		return err
	})
	if err != nil || oldest == noDay {
		return nil, err
	}
	s.oldest.Store(oldest)
	d := &dayDrop{day: uint16(oldest), reason: BySize, begun: oldest < floor}
	if key.Start(oldest+1) <= s.horizon() {
		d.reason = ByAge
	}
	newest := oldest >= uint32(key.Day(s.last.Load()))
	if !newest && (d.begun || d.reason == ByAge) {
		return d, nil
	}
	exceeded, err := s.overLimit()
	s.reportFull(exceeded && newest)
	if err != nil || !exceeded || newest {
		return nil, err
	}
	return d, nil
}

// reportFull logs once that the size limit is exceeded and no day can be
// dropped. Recording continues: new records are worth more than the limit.
func (s *Store) reportFull(full bool) {
	if full && !s.full {
		s.logger.Error("size limit exceeded by the newest day, recording goes on", "limit", s.limit)
	}
	s.full = full
}

// dropDay runs the steps of a drop. The caller holds pruneMu.
func (s *Store) dropDay(ctx context.Context, d *dayDrop) error {
	began := time.Now()
	before, err := s.diskSize()
	if err != nil {
		return err
	}
	if !d.begun {
		if err := s.writeBaselines(ctx, d.day); err != nil {
			return fmt.Errorf("write baselines: %w", err)
		}
		if err := s.raiseFloor(ctx, d); err != nil {
			return fmt.Errorf("raise the retention floor: %w", err)
		}
	}
	if err := s.gcBaselines(ctx, d.day); err != nil {
		return fmt.Errorf("remove old baselines: %w", err)
	}
	if err := s.dropPrefix(d.day); err != nil {
		return err
	}
	after, err := s.diskSize()
	if err != nil {
		return err
	}
	freed := max(before-after, 0)
	s.countDrop(d.reason, freed)
	s.logger.InfoContext(ctx, "dropped a day of history", "day", moment(key.Start(uint32(d.day))).Format(time.DateOnly),
		"reason", d.reason, "bytes", freed, "duration", time.Since(began).Round(time.Millisecond))
	return nil
}

// raiseFloor makes the next day the retention floor, and records the gaps of
// the dropped day.
func (s *Store) raiseFloor(ctx context.Context, d *dayDrop) error {
	var gaps []group
	err := s.viewOnce(func(r *reader) (err error) { gaps, err = r.droppedGaps(d.day, d.reason); return err })
	if err != nil {
		return err
	}
	return s.transact(ctx, func(w *batchTx) error {
		for _, g := range gaps {
			if err := w.add(g); err != nil {
				return err
			}
		}
		var g group
		g.set(key.RetentionFloor(), encodeFloor(uint32(d.day)+1), 0)
		return w.add(g)
	})
}

// dropPrefix drops the keys of a day. It holds commitMu, because Badger rejects
// writes meanwhile.
//
// Badger reports success even if it could not compact the newest tables. So
// dropPrefix checks that the day is gone.
func (s *Store) dropPrefix(day uint16) error {
	// The baselines and the floor must be on disk before the day is gone.
	if err := s.db.Sync(); err != nil {
		return err
	}
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	s.dropped.Store(max(s.dropped.Load(), uint32(day)+1))
	if err := s.db.DropPrefix(key.DayPrefix(day)); err != nil {
		return s.fail(err)
	}
	return s.db.View(func(txn *badger.Txn) error {
		oldest, err := s.oldestDay(txn)
		if err == nil && oldest <= uint32(day) {
			err = errors.New("keys of the day are left after the drop")
		}
		return err
	})
}

// transact commits the entries that f adds. If the log is read-only, ctx is
// done or the volume has no space, it returns an error and writes nothing. An
// error of f is returned. If a part of the entries may be committed then, the
// log becomes read-only.
func (s *Store) transact(ctx context.Context, f func(*batchTx) error) error {
	s.commitMu.Lock()
	defer s.commitMu.Unlock()
	if err := errors.Join(s.failed, ctx.Err()); err != nil {
		return err
	}
	if err := s.checkSpaceToPrune(); err != nil {
		return err
	}
	w := s.newBatchTx()
	defer func() { w.txn.Discard() }()
	err := f(w)
	if err == nil {
		err = w.commit()
	}
	if err != nil && w.begun {
		return s.fail(err)
	}
	return err
}

// maxBulk is the approximate size of a commit of a bulkWriter in bytes. It
// bounds how long a commit of the recorder waits.
const maxBulk = 512 << 10

// bulkWriter collects writes while a day is read, and commits them in batches
// of about maxBulk bytes. The caller must call flush at the end. It must be
// used by one goroutine.
type bulkWriter struct {
	s       *Store
	pending []func(*batchTx) error
	size    int
}

// add adds a write of about size bytes.
func (b *bulkWriter) add(ctx context.Context, size int, f func(*batchTx) error) error {
	b.pending = append(b.pending, f)
	if b.size += size; b.size < maxBulk {
		return nil
	}
	return b.flush(ctx)
}

// flush commits the pending writes.
func (b *bulkWriter) flush(ctx context.Context) error {
	if len(b.pending) == 0 {
		return nil
	}
	pending := b.pending
	b.pending, b.size = nil, 0
	return b.s.transact(ctx, func(w *batchTx) error {
		for _, f := range pending {
			if err := f(w); err != nil {
				return err
			}
		}
		return nil
	})
}

// noDay is greater than every day that a key can store.
const noDay = 1 << 16

// oldestDay returns the first day that has a version, or noDay. It verifies the
// blocks that may contain an earlier one.
func (s *Store) oldestDay(txn *badger.Txn) (uint32, error) {
	oldest := firstDay(txn)
	earlier := keyrange.Prefix([]byte{key.History})
	if oldest != noDay {
		earlier.To = key.DayPrefix(uint16(oldest))
	}
	return oldest, s.integrity.check(earlier)
}

// firstDay returns the first day that has a version, or noDay, if all blocks
// are intact. Malformed keys are skipped; [Store.Verify] reports them.
func firstDay(txn *badger.Txn) uint32 {
	it := txn.NewIterator(badger.IteratorOptions{Prefix: []byte{key.History}})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if e, err := key.Decode(it.Item().Key()); err == nil {
			return uint32(key.Day(e.TS))
		}
	}
	return noDay
}

// retentionFloor returns the first day that is kept. It is 0 if no day was
// dropped.
func retentionFloor(txn *badger.Txn) (uint32, error) {
	b, err := get(txn, key.RetentionFloor())
	switch {
	case errors.Is(err, badger.ErrKeyNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("read the retention floor: %w", err)
	case len(b) != 4:
		return 0, fmt.Errorf("retention floor: %w", codec.ErrCorrupt)
	default:
		return binary.BigEndian.Uint32(b), nil
	}
}

// encodeFloor returns the value of [key.RetentionFloor].
func encodeFloor(day uint32) []byte { return binary.BigEndian.AppendUint32(nil, day) }

// loadFloor loads the retention floor. It must be called before days or
// baselines are read.
func (r *reader) loadFloor() (err error) {
	if r.floorDay, err = retentionFloor(r.txn); err != nil {
		return err
	}
	return r.integrity.checkKey(key.RetentionFloor())
}

// lowerBound returns the time from which the reader reads days. Everything
// before it is older than the retention, or dropped.
func (r *reader) lowerBound() uint64 { return max(r.s.horizon(), key.Start(r.floorDay)) }

// droppedMeanwhile reports whether the day may have been dropped after the
// reader's transaction began. DropPrefix is the only write that a running
// transaction sees. If droppedMeanwhile returns false after a read, the read
// was complete.
func (r *reader) droppedMeanwhile(day uint16) bool {
	dropped := r.s.dropped.Load()
	return dropped > r.floorDay && uint32(day) < dropped
}
