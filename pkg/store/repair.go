package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/badgerdir"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// redactionKeySize is the length in bytes of the key that secret values are
// hashed with.
const redactionKeySize = 32

// ErrDamaged matches the errors of [Open] and of reading if a file of the
// database is damaged.
var ErrDamaged = badgerdir.ErrDamaged

// ErrTooManyTables matches the errors of [Open] and of [Store.Append] if the
// database has more tables than the process can keep open.
var ErrTooManyTables = badgerdir.ErrTooManyTables

// ErrNoDirectory matches the errors of [Inspect] and [Forecast] if no temporary
// directory can be created.
var ErrNoDirectory = badgerdir.ErrNoDirectory

// DamagedFile is a damaged file of a database: its name, what is wrong with it,
// and what a repair does with it.
type DamagedFile = badgerdir.DamagedFile

// Report describes what a repair does, or would do.
type Report struct {
	// Files are the damaged files.
	Files []DamagedFile
	// Restored is the number of keys that were lost and are restored from
	// others.
	Restored int
	// Bare is the number of deletions that lose their JSON.
	Bare int
	// Unattributed is the number of versions that lose their managers and their
	// summary.
	Unattributed int
	// Forgotten is the number of objects without any version left.
	Forgotten int
	// Gaps is the number of gaps that the repair adds.
	Gaps int
	// Unknown reports whether versions may be lost that can't be counted.
	Unknown bool
	// NewKey reports whether the redaction key is lost. Hashes from before the
	// repair can't be compared with later ones.
	NewKey bool

	lost  []lostVersion     // each version once
	names map[uint16]string // of resources, by number
}

// Loss describes the lost versions of one resource on one day.
type Loss struct {
	Resource string // as in deployments.apps; empty: unknown
	Day      string // as in 2026-11-29, UTC
	Versions int
	Objects  int
	From, To time.Time // of the first and the last lost version
}

// lostVersion is a version that is dropped by a repair.
type lostVersion struct {
	versionID

	resource uint16 // 0: unknown
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

// Losses returns the lost versions by day and resource, sorted.
func (r *Report) Losses() (list []Loss) {
	type place struct {
		resource uint16
		day      uint16
	}
	byPlace, objects := map[place]*Loss{}, map[place]map[uint64]bool{}
	for _, l := range r.lost {
		at := place{l.resource, key.Day(l.ts)}
		loss := byPlace[at]
		if loss == nil {
			loss = &Loss{Resource: r.names[l.resource], Day: dateOf(at.day), From: moment(l.ts), To: moment(l.ts)}
			byPlace[at], objects[at] = loss, map[uint64]bool{}
		}
		loss.Versions++
		objects[at][l.object] = true
		loss.Objects = len(objects[at])
		if t := moment(l.ts); t.Before(loss.From) {
			loss.From = t
		} else if t.After(loss.To) {
			loss.To = t
		}
	}
	for _, l := range byPlace {
		list = append(list, *l)
	}
	slices.SortFunc(list, func(a, b Loss) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Resource, b.Resource))
	})
	return list
}

// addLost adds a lost version.
func (r *Report) addLost(resource uint16, v versionID) {
	r.lost = append(r.lost, lostVersion{v, resource})
}

// log logs what a repair of a directory did.
func (r *Report) log(logger *slog.Logger, dir string) {
	for _, f := range r.Files {
		logger.Error("repaired a damaged file",
			"file", f.Name, "problem", f.Problem, "repair", f.Repair,
			"kept_in", filepath.Join(dir, badgerdir.DamagedDir))
	}
	versions, objects := r.Lost()
	logger.Error("repaired the database, gaps cover the lost versions",
		"versions", versions, "objects", objects, "gaps", r.Gaps)
	for _, l := range r.Losses() {
		logger.Error("versions are lost",
			"resource", l.Resource, "day", l.Day, "versions", l.Versions, "objects", l.Objects)
	}
}

// dateOf returns the date on which a day begins, in UTC.
func dateOf(day uint16) string {
	return moment(uint64(day) * uint64(24*time.Hour)).Format(time.DateOnly)
}

