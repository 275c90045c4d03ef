package store

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	badger "github.com/dgraph-io/badger/v4"

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
		err := eachDamage(path, func(d Damage) { v.damage(d) })
		gone := errors.Is(err, fs.ErrNotExist)
		if gone && !slices.ContainsFunc(v.s.db.Tables(), func(i badger.TableInfo) bool { return i.ID == t.ID }) {
			continue // compacted into others meanwhile
		}
		if err != nil {
			v.damage(Damage{File: filepath.Base(path), Problem: err.Error()})
		}
		v.Files++
	}
	return nil
}

// Inspect reports what is damaged of the tables in a directory, without opening the log that a damaged one may keep from being
// opened. It returns how many tables it has read. Nothing in the directory is changed; who uses it must not be writing.
func Inspect(dir string, report func(Damage)) (files int64, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil {
		return 0, fmt.Errorf("look for tables: %w", err)
	}
	for _, path := range paths {
		if err := eachDamage(path, report); err != nil {
			report(Damage{File: filepath.Base(path), Problem: err.Error()})
		}
		files++
	}
	return files, nil
}

// tablePath returns the path of a table's file.
func tablePath(dir string, id uint64) string { return filepath.Join(dir, fmt.Sprintf("%06d.sst", id)) }

// eachDamage reports the blocks of a table that are damaged. An error says that nothing of the table can be read.
func eachDamage(path string, report func(Damage)) error {
	t, err := table.Open(path)
	if err != nil {
		return err
	}
	for i, b := range t.Blocks {
		if _, err := t.Read(i); err != nil {
			d := Damage{File: filepath.Base(path), Problem: fmt.Sprintf("block %d of %d: %v", i+1, len(t.Blocks), err)}
			if e, err := key.Decode(b.First); err == nil {
				d.Time = moment(e.TS)
			}
			report(d)
		}
	}
	return t.Close()
}
