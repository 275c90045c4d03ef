package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// Damage is something in a log that is not as it was written.
type Damage struct {
	File    string    `json:"file,omitempty"`   // where it is known
	Object  string    `json:"object,omitempty"` // whose version it is, where that can be told
	Time    time.Time `json:"time,omitzero"`    // of that version
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

// Verification is what was looked at, and how much of it is damaged.
type Verification struct {
	Files     int64 `json:"files"`     // tables of the database
	Entries   int64 `json:"entries"`   // keys with their values
	Versions  int64 `json:"versions"`  // of objects
	Leftovers int64 `json:"leftovers"` // parts of versions that a killed process did not finish: they do no harm, and expire
	Damaged   int64 `json:"damaged"`
}

// Verify reads the whole log, as it is when it begins, and reports what is damaged: every block of every table, every version
// with its JSON, and whether index entries and versions, heads, identities and names, and numbers and texts belong together, both
// ways. It needs the memory of a scan, runs beside appends, and holds back Close, which ends it with an error. An error says that
// it could not run to its end; damage is none. A damaged table is repaired afterwards.
func (s *Store) Verify(ctx context.Context, report func(Damage), progress Progress) (result Verification, err error) {
	err = s.retried(func() (bool, error) {
		result, err = s.verify(ctx, report, progress)
		return result.Damaged > 0, err
	})
	return result, err
}

func (s *Store) verify(ctx context.Context, report func(Damage), progress Progress) (Verification, error) {
	release, err := s.use()
	if err != nil {
		return Verification{}, err
	}
	defer release()
	v := &verifier{s: s, ctx: ctx, report: report, progress: progress}
	err = v.tables()
	if err == nil {
		err = s.db.View(func(txn *badger.Txn) error {
			v.r = s.newReader(txn)
			v.r.sound = wholeTables() // what is damaged in them is reported
			if err := v.r.enter(); err != nil {
				return err
			}
			return v.entries()
		})
	}
	if v.found != nil {
		s.foundDamage(v.found)
	}
	if err != nil {
		return v.Verification, fmt.Errorf("verify: %w", err)
	}
	return v.Verification, nil
}

// verifier is a run of [Store.Verify].
type verifier struct {
	s        *Store
	ctx      context.Context //nolint:containedctx // of one call
	r        *reader
	report   func(Damage)
	progress Progress
	bytes    int64
	found    *damageError // the last damaged table; nil: there is none

	day     day
	objects objects
	// standingParts counts the parts of versions that were carried on, without those that such a version has.
	standingParts int64
	standingOwned pairing // of the entries of these by their owners
	terms         pairing // of numbers and their texts
	highest       codec.State
	Verification
}

func (v *verifier) damage(d Damage) {
	v.Damaged++
	v.report(d)
}

func (v *verifier) problem(format string, args ...any) {
	v.damage(Damage{Problem: fmt.Sprintf(format, args...)})
}

// entries goes over all keys with one iterator, so that what is dropped meanwhile is seen as a whole or not at all.
func (v *verifier) entries() error {
	it := v.r.txn.NewIterator(badger.IteratorOptions{})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := v.s.goesOn(v.ctx); err != nil {
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

// entry looks at a key and its value. It returns the errors of which nothing can be said, but that it could not go on.
func (v *verifier) entry(item *badger.Item, value []byte) error {
	k := item.Key()
	e, historical, err := entryOf(k)
	switch {
	case err != nil:
		v.problem("key %x is none that a version has", k)
	case historical && item.ExpiresAt() == 0:
		v.version(e, "its %s never expires", nameOf(e.Class))
		fallthrough
	case historical:
		return v.versioned(k, e, value)
	default:
		if err := v.once(k, value); err != nil {
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

// is tells whether there is a key.
func (v *verifier) is(k []byte) (bool, error) {
	_, err := v.r.txn.Get(k)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	return err == nil, err
}

// tables checks every block of the tables that the database has now. Those that it makes meanwhile were checked when what they
// hold was read.
func (v *verifier) tables() error {
	for _, t := range v.s.db.Tables() {
		if err := v.s.goesOn(v.ctx); err != nil {
			return err
		}
		path := tablePath(v.s.db.Opts().Dir, t.ID)
		var found []Damage
		if err := eachDamage(path, func(d Damage) { found = append(found, d) }); err != nil {
			found = append(found, Damage{File: filepath.Base(path), Problem: err.Error()})
		}
		if len(found) > 0 && !has(v.s.db, path) {
			continue
		}
		for _, d := range found {
			v.damage(d)
		}
		if len(found) > 0 {
			v.found = damaged(history.Unavailable, path, errors.New(found[0].Problem))
		}
		v.Files++
	}
	return nil
}

// has tells whether a table is still one of the database's. Badger empties the file of one that it has joined with others before
// it removes it, so that whoever reads it meanwhile takes it for damaged.
func has(db *badger.DB, path string) bool {
	return slices.ContainsFunc(db.Tables(), func(t badger.TableInfo) bool { return filepath.Base(tablePath("", t.ID)) == filepath.Base(path) })
}

// tablePath returns the path of a table's file.
func tablePath(dir string, id uint64) string { return filepath.Join(dir, fmt.Sprintf("%06d.sst", id)) }

// eachDamage reports the blocks of a table that are damaged. An error says that nothing of the table can be read.
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
