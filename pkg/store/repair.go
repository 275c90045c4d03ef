package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/durable"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// asideDir is where repair puts damaged files, in the storage directory. They stay there until somebody removes them.
const asideDir = "damaged"

// redactionKey is the length in bytes of the key that secret values are hashed with.
const redactionKey = 32

// Report is what a repair does, or would do.
type Report struct {
	// Files are the damaged files, in order.
	Files []DamagedFile
	// Restored is how many keys were lost and are made again of others.
	Restored int
	// Bare is how many deletions lost their JSON, and Unattributed how many versions what is known of their writers and in words.
	Bare, Unattributed int
	// Forgotten is how many objects nothing is left of.
	Forgotten int
	// Gaps is how many gaps say what is missing.
	Gaps int
	// Unknown reports whether further versions may be lost of which nothing is left that tells of them.
	Unknown bool
	// NewKey reports whether the key is lost that secret values are hashed with: hashes from before can't be compared with later ones.
	NewKey bool

	lost  []lostVersion
	names map[uint16]string
}

// DamagedFile is a file of which something can't be read, and what becomes of it.
type DamagedFile struct{ Name, Problem, Repair string }

// Loss is what is lost of one resource on one day.
type Loss struct {
	Resource string // as in deployments.apps; empty if it is not known
	Day      string // as in 2026-11-29, UTC
	Versions int
	Objects  int
	From, To time.Time // of the first and the last version
}

type lostVersion struct {
	version

	resource uint16
}

// Damaged reports whether there was anything to repair.
func (r *Report) Damaged() bool { return len(r.Files) > 0 }

// Lost returns how many versions are lost, and of how many objects.
func (r *Report) Lost() (versions, objects int) {
	of := map[uint64]bool{}
	for _, l := range r.lost {
		of[l.object] = true
	}
	return len(r.lost), len(of)
}

// Losses returns what is lost, by resource and day.
func (r *Report) Losses() (list []Loss) {
	type place struct {
		resource uint16
		day      uint16
	}
	by, objects := map[place]*Loss{}, map[place]map[uint64]bool{}
	for _, l := range r.lost {
		at := place{l.resource, key.Day(l.ts)}
		one := by[at]
		if one == nil {
			one = &Loss{Resource: r.names[l.resource], Day: dateOf(at.day), From: moment(l.ts), To: moment(l.ts)}
			by[at], objects[at] = one, map[uint64]bool{}
		}
		one.Versions++
		objects[at][l.object] = true
		one.Objects = len(objects[at])
		if t := moment(l.ts); t.Before(one.From) {
			one.From = t
		} else if t.After(one.To) {
			one.To = t
		}
	}
	for _, l := range by {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Loss) int { return slices.Compare([]string{a.Day, a.Resource}, []string{b.Day, b.Resource}) })
	return list
}

func (r *Report) lose(resource uint16, v version) {
	r.lost = append(r.lost, lostVersion{v, resource})
}

