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

// overhead is what Badger reckons for an entry beside its key and value, in bytes, and then some.
const overhead = 16

// writer puts a batch's entries into transactions. It is used by the one committer, and its reads see what it wrote, so
// that an object may have many versions in a batch.
//
// What a writer gave out (times, numbers, terms) becomes the store's only when a transaction that was told of it commits.
type writer struct {
	s     *Store
	txn   *badger.Txn
	state codec.State
	first uint64          // time of the first record; 0 if there is none yet
	terms map[term]uint32 // given out in this batch
	size  int64           // bytes in this transaction, as Badger reckons them
	count int64           // entries in this transaction
	done  []func()        // to be called once this transaction is committed
}

func (s *Store) newWriter() *writer {
	return &writer{s: s, txn: s.db.NewTransaction(true), state: s.state, terms: map[term]uint32{}}
}

// group is a number of entries that must not be torn apart.
type group []*badger.Entry

func (g *group) set(k, v []byte, expires uint64) {
	*g = append(*g, &badger.Entry{Key: k, Value: v, ExpiresAt: expires})
}

// remove makes Badger forget a key: what has expired is, for readers and compactions, what was deleted.
func (g *group) remove(k []byte) { g.set(k, nil, 1) }

// add puts a group into this transaction or, where it does not fit, into the next one.
func (w *writer) add(g group) error {
	var size int64
	for _, e := range g {
		size += int64(len(e.Key)+len(e.Value)) + overhead
	}
	if w.size+size > w.s.db.MaxBatchSize()-1024 || w.count+int64(len(g)) > w.s.db.MaxBatchCount()-3 {
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
	w.size, w.count = w.size+size, w.count+int64(len(g))
	return nil
}

// commit ends the transaction and lets readers see it.
func (w *writer) commit() error {
	if w.count == 0 {
		return nil
	}
	if err := w.txn.Set(key.State(), w.state.Encode()); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	if w.first > 0 {
		w.s.oldest.CompareAndSwap(noDay, uint32(key.Day(w.first)))
	}
	w.s.last.Store(w.state.Last) // first: who sees the checkpoint, a head or a gap of the commit has to see its records, too
	if err := w.txn.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	for _, f := range w.done {
		f()
	}
	w.s.state = w.state
	return nil
}

// tick returns the next record's time.
func (w *writer) tick() (uint64, error) {
	w.state.Last = max(timestamp(w.s.now()), w.state.Last+1)
	if w.state.Last > key.MaxTS {
		return 0, errors.New("the clock is beyond what the log can date: the year 2149")
	}
	if w.first == 0 {
		w.first = w.state.Last
	}
	return w.state.Last, nil
}

// number returns a text's number and, where it has none yet, gives it one in the group.
func (w *writer) number(g *group, t term) (uint32, error) {
	if n, ok := w.terms[t]; ok {
		return n, nil
	}
	n, err := w.s.terms.number(w.txn, t)
	if err != nil || n != 0 {
		return n, err
	}
	if n, err = w.next(t.of); err != nil {
		return 0, err
	}
	w.terms[t] = n
	g.set(key.Text(t.of, t.text), binary.BigEndian.AppendUint32(nil, n), 0)
	g.set(key.Number(t.of, n), []byte(t.text), 0)
	return n, nil
}

// next returns a dictionary's next number. They begin with 1; 0 stands for nothing.
func (w *writer) next(of key.Dictionary) (uint32, error) {
	highest, limit := counter(&w.state, of)
	if *highest == limit {
		return 0, noNumber(of, limit)
	}
	*highest++
	return *highest, nil
}

// checkpoint adds a checkpoint to this transaction.
func (w *writer) checkpoint(c *history.Checkpoint) error {
	var g group
	n, err := w.number(&g, term{key.Resources, codec.Pair(c.Group, c.Resource)})
	if err != nil {
		return err
	}
	at := moment(max(timestamp(w.s.now()), w.state.Last))
	if !c.Time.IsZero() && c.Time.Before(at) {
		at = c.Time.UTC()
	}
	g.set(key.Checkpoint(uint16(n)), codec.EncodeCheckpoint(c.RV, at), 0)
	if err := w.begin(&g, uint16(n), c, at); err != nil {
		return err
	}
	if err := w.add(g); err != nil {
		return err
	}
	w.done = append(w.done, func() {
		c.Time = at
		w.s.begun[uint16(n)] = w.s.begun[uint16(n)] || c.RV != ""
	})
	return nil
}
