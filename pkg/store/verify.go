package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// Damage is a part of a log that differs from what was written.
type Damage struct {
	File    string    `json:"file,omitempty"`   // if known
	Object  string    `json:"object,omitempty"` // whose version it is, if known
	Time    time.Time `json:"time,omitzero"`    // of the version
	Problem string    `json:"problem"`
}

// String returns the damage in one line.
func (d Damage) String() string {
	s := d.Problem
	if d.Object != "" {
		s = d.Object + ": " + s
	}
	if !d.Time.IsZero() {
		s = d.Time.Format(time.RFC3339Nano) + " " + s
	}
	if d.File != "" {
		s = d.File + ": " + s
	}
	return s
}

// Verification counts what was verified, and how much of it is damaged.
type Verification struct {
	Files     int64 `json:"files"`     // tables of the database
	Entries   int64 `json:"entries"`   // keys with their values
	Versions  int64 `json:"versions"`  // of objects
	Leftovers int64 `json:"leftovers"` // body parts of unfinished versions of a killed process; harmless, they expire
	Damaged   int64 `json:"damaged"`
}

// Verify reads the whole log, as it is when Verify is called, and calls report
// for each damage. It verifies every block of every table, and every version
// with its JSON. It checks that these keys match: index entries and versions;
// heads, identities and names; the numbers and texts of the dictionaries.
// progress may be nil.
//
// It needs as much memory as a scan. Appends run concurrently. Close ends it
// with an error. Damage is not an error: an error means that not everything was
// verified. A damaged table is repaired after Verify returns.
func (s *Store) Verify(ctx context.Context, report func(Damage), progress Progress) (result Verification, err error) {
	err = s.retryAfterRepair(func() (bool, error) {
		result, err = s.verify(ctx, report, progress)
		return result.Damaged > 0, err
	})
	return result, err
}

// verify is Verify without the retry. Damage of a table is given to onDamage at
// the end, because the repair waits until the database is not used any more.
func (s *Store) verify(ctx context.Context, report func(Damage), progress Progress) (Verification, error) {
	release, err := s.acquire()
	if err != nil {
		return Verification{}, err
	}
	defer release()
	v := &verifier{s: s, ctx: ctx, report: report, progress: progress}
	err = v.tables()
	if err == nil {
		err = s.db.View(func(txn *badger.Txn) error {
			v.r = s.newReader(txn)
			v.r.integrity = intactTables() // tables() reports their damage
			if err := v.r.loadFloor(); err != nil {
				return err
			}
			return v.entries()
		})
	}
	if v.found != nil {
		s.onDamage(v.found)
	}
	if err != nil {
		return v.Verification, fmt.Errorf("verify: %w", err)
	}
	return v.Verification, nil
}

// verifier is a running [Store.Verify]. It first reads all tables, and then all
// keys in one pass. It must be used by one goroutine.
type verifier struct {
	s        *Store
	ctx      context.Context //nolint:containedctx // for one call
	r        *reader
	report   func(Damage)
	progress Progress
	bytes    int64
	found    *badgerdir.DamageError // the last damaged table; nil: none

	day     dayKeys
	objects objectKeys
	// baselineParts is the number of the body parts of baselines, minus the
	// number that their metadata names.
	baselineParts  int64
	baselineOwners pairing     // of the index entries of baselines
	terms          pairing     // of the numbers and texts of the dictionaries
	highest        codec.State // the largest time and numbers of any key
	Verification
}

// damage counts and reports damage.
func (v *verifier) damage(d Damage) {
	v.Damaged++
	v.report(d)
}

// problem reports damage that belongs to no version.
func (v *verifier) problem(format string, args ...any) {
	v.damage(Damage{Problem: fmt.Sprintf(format, args...)})
}

// entries reads all keys with one iterator. If a day is dropped meanwhile, the
// iterator returns all of its keys or none.
func (v *verifier) entries() error {
	it := v.r.txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := v.s.checkOpen(v.ctx); err != nil {
			return err
		}
		item := it.Item()
		err := item.Value(func(value []byte) error { return v.entry(item, value) })
		if err != nil {
			return err
		}
		v.Entries++
		v.bytes += item.EstimatedSize()
		if v.progress != nil && v.Entries%4096 == 0 {
			v.progress(v.Entries, v.bytes)
		}
	}
	if err := v.endOfDay(); err != nil {
		return err
	}
	return v.endOfLog()
}

// entry verifies a key and its value. It returns only errors that end the
// verification.
func (v *verifier) entry(item *badger.Item, value []byte) error {
	k := item.Key()
	e, ofDay, err := dayEntry(k)
	switch {
	case err != nil:
		v.problem("key %x is not a valid key of a version", k)
	case ofDay && item.ExpiresAt() == 0:
		v.version(e, "its %s never expires", className(e.Class))
		fallthrough
	case ofDay:
		return v.dayKey(k, e, value)
	default:
		if err := v.global(k, value); err != nil {
			v.problem("key %x: %v", k, err)
		}
	}
	return nil
}

// version reports damage of a version.
func (v *verifier) version(e key.Entry, format string, args ...any) {
	d := Damage{Time: moment(e.TS), Problem: fmt.Sprintf(format, args...)}
	if id, err := v.r.identity(e.Object); err == nil {
		d.Object = id.ref.String()
	} else {
		d.Object = fmt.Sprintf("object %d", e.Object)
	}
	v.damage(d)
}

// exists reports whether a key exists.
func (v *verifier) exists(k []byte) (bool, error) {
	_, err := v.r.txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// tables verifies every block of the current tables. The blocks of later tables
// were verified when their data was read.
func (v *verifier) tables() error {
	for _, t := range v.s.db.Tables() {
		if err := v.s.checkOpen(v.ctx); err != nil {
			return err
		}
		path := badgerdir.TablePath(v.s.db.Opts().Dir, t.ID)
		var found []Damage
		if err := eachDamage(path, func(d Damage) { found = append(found, d) }); err != nil {
			found = append(found, Damage{File: filepath.Base(path), Problem: err.Error()})
		}
		if len(found) > 0 {
			damage := badgerdir.DamagedTable(v.s.db, path, errors.New(found[0].Problem))
			if damage == nil {
				continue // compacted meanwhile
			}
			v.found = damage
		}
		for _, d := range found {
			v.damage(d)
		}
		v.Files++
	}
	return nil
}

// eachDamage calls report for each damaged block of a table. An error means
// that the table can't be read at all.
func eachDamage(path string, report func(Damage)) error {
	t, err := table.Open(path)
	if err != nil {
		return err
	}
	for i, first := range t.First {
		if _, err := t.Read(i); err != nil {
			d := Damage{File: filepath.Base(path), Problem: fmt.Sprintf("block %d of %d: %v", i+1, len(t.Blocks), err)}
			if e, err := key.Decode(first); err == nil {
				d.Time = moment(e.TS)
			}
			report(d)
		}
	}
	return t.Close()
}
