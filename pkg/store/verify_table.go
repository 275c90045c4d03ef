package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

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
