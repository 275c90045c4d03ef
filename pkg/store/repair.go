package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/table"
)

// asideDir is where repair puts damaged files, in the storage directory.
const asideDir = "damaged"

// Repair makes a log that a damaged file keeps from opening, or in which a table is damaged, one that opens and is whole, and says
// what it does, in lines. What loses nothing it mends: the manifest, which it makes again of the tables, the registry, the beginnings of
// logs. A damaged table is set aside only where it holds nothing but versions: then the days that it holds versions of are dropped,
// and are a gap of every resource. Whatever it can't repair is a [history.Invalid] error; then nothing is changed.
//
// The log must not be open. It may need a verification afterwards.
func Repair(ctx context.Context, dir string, opts Options, say func(string)) (err error) {
	opts = withDefaults(opts)
	lock, err := claim(dir)
	if err != nil {
		return err
	}
	r := &repair{dir: dir, say: say}
	if err := r.files(ctx, opts); err != nil || len(r.days) == 0 {
		return errors.Join(err, lock.release())
	}
	s, err := openRepaired(dir, opts)
	if err != nil {
		return errors.Join(err, lock.release())
	}
	s.lock = lock
	err = s.forget(ctx, slices.Sorted(maps.Keys(r.days)))
	if err == nil {
		err = errors.Join(s.db.Sync(), os.Remove(filepath.Join(dir, repairing)), durable.SyncDir(dir))
	}
	return errors.Join(err, s.Close())
}

// openRepaired opens the database of a directory. What the manifest does not name is left to Badger to remove: it may be newer than
// all that it names where a damaged table was the newest.
func openRepaired(dir string, opts Options) (*Store, error) {
	f, err := readFiles(dir)
	if err != nil {
		return nil, err
	}
	tables, err := f.tables()
	if err != nil {
		return nil, err
	}
	return openLog(dir, tables, opts)
}

// repairing is the file that names the days to drop, as long as that is not done. No log is opened beside it.
const repairing = "REPAIRING"

// checkRepaired refuses a directory whose repair broke off.
func checkRepaired(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, repairing)); err != nil {
		return nil //nolint:nilerr // there is no such file, or what keeps it from being read shows where the database is opened
	}
	return history.Errorf(history.Invalid,
		"storage directory %s is repaired in part only: run watchhistory-recorder repair again, or set storagePath (BADGER_PATH) to another directory",
		dir)
}

// remember puts the days to drop on the disk before any table is taken away, and takes over those of a repair that broke off.
func (r *repair) remember() error {
	path := filepath.Join(r.dir, repairing)
	switch b, err := os.ReadFile(path); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return err
	default:
		var before []uint16
		if err := json.Unmarshal(b, &before); err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		for _, day := range before {
			r.days[day] = true
		}
	}
	if len(r.days) == 0 {
		return nil
	}
	b, err := json.Marshal(slices.Sorted(maps.Keys(r.days)))
	if err != nil {
		return err
	}
	f, err := durable.Create(path)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Discard())
	}
	return f.Commit()
}

// repair is a run of [Repair].
type repair struct {
	dir  string
	say  func(string)
	days map[uint16]bool // whose versions are lost, some of them at least

	tables map[uint64]badger.TableManifest // that go on
	aside  []string                        // names of files to set aside
}

// files repairs the files of a directory that is locked.
func (r *repair) files(ctx context.Context, opts Options) error {
	if err := errors.Join(checkFinished(r.dir), mend(r.dir, opts.Logger)); err != nil {
		return err
	}
	f, err := readFiles(r.dir)
	if _, isTorn := errors.AsType[*torn](err); err != nil && !isTorn {
		return err
	}
	if f == nil {
		return history.Errorf(history.Invalid, "storage directory %s holds no history", r.dir)
	}
	rebuild := err != nil
	if !rebuild {
		_, isTorn := errors.AsType[*torn](f.unknown(f.newest()))
		rebuild = isTorn
	}
	if err := r.plan(ctx, f, rebuild); err != nil {
		return err
	}
	if err := r.remember(); err != nil {
		return err
	}
	return r.apply(f, rebuild)
}

