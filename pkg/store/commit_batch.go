package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// overhead is an upper bound of what Badger counts for an entry of a
// transaction in addition to its key and value, in bytes.
const overhead = 16

// batchTx writes a batch's entries in one or more transactions. Only the
// committer uses it, and it holds commitMu. Its reads see its own writes, so a
// batch may contain several versions of an object.
//
// Times, numbers and terms that a batchTx assigns become the store's only when
// the transaction that contains them commits.
type batchTx struct {
	s     *Store
	txn   *badger.Txn // the current transaction
	state codec.State // what the next commit stores
	first uint64      // time of the batch's first record; 0: it has none yet
	// complete is the time of the newest record that is in txn or was committed
	// by an earlier one; 0: there is none. state.Last may be later: the record
	// that has it may not fit into txn.
	complete uint64
	terms    map[term]uint32 // numbers that this batch assigned
	// heads are the heads of the batch's objects. An object without one is new.
	// nil means that the heads are read when they are needed.
	heads map[history.ObjectRef]objectHead

	size  int64    // bytes in txn, as Badger counts them
	count int64    // entries in txn
	done  []func() // called once txn is committed
	begun bool     // a commit has begun, so that entries may be on disk
}

func (s *Store) newBatchTx() *batchTx {
	return &batchTx{s: s, txn: s.db.NewTransaction(true), state: s.state, terms: map[term]uint32{}}
}

// group is a list of entries that commit together.
type group []*badger.Entry

// set adds an entry. expires is in seconds since 1970; 0 means never.
func (g *group) set(k, v []byte, expires uint64) {
	*g = append(*g, &badger.Entry{Key: k, Value: v, ExpiresAt: expires})
}

// remove adds the removal of a key. An expired entry is equivalent to a
// deletion for readers and compactions.
func (g *group) remove(k []byte) { g.set(k, nil, 1) }

// size returns the approximate size of a group in bytes.
func (g *group) size() (n int) {
	for _, e := range *g {
		n += len(e.Key) + len(e.Value) + overhead
	}
	return n
}

// add adds a group to the current transaction. If it doesn't fit, add commits
// the transaction first and begins the next one.
func (w *batchTx) add(g group) error {
	size, count := int64(g.size()), int64(len(g))
	// The margins are for the state, which commit adds, and for the entry with
	// which Badger ends a transaction.
	if w.size+size > w.s.db.MaxBatchSize()-1024 || w.count+count > w.s.db.MaxBatchCount()-3 {
		if err := w.commit(); err != nil {
			return err
		}
		w.txn, w.size, w.count, w.done = w.s.db.NewTransaction(true), 0, 0, nil
	}
	for _, e := range g {
		if err := w.txn.SetEntry(e); err != nil {
			return fmt.Errorf("set %q: %w", e.Key, err)
		}
	}
	w.size, w.count = w.size+size, w.count+count
	return nil
}

// commit commits the current transaction and makes it visible to readers. A
// transaction without entries is not committed. After an error, it is unknown
// whether the transaction is on disk, so the log must become read-only.
//
// It raises last before the transaction commits. So a reader that sees a
// checkpoint, a head or a gap of the commit also sees its records. It raises
// the feed's position afterwards, because a stream must not pass a record that
// it can't read yet.
func (w *batchTx) commit() error {
	if w.count == 0 {
		return nil
	}
	if err := w.txn.Set(key.State(), w.state.Encode()); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if w.first > 0 {
		w.s.oldest.CompareAndSwap(noDay, uint32(key.Day(w.first)))
	}
	w.begun = true
	w.s.last.Store(w.state.Last)
	if err := w.txn.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, f := range w.done {
		f()
	}
	w.s.state = w.state
	w.s.feed.publish(w.complete)
	return nil
}

// get returns a key's value, or [badger.ErrKeyNotFound]. It verifies the blocks
// that may contain the key.
func (w *batchTx) get(k []byte) ([]byte, error) {
	if err := w.s.integrity.checkKey(k); err != nil {
		return nil, err
	}
	return get(w.txn, k)
}

// nextTime returns the time of the next record. Times strictly increase, even
// if the clock is set back.
func (w *batchTx) nextTime() (uint64, error) {
	w.state.Last = max(timestamp(w.s.now()), w.state.Last+1)
	if w.state.Last > key.MaxTS {
		return 0, errors.New("the clock is after the last time that a key can store, in the year 2149")
	}
	if w.first == 0 {
		w.first = w.state.Last
	}
	return w.state.Last, nil
}

// numberOf returns a term's number. A new term gets the next number; its
// entries are added to g.
func (w *batchTx) numberOf(g *group, t term) (uint32, error) {
	if n, ok := w.terms[t]; ok {
		return n, nil
	}
	n, err := w.s.terms.number(w.txn, t)
	if err != nil || n != 0 {
		return n, err
	}
	if n, err = w.nextNumber(t.of); err != nil {
		return 0, err
	}
	w.terms[t] = n
	g.set(key.Text(t.of, t.text), binary.BigEndian.AppendUint32(nil, n), 0)
	g.set(key.Number(t.of, n), []byte(t.text), 0)
	return n, nil
}

// nextNumber returns a dictionary's next number, from 1.
func (w *batchTx) nextNumber(of key.Dictionary) (uint32, error) {
	highest, limit := counter(&w.state, of)
	if *highest == limit {
		return 0, errFull(of, limit)
	}
	*highest++
	return *highest, nil
}

// addCheckpoint adds a checkpoint to the current transaction. A checkpoint
// without a time, or with one in the future, gets the current time, or that of
// the newest record if it is later. Once the transaction is committed, c.Time
// is set.
func (w *batchTx) addCheckpoint(c *history.Checkpoint) error {
	var g group
	n, err := w.numberOf(&g, term{key.Resources, codec.Pair(c.Group, c.Resource)})
	if err != nil {
		return err
	}
	at := moment(max(timestamp(w.s.now()), w.state.Last))
	if !c.Time.IsZero() && c.Time.Before(at) {
		at = c.Time.UTC()
	}
	g.set(key.Checkpoint(uint16(n)), codec.EncodeCheckpoint(c.RV, at), 0)
	if err := w.addSince(&g, uint16(n), c, at); err != nil {
		return err
	}
	if err := w.add(g); err != nil {
		return err
	}
	w.done = append(w.done, func() {
		c.Time = at
		w.s.checkpointed[uint16(n)] = w.s.checkpointed[uint16(n)] || c.RV != ""
	})
	return nil
}