// Repair makes a log of which files are damaged one that is whole, and keeps every version that can still be read. What is lost lies in
// gaps with the reason [history.GapDamaged], and the damaged files are moved to the directory "damaged" in the storage directory.
//
// The log must not be open. After an error it is as it was, or as it is to be. A directory without a history is a [history.Invalid]
// error.
func Repair(ctx context.Context, dir string, opts Options) (r *Report, err error) {
	opts = withDefaults(opts)
	lock, err := claim(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	if err := errors.Join(checkFinished(dir), checkNotImported(dir), mend(dir, opts.Logger)); err != nil {
		return nil, err
	}
	return repairLocked(ctx, dir, opts, func(*Report) error { return nil })
}

// Forecast returns the report of the repair that [Repair] would do, and changes nothing. The directory may be on a volume that can't be
// written to.
func Forecast(ctx context.Context, dir string, opts Options) (*Report, error) {
	v, err := Inspect(ctx, dir, opts)
	if err != nil {
		return nil, err
	}
	return v.Report(), v.Close()
}

// repairLocked repairs a directory that is locked, if permit permits what the repair does.
func repairLocked(ctx context.Context, dir string, opts Options, permit func(*Report) error) (*Report, error) {
	found, err := examine(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("repair %s: %w", dir, err)
	}
	if found == nil {
		return nil, noHistory(dir)
	}
	p, err := prepare(ctx, found, dir, opts)
	if err != nil {
		return nil, fmt.Errorf("repair %s: %w", dir, err)
	}
	if p.report.Damaged() {
		if err = permit(p.report); err == nil {
			err = p.install()
		}
	}
	if err := errors.Join(err, p.view.remove()); err != nil {
		return nil, fmt.Errorf("repair %s: %w", dir, err)
	}
	return p.report, nil
}

func noHistory(dir string) error {
	return history.Errorf(history.Invalid, "storage directory %s holds no history", dir)
}

// repair is one that is prepared in a view.
type repair struct {
	found  *salvage
	view   *view
	report *Report
}

// prepare makes a view of what is left of a database, in which it is whole. The caller removes the view.
func prepare(ctx context.Context, found *salvage, parent string, opts Options) (p *repair, err error) {
	p = &repair{found: found, report: &Report{names: map[uint16]string{}}}
	sp, err := readSpare(found.dir)
	if err != nil {
		return nil, err
	}
	if p.view, err = newView(ctx, found, parent, endlessly(opts)); err != nil {
		return nil, err
	}
	p.describe()
	if len(found.lost) == 0 {
		return p, nil
	}
	b := newRebuild(ctx, p.view, sp, p.report)
	err = b.run()
	if err == nil {
		err = p.view.apply(func(r *reader) error {
			b.r = r
			return b.nameLosses()
		})
	}
	if err != nil {
		return nil, errors.Join(err, p.view.remove())
	}
	return p, nil
}

// describe says what becomes of each file.
func (p *repair) describe() {
	for _, e := range p.found.damaged {
		f := DamagedFile{Name: filepath.Base(tablePath("", e.id)), Problem: e.problem}
		switch {
		case len(e.first) == 0:
			f.Repair = "nothing of it can be read"
		case e.indexed:
			f.Repair = fmt.Sprintf("%d of %d blocks can be read and are kept", len(e.sound), len(e.first))
		default:
			f.Repair = fmt.Sprintf("%d blocks can be read and are kept", len(e.sound))
		}
		p.report.Files = append(p.report.Files, f)
	}
	for _, name := range p.found.aside {
		p.report.Files = append(p.report.Files, DamagedFile{name, "it is not what was written", "it is made again, without a loss"})
	}
	for _, name := range p.found.starts {
		p.report.Files = append(p.report.Files, DamagedFile{name, "its beginning is not what was written", "it is written again, without a loss"})
	}
	if len(p.found.lost) > 0 && len(p.found.damaged) == 0 {
		p.report.Files = append(p.report.Files, DamagedFile{repairing, "an earlier repair broke off", "it is completed"})
	}
}

// nameLosses looks up what the resources are called of which something is lost.
func (b *rebuild) nameLosses() error {
	all, err := b.resources()
	for n, r := range all {
		b.report.names[n] = r.String()
	}
	return err
}

// install puts the tables of the view in the place of the damaged ones. The manifest comes last before anything is taken away: a crash
// leaves what was, or what is to be, with files too many.
func (p *repair) install() error {
	dir := p.found.dir
	if err := p.keepDamaged(); err != nil {
		return fmt.Errorf("keep the damaged files: %w", err)
	}
	for _, id := range p.made() {
		if err := os.Rename(tablePath(p.view.dir, id), tablePath(dir, id)); err != nil {
			return err
		}
	}
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	for _, name := range p.found.starts {
		if err := rewriteStart(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if p.found.rebuild || len(p.made()) > 0 || len(p.found.damaged) > 0 {
		if err := writeManifest(dir, p.view.tables); err != nil {
			return err
		}
	}
	gone := []string{repairing}
	for _, e := range p.found.damaged {
		gone = append(gone, filepath.Base(tablePath(dir, e.id)))
	}
	for _, name := range p.found.aside {
		if name != manifestFile {
			gone = append(gone, name)
		}
	}
	for _, name := range gone {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(dir)
}

// made returns the numbers of the tables that the view has and the directory does not.
func (p *repair) made() (ids []uint64) {
	for _, e := range p.found.damaged {
		if e.replaced != 0 {
			ids = append(ids, e.replaced)
		}
	}
	if p.view.edited != 0 {
		ids = append(ids, p.view.edited)
	}
	return ids
}

// keepDamaged puts the damaged files under other names into [asideDir], where they take no further room as long as they are under
// their own, too, if the file system has links.
func (p *repair) keepDamaged() error {
	to := filepath.Join(p.found.dir, asideDir)
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	names := slices.Concat(p.found.aside, p.found.starts)
	for _, e := range p.found.damaged {
		names = append(names, filepath.Base(tablePath("", e.id)))
	}
	for _, name := range names {
		err := keep(filepath.Join(p.found.dir, name), filepath.Join(to, name))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return errors.Join(durable.SyncDir(to), durable.SyncDir(p.found.dir))
}

// keep gives a file a second name, or copies it; a number is added to a name that is taken. A file that is written to is copied.
func keep(from, to string) error {
	name := to
	for n := 1; ; n++ {
		if _, err := os.Lstat(name); errors.Is(err, os.ErrNotExist) {
			break
		}
		name = fmt.Sprintf("%s.%d", to, n)
	}
	if filepath.Ext(from) == ".sst" && os.Link(from, name) == nil {
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := durable.Create(name)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Discard())
	}
	return out.Commit()
}

func dateOf(day uint16) string {
	return moment(uint64(day) * uint64(24*time.Hour)).Format(time.DateOnly)
}

// newest returns the newest of the database's versions in the tables that the manifest names, as far as they can be read.
func (f *files) newest() (n uint64) {
	for id := range f.manifest.Tables {
		if t, _, _, err := f.table(id); err == nil {
			n = max(n, t.Newest)
		}
	}
	return n
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

// settleRepaired completes a repair that found a deletion of which only the head tells: that is recorded again, as an inferred one.
func (s *Store) settleRepaired(ctx context.Context) error {
	var repaired bool
	err := s.db.View(func(txn *badger.Txn) error {
		_, err := get(txn, key.Repaired())
		repaired = err == nil
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		return err
	})
	if err != nil || !repaired {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	return s.db.Update(func(txn *badger.Txn) error { return txn.Delete(key.Repaired()) })
}

// errRepairing is what an open log answers while it is repaired.
var errRepairing = history.Errorf(history.Unavailable, "a file of the history's database is damaged and is being repaired: ask again")

// How long whoever reads or writes waits for a repair: until nobody else uses the database any more, and then until it has ended.
// The first one is short, since the caller may use the database already, so that the repair waits for the caller.
const (
	aloneWithin  = 5 * time.Second
	repairWithin = time.Minute
)

// repairs is the repair of an open log that runs, if one does.
type repairs struct {
	mu  sync.Mutex     // guards now
	now *runningRepair // nil: none runs
}

// runningRepair has channels that are closed when nobody else uses the database, and when the repair has ended.
type runningRepair struct{ alone, done chan struct{} }

// begin begins a repair, unless one runs.
func (r *repairs) begin() (now *runningRepair, begun bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.now != nil {
		return nil, false
	}
	r.now = &runningRepair{make(chan struct{}), make(chan struct{})}
	return r.now, true
}

func (r *repairs) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.now.done)
	r.now = nil
}

// wait waits for a repair that runs. Without one, somebody closes the log.
func (r *repairs) wait() error {
	r.mu.Lock()
	now := r.now
	r.mu.Unlock()
	if now == nil {
		return errClosed
	}
	for _, step := range []struct {
		reached chan struct{}
		within  time.Duration
	}{{now.alone, aloneWithin}, {now.done, repairWithin}} {
		select {
		case <-now.done:
			return nil
		case <-step.reached:
		case <-time.After(step.within):
			return errRepairing
		}
	}
	return nil
}

// foundDamage repairs the log next to whoever has found a damaged file, and does not wait for it.
func (s *Store) foundDamage(d *damageError) {
	now, begun := s.repairs.begin()
	if !begun {
		return
	}
	go func() {
		defer s.repairs.end()
		s.heal(d, now)
	}()
}

// heal closes the database, repairs it, and opens it again. Whoever reads or writes meanwhile waits, or is told to ask again; nothing that
// was committed is lost but what the damaged blocks hold.
func (s *Store) heal(d *damageError, now *runningRepair) {
	s.repairing.Store(true)
	defer s.repairing.Store(false)
	s.users.Lock()
	defer s.users.Unlock()
	close(now.alone)
	if s.closed {
		return
	}
	s.log.Error("a file of the database is damaged: the database is closed, repaired and opened again", "err", d)
	s.sound.close()
	err := s.db.Close()
	s.bodies.Close()
	if err == nil {
		err = repairToOpen(s.dir, s.opts, d)
	}
	var again *Store
	if err == nil {
		again, err = openChecked(s.dir, s.opts)
	}
	if err != nil {
		s.log.Error("repair of the open database failed: it is closed", "err", err)
		s.closed = true
		_ = s.lock.release() // nobody uses the directory any more
		return
	}
	s.adopt(again)
}

// adopt takes over what another log on the same directory knows. The caller holds users.
func (s *Store) adopt(o *Store) {
	s.db, s.bodies, s.exemplars, s.identities, s.texts = o.db, o.bodies, o.exemplars, o.identities, o.texts
	s.phrases, s.objects, s.sound, s.redaction, s.opened = o.phrases, o.objects, o.sound, o.redaction, o.opened
	s.terms = newDictionary(func(k []byte) error { return s.sound.checkKey(k) })
	s.sound.found = s.foundDamage
	s.state, s.failed, s.spared, s.spareNumbers, s.sparedAt = o.state, o.failed, o.spared, o.spareNumbers, o.sparedAt
	s.last.Store(o.last.Load())
	s.oldest.Store(o.oldest.Load())
	s.dropped.Store(o.dropped.Load())
}

// suspect looks for damage where what was read does not fit together: a key that has to be there is not, or a body is not what was
// written. It returns the error of the damaged file, if that explains it.
func (s *Store) suspect(err error) error {
	if !errors.Is(err, badger.ErrKeyNotFound) && !errors.Is(err, codec.ErrCorrupt) {
		return err
	}
	release, inUse := s.use()
	if inUse != nil {
		return inUse
	}
	defer release()
	if found := s.sound.check(keyRange{}); found != nil {
		return found
	}
	return err
}

// retried calls a read that found a damaged file again, once that is repaired, for as long as it has answered nothing.
func (s *Store) retried(read func() (answered bool, err error)) error {
	const most = 3
	for attempt := 1; ; attempt++ {
		answered, err := read()
		if err == nil {
			return nil
		}
		err = s.suspect(err)
		_, damage := errors.AsType[*damageError](err)
		if !damage && !errors.Is(err, errRepairing) {
			return err
		}
		if answered || attempt == most {
			return errRepairing
		}
		if err := s.repairs.wait(); err != nil && !errors.Is(err, errClosed) {
			return err
		}
	}
}
