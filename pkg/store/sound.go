package store

import (
	"bytes"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync/atomic"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// soundness is what is known about the tables that a log was opened with. Badger passes over a block that it can't read as if
// that were the end of its table: what stands behind it is not there then, without an error, and when Badger writes the
// table anew, for good. So every table is read once: what Badger opens it by, before that ([check]), and the rest beside the open log:
// the tables with what there is once an object or a log first, then the days, the newest first. Who reads waits for the tables that
// it needs. Once a table is found damaged, nothing is committed any more.
type soundness struct {
	tables []*vetted
	stop   chan struct{} // closed to end vetting early
	ended  chan struct{} // closed when vetting has ended
	whole  atomic.Bool   // all tables have been read, and are sound
}

// vetted is a table that has been read, or will be.
type vetted struct {
	table       *table.Table  // nil once err is known
	left, right []byte        // its first and last key
	done        chan struct{} // closed when err is known
	err         error
}

// damageError is the error of a damaged file of a directory's database: for whoever opens that, [history.Invalid].
type damageError struct {
	path    string
	problem error
	code    history.Code
}

// Error names the file and the command that repairs it.
func (d *damageError) Error() string {
	return fmt.Sprintf(
		"the database in %s is damaged (%s: %v): run watchhistory-recorder repair, restore a backup, or set storagePath (BADGER_PATH) to another directory",
		filepath.Dir(d.path), filepath.Base(d.path), d.problem)
}

// Unwrap returns the error with its code.
func (d *damageError) Unwrap() error { return &history.Error{Code: d.code, Message: d.Error()} }

func damaged(code history.Code, path string, err error) error { return &damageError{path, err, code} }

// vet begins to read the tables that were there before Badger opened them.
func vet(db *badger.DB, tables indexes, log *slog.Logger) *soundness {
	s := &soundness{stop: make(chan struct{}), ended: make(chan struct{})}
	known := map[uint64]badger.TableInfo{}
	for _, info := range db.Tables() { // what it has made since then, it has made of these
		known[info.ID] = info
	}
	for id, t := range tables {
		if t.Blocks == nil {
			continue // it was read as a whole
		}
		v := &vetted{table: t, left: []byte{0}, right: []byte{0xff}, done: make(chan struct{})}
		if info, ok := known[id]; ok { // otherwise it is removed already, so that nobody knows what it held
			v.left, v.right = info.Left, info.Right
		}
		s.tables = append(s.tables, v)
	}
	slices.SortFunc(s.tables, func(a, b *vetted) int {
		if a.current() != b.current() {
			if a.current() {
				return -1
			}
			return 1
		}
		return bytes.Compare(b.right, a.right)
	})
	go s.run(db, log)
	return s
}

// wholeTables returns what is known of tables that were all read before.
func wholeTables() *soundness {
	s := &soundness{stop: make(chan struct{}), ended: make(chan struct{})}
	s.whole.Store(true)
	close(s.ended)
	return s
}

func (s *soundness) run(db *badger.DB, log *slog.Logger) {
	defer close(s.ended)
	defer func() { s.whole.Store(s.wait(func(*vetted) bool { return true }) == nil) }()
	for _, t := range s.tables {
		select {
		case <-s.stop:
			return
		default:
			if t.err = t.read(db); t.err != nil {
				log.Error("a file of the database is damaged, and nothing is recorded any more", "err", t.err)
			}
			t.table = nil
			close(t.done)
		}
	}
}

// read reads all blocks but the last, which was read before Badger read it. A table that Badger has joined with others meanwhile
// is empty or gone: it says nothing any more.
func (t *vetted) read(db *badger.DB) error {
	err := t.table.Reopen()
	if err == nil {
		for i := 0; err == nil && i < len(t.table.Blocks)-1; i++ {
			_, err = t.table.Read(i)
		}
		_ = t.table.Close() // which was only read
	}
	if err != nil && has(db, t.table.Path) {
		return damaged(history.Internal, t.table.Path, err)
	}
	return nil
}

// current tells whether the table may hold what there is once an object or a log.
func (t *vetted) current() bool { return t.left[0] < key.History || t.right[0] > key.History }

// holds tells whether the table may hold keys with the prefix.
func (t *vetted) holds(prefix []byte) bool {
	n := len(prefix)
	return bytes.Compare(t.left[:min(n, len(t.left))], prefix) <= 0 && bytes.Compare(t.right[:min(n, len(t.right))], prefix) >= 0
}

// wait waits for the tables that are needed, and returns what is wrong with one of them.
func (s *soundness) wait(needed func(*vetted) bool) error {
	if s.whole.Load() {
		return nil
	}
	for _, t := range s.tables {
		if !needed(t) {
			continue
		}
		select {
		case <-t.done:
		case <-s.stop:
			return errClosed
		}
		if t.err != nil {
			return t.err
		}
	}
	return nil
}

// vetted waits until the tables of a day have been read, and returns what is wrong with one of them.
func (r *reader) vetted(day uint16) error {
	return r.s.sound.wait(func(t *vetted) bool { return t.holds(key.DayPrefix(day)) })
}

// damage returns what is wrong with any of the tables that have been read.
func (s *soundness) damage() error {
	if s.whole.Load() {
		return nil
	}
	for _, t := range s.tables {
		select {
		case <-t.done:
			if t.err != nil {
				return t.err
			}
		default:
		}
	}
	return nil
}

// close ends vetting.
func (s *soundness) close() {
	close(s.stop)
	<-s.ended
}
