package store

import (
	"errors"
	"sync"
	"time"

	badger "github.com/dgraph-io/badger/v4"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
)

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