// Repair repairs a log with damaged files. It keeps every version that can
// still be read. Gaps with the reason [history.GapDamaged] cover the lost ones,
// and the damaged files are moved to the subdirectory "damaged".
//
// The log must not be open. After an error the log is either unchanged or
// repaired. A directory without a history is a [history.Invalid] error.
func Repair(ctx context.Context, dir string, opts Options) (r *Report, err error) {
	opts = withDefaults(opts)
	lock, err := badgerdir.Claim(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	err = errors.Join(checkRestored(dir), checkNotImported(dir), badgerdir.RemoveEmptyFiles(dir, opts.Logger))
	if err != nil {
		return nil, err
	}
	return repairLocked(ctx, dir, opts, nil, func(*Report) error { return nil })
}

// Forecast returns the report of the repair that [Repair] would do, and changes
// nothing. The directory may be on a read-only volume.
func Forecast(ctx context.Context, dir string, opts Options) (*Report, error) {
	v, err := Inspect(ctx, dir, opts)
	if err != nil {
		return nil, err
	}
	return v.Report(), v.Close()
}

// repairToOpen repairs a log that is being opened, so that recording continues.
// It fails if the redaction key is lost: only the operator can decide to
// continue with a new key.
func repairToOpen(dir string, opts Options, damage *badgerdir.DamageError) error {
	opts.Logger.Error("a file of the database is damaged and is repaired", "err", damage)
	r, err := repairLocked(context.Background(), dir, opts, damage, func(r *Report) error {
		if r.NewKey {
			return damage
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.log(opts.Logger, dir)
	return nil
}

// repairLocked repairs a directory that is locked. It changes nothing if permit
// returns an error, or if no file is damaged:
//
//  1. Examine reads all tables, and finds the ranges of lost keys.
//  2. prepare makes a view and rebuilds the log in it.
//  3. permit accepts or rejects the report.
//  4. Install moves the view's tables into the directory.
//
// known is the damage that requests the repair, or nil.
func repairLocked(
	ctx context.Context, dir string, opts Options, known *badgerdir.DamageError, permit func(*Report) error,
) (*Report, error) {
	found, err := badgerdir.Examine(ctx, dir, known)
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
			err = p.view.Install()
		}
	}
	if err := errors.Join(err, p.view.Remove()); err != nil {
		return nil, fmt.Errorf("repair %s: %w", dir, err)
	}
	return p.report, nil
}

func noHistory(dir string) error {
	return history.Errorf(history.Invalid, "storage directory %s holds no history", dir)
}

// repair is a repair that is prepared in a view. Installing the view completes
// it. The log is not changed before.
type repair struct {
	view   *view
	report *Report
}

// prepare makes a view of a damaged log in which the log is consistent. The
// caller must remove the view. A log of another format is a [history.Invalid]
// error.
func prepare(ctx context.Context, found *badgerdir.Salvage, parent string, opts Options) (p *repair, err error) {
	p = &repair{report: &Report{Files: found.DamagedFiles(), names: map[uint16]string{}}}
	sp, err := readSpare(found.Dir())
	if err != nil {
		return nil, err
	}
	if p.view, err = newView(ctx, found, sp, parent, unlimited(opts)); err != nil {
		return nil, err
	}
	if len(found.Lost()) == 0 { // nothing to rebuild
		if err := p.view.read(func(*reader) error { return nil }); err != nil {
			return nil, errors.Join(err, p.view.Remove())
		}
		return p, nil
	}
	b := newRebuild(ctx, p.view, p.report)
	err = b.run()
	if err == nil {
		err = p.view.apply(func(r *reader) error {
			b.r = r
			return b.nameResources()
		})
	}
	if err != nil {
		return nil, errors.Join(err, p.view.Remove())
	}
	return p, nil
}

// nameResources adds the names of the resources to the report.
func (b *rebuild) nameResources() error {
	all, err := b.resources()
	for n, r := range all {
		b.report.names[n] = r.String()
	}
	return err
}

// completeRepair completes a repair that lost a deletion which the object's
// head still shows. The deletion is recorded again, as an inferred one. That
// needs an open log, so the repair leaves a key that requests it.
func (s *Store) completeRepair(ctx context.Context) error {
	var pending bool
	err := s.db.View(func(txn *badger.Txn) error {
		_, err := get(txn, key.RepairPending())
		pending = err == nil
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		return err
	})
	if err != nil || !pending {
		return err
	}
	if err := s.reconcileHeads(ctx); err != nil {
		return err
	}
	return s.db.Update(func(txn *badger.Txn) error { return txn.Delete(key.RepairPending()) })
}

// errRepairing rejects calls of a log that is being repaired.
var errRepairing = &history.Error{
	Code: history.Unavailable, Message: "the history's database is being repaired", Hint: "Try again in a minute.",
}

// How long a call waits for a repair: first until no other call uses the
// database, then until the repair ends. The first wait is short, because the
// caller itself may use the database, and then the repair waits for the caller.
const (
	maxWaitExclusive = 5 * time.Second
	maxWaitRepair    = time.Minute
)

// onlineRepairs runs at most one repair of an open log at a time. It is safe
// for concurrent use.
type onlineRepairs struct {
	mu      sync.Mutex
	running *onlineRepair // guarded by mu; nil: none
}

// onlineRepair is a running repair.
type onlineRepair struct {
	exclusive chan struct{} // closed when no other call uses the database
	done      chan struct{} // closed when the repair has ended
}

// begin starts a repair, unless one is running.
func (r *onlineRepairs) begin() (o *onlineRepair, begun bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		return nil, false
	}
	r.running = &onlineRepair{make(chan struct{}), make(chan struct{})}
	return r.running, true
}

// end ends the running repair and wakes the callers of wait.
func (r *onlineRepairs) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.running.done)
	r.running = nil
}