// newest returns the newest of the database's versions in the tables that the manifest names, as far as they can be read.
func (f *files) newest() (n uint64) {
	for id := range f.manifest.Tables {
		if t, err := f.table(id); err == nil {
			n = max(n, t.Newest)
		}
	}
	return n
}

// plan decides what becomes of each table. Tables that no manifest names any more all go into the first level, where they may
// overlap and the newest of what they hold counts.
func (r *repair) plan(ctx context.Context, f *files, rebuild bool) error {
	r.tables, r.days = maps.Clone(f.manifest.Tables), map[uint16]bool{}
	if rebuild {
		r.tables = map[uint64]badger.TableManifest{}
		for id := range f.found {
			r.tables[id] = badger.TableManifest{Compression: options.ZSTD}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(r.tables)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		name := filepath.Base(tablePath(r.dir, id))
		if !f.found[id] {
			return beyond(name, "it is missing")
		}
		what := ""
		err := eachDamage(tablePath(r.dir, id), func(d Damage) { what = d.Problem })
		if err != nil {
			return beyond(name, err.Error())
		}
		if what == "" {
			continue
		}
		if err := r.lose(id, name, what); err != nil {
			return err
		}
	}
	return nil
}

func beyond(name, why string) error {
	return history.Errorf(history.Invalid, "%s (%s) can't be repaired, since nobody can tell what it held: restore a backup", name, why)
}

// lose sets a damaged table aside, if all that it holds are versions of days that can be told.
func (r *repair) lose(id uint64, name, what string) error {
	t, err := table.Open(tablePath(r.dir, id))
	if err != nil {
		return err
	}
	last, unknown := t.Last()
	if unknown != nil {
		last = t.First[len(t.First)-1]
	}
	from, err1 := key.Decode(t.First[0])
	to, err2 := key.Decode(last)
	if err := t.Close(); err != nil {
		return err
	}
	if err1 != nil || err2 != nil {
		return beyond(name, what)
	}
	until := key.Day(to.TS)
	if unknown != nil {
		until++ // the last block may go on into the day after that of its first key
	}
	for day := key.Day(from.TS); day <= until; day++ {
		r.days[day] = true
	}
	delete(r.tables, id)
	r.aside = append(r.aside, name)
	r.say(fmt.Sprintf("%s (%s): it goes to %s, and the days from %s to %s are dropped and become a gap", name, what, asideDir,
		dateOf(key.Day(from.TS)), dateOf(until)))
	return nil
}

func dateOf(day uint16) string {
	return moment(uint64(day) * uint64(24*time.Hour)).Format(time.DateOnly)
}

// apply does what is planned. The manifest comes last before anything is taken away, so that a crash leaves what was, or what will
// be with files too many.
func (r *repair) apply(f *files, rebuild bool) error {
	if checkRegistry(r.dir) != nil {
		r.say(registryFile + ": it is made anew; it holds nothing")
		r.aside = append(r.aside, registryFile)
	}
	for _, name := range f.logs {
		if checkLog(r.dir, name) == nil {
			continue
		}
		r.say(name + ": its beginning is written again")
		if err := rewriteStart(filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	if rebuild || len(r.tables) < len(f.manifest.Tables) {
		r.say(fmt.Sprintf("%s: it is made again, of %d tables", manifestFile, len(r.tables)))
		if err := writeManifest(r.dir, r.tables); err != nil {
			return err
		}
	}
	return r.setAside()
}

func (r *repair) setAside() error {
	if len(r.aside) == 0 {
		return nil
	}
	to := filepath.Join(r.dir, asideDir)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, name := range r.aside {
		if err := os.Rename(filepath.Join(r.dir, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	return errors.Join(durable.SyncDir(to), durable.SyncDir(r.dir))
}

// rewriteStart writes the number of the key that a log is encrypted with, which is none.
func rewriteStart(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, logKey), 0)
	return errors.Join(err, f.Sync(), f.Close())
}