// wait waits until the running repair has ended, for a minute and some seconds
// at most; then it returns errRepairing. If no repair is running, it returns
// errClosed at once: the caller can't use the database because it is closing.
func (r *onlineRepairs) wait() error {
	r.mu.Lock()
	running := r.running
	r.mu.Unlock()
	if running == nil {
		return errClosed
	}
	for _, step := range []struct {
		reached chan struct{}
		within  time.Duration
	}{{running.exclusive, maxWaitExclusive}, {running.done, maxWaitRepair}} {
		select {
		case <-running.done:
			return nil
		case <-step.reached:
		case <-time.After(step.within):
			return errRepairing
		}
	}
	return nil
}

// onDamage starts to repair the log, unless a repair is running. It does not
// wait, so that callers may use the database. While the log is being opened, it
// does nothing: the damage is an error of opening it.
func (s *Store) onDamage(d *badgerdir.DamageError) {
	if !s.repairable {
		return
	}
	running, begun := s.repairs.begin()
	if !begun {
		return
	}
	go func() {
		defer s.repairs.end()
		s.repairOpen(d, running)
	}()
}

// repairOpen closes the database, repairs it, and opens it again. Concurrent
// calls wait, or return errRepairing. Only what the damaged blocks contain is
// lost. If the repair fails, the log is closed.
func (s *Store) repairOpen(d *badgerdir.DamageError, running *onlineRepair) {
	s.repairing.Store(true)
	defer s.repairing.Store(false)
	s.useMu.Lock()
	defer s.useMu.Unlock()
	close(running.exclusive)
	if s.closed {
		return
	}
	s.logger.Error("a file of the open database is damaged and is repaired", "err", d)
	s.integrity.close()
	err := s.db.Close()
	s.bodies.Close()
	if err == nil {
		err = repairToOpen(s.dir, s.opts, d)
	}
	var reopened *Store
	if err == nil {
		reopened, err = openChecked(s.dir, s.opts)
	}
	if err != nil {
		s.logger.Error("repair of the open database failed, the database is closed", "err", err)
		s.closed = true
		_ = s.lock.Release() // nothing uses the directory any more
		return
	}
	s.adopt(reopened)
	s.integrity.start()
}

// adopt takes over the database and the state of another log that opened the
// same directory. The caller holds useMu. A field of Store that opening a log
// sets must be here too, unless it is the same for every opening.
func (s *Store) adopt(o *Store) {
	s.db, s.bodies, s.refSnapshots, s.integrity = o.db, o.bodies, o.refSnapshots, o.integrity
	s.identityCache, s.phraseTexts, s.dayDict, s.headCache = o.identityCache, o.phraseTexts, o.dayDict, o.headCache
	s.places, s.listings = o.places, o.listings
	s.redaction, s.sessionStart = o.redaction, o.sessionStart
	s.terms = newDictionary(func(k []byte) error { return s.integrity.checkKey(k) })
	s.integrity.onDamage = s.onDamage
	s.state, s.failed, s.spared, s.spareNumbers, s.sparedAt = o.state, o.failed, o.spared, o.spareNumbers, o.sparedAt
	// The newest records may be lost. Their times are in cursors, so they are
	// not assigned again.
	upTo, _ := s.Committed()
	s.state.Last = max(s.state.Last, timestamp(upTo.Time))
	s.last.Store(s.state.Last)
	s.oldest.Store(o.oldest.Load())
	s.dropped.Store(o.dropped.Load())
}

// explain returns the error of the damaged file if damage causes err: a missing
// key, or a corrupt body. Otherwise it returns err. It verifies all tables,
// which is slow, but such errors are rare.
func (s *Store) explain(err error) error {
	if !errors.Is(err, badger.ErrKeyNotFound) && !errors.Is(err, codec.ErrCorrupt) {
		return err
	}
	release, acquireErr := s.acquire()
	if acquireErr != nil {
		return acquireErr
	}
	defer release()
	if damage := s.integrity.check(keyrange.Range{}); damage != nil {
		return damage
	}
	return err
}

// retryUnwritten calls write, and calls it again after the repair if it found a
// damaged file before it wrote anything.
func (s *Store) retryUnwritten(write func() error) error {
	err := write()
	_, damaged := errors.AsType[*badgerdir.DamageError](err)
	_, begun := errors.AsType[*writeError](err)
	if begun || !damaged && !errors.Is(err, errRepairing) {
		return err
	}
	// errClosed means that the repair has ended already: write reports it if
	// the log is closed.
	if err := s.repairs.wait(); err != nil && !errors.Is(err, errClosed) {
		return err
	}
	return write()
}

// retryAfterRepair calls read, and calls it again after the repair if it found
// a damaged file. It does not retry once read has passed results to its caller,
// which answered reports.
func (s *Store) retryAfterRepair(read func() (answered bool, err error)) error {
	const maxAttempts = 3
	for attempt := 1; ; attempt++ {
		answered, err := read()
		if err == nil {
			return nil
		}
		err = s.explain(err)
		_, damaged := errors.AsType[*badgerdir.DamageError](err)
		if !damaged && !errors.Is(err, errRepairing) || !s.repairable {
			return err
		}
		if answered || attempt == maxAttempts {
			return errRepairing
		}
		// errClosed means that the repair has ended already: read reports it if
		// the log is closed.
		if err := s.repairs.wait(); err != nil && !errors.Is(err, errClosed) {
			return err
		}
	}
}
