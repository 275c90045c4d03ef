package store

import (
	"cmp"
	"context"
	"fmt"
	"time"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

// reader reads the log as it was when its transaction began. It must be used by
// one goroutine at a time. Bodies are the exception: several goroutines may
// read them if the transaction is read-only.
type reader struct {
	s         *Store
	txn       *badger.Txn
	integrity *integrity // verifies the blocks that are read
	intact    bool       // all tables were verified; set by tolerateDamage
	floorDay  uint32     // the retention floor; set by loadFloor
	bodies    *bodyCache
}

func (s *Store) newReader(txn *badger.Txn) *reader {
	return &reader{s: s, txn: txn, integrity: s.integrity, bodies: newBodyCache()}
}

// view calls f with a reader of the log as it is now. If f reads a damaged
// file, view waits for its repair and calls f again. So f must not keep results
// of an earlier call. The reader is valid until f returns.
func (s *Store) view(f func(*reader) error) error {
	return s.retryAfterRepair(func() (bool, error) { return false, s.viewOnce(f) })
}

// viewOnce is view for functions that must not be called again.
func (s *Store) viewOnce(f func(*reader) error) (err error) {
	release, err := s.acquire()
	if err != nil {
		return err
	}
	defer release()
	return s.guard(func() error {
		return s.db.View(func(txn *badger.Txn) error { return f(s.newReader(txn)) })
	})
}

// guard calls read and turns a panic of a failed database into an error.
func (s *Store) guard(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.panicError(p)
		}
	}()
	return read()
}

// panicError returns the error for a panic of Badger after a commit failed: it
// has no memtable then, and panics when it is read. It repanics with any other
// panic.
func (s *Store) panicError(p any) error {
	s.commitMu.Lock() // wait until a commit that is failing has set failed
	defer s.commitMu.Unlock()
	if s.failed == nil {
		panic(p)
	}
	return history.Errorf(history.Unavailable, "%v", s.failed)
}

// get returns a copy of a key's value, or [badger.ErrKeyNotFound].
func get(txn *badger.Txn, k []byte) ([]byte, error) {
	item, err := txn.Get(k)
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// each calls f for every key with a prefix, in order. It first verifies the
// blocks that may contain such keys. The item is valid until f returns.
func (r *reader) each(prefix []byte, f func(*badger.Item) error) error {
	if err := r.integrity.checkPrefix(prefix); err != nil {
		return err
	}
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: prefix})
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		if err := r.s.stopErr(); err != nil {
			return err
		}
		if err := f(it.Item()); err != nil {
			return err
		}
	}
	return nil
}

// maxIdentities bounds the number of encoded identities that readers cache:
// about 7 MB. A page needs as many identities as it has records.
const maxIdentities = 49_152

// maxCachedIdentity is the length of the longest identity in the cache, in
// bytes. An identity with hundreds of owners has 30 KB.
const maxCachedIdentity = 1 << 10

// identity is an object, with the owners and the target that versions have if
// their metadata refers to the identity.
type identity struct {
	ref       history.ObjectRef
	created   time.Time // zero if it is unknown
	owners    []types.UID
	regarding *history.Target
}

// record returns the record of a version without its body. It needs the
// version's metadata, its object's identity, and the phrases of its day.
func (r *reader) record(e key.Entry, meta []byte) (*history.Record, codec.Meta, error) {
	rec := &history.Record{Time: moment(e.TS)}
	m, err := codec.DecodeMeta(meta, e.TS, rec, func(n uint16) (string, error) { return r.phrase(key.Day(e.TS), n) })
	if err != nil {
		return nil, m, fmt.Errorf("metadata of object %d at %d: %w", e.Object, e.TS, err)
	}
	id, err := r.identity(e.Object)
	if err != nil {
		return nil, m, err
	}
	rec.Ref, rec.Created = id.ref, id.created
	if m.SameRelations {
		rec.Owners, rec.Regarding = id.owners, id.regarding
	}
	kind, err := r.s.terms.text(r.txn, termNumber{key.Kinds, uint32(m.Kind)})
	if err != nil {
		return nil, m, err
	}
	rec.Version, rec.Kind, err = codec.SplitPair(kind)
	return rec, m, err
}

// meta reads the metadata of a version from its own key. A missing key is an
// error, because an index entry never exists without its record.
func (r *reader) meta(e key.Entry) ([]byte, error) {
	b, err := get(r.txn, e.In(key.Record))
	if err != nil {
		return nil, fmt.Errorf("read the record of object %d at %d: %w", e.Object, e.TS, err)
	}
	return b, nil
}

// identity returns the object of a number. The caller owns the result.
func (r *reader) identity(object uint64) (identity, error) {
	id, err := r.identityOf(object)
	if err != nil {
		return identity{}, err
	}
	ref, err := r.ref(id)
	if err != nil {
		return identity{}, fmt.Errorf("identity of object %d: %w", object, err)
	}
	return identity{ref: ref, created: creation(id), owners: id.Owners, regarding: id.Regarding}, nil
}

// creation returns when an object was created. It is zero if that is unknown.
func creation(id codec.Identity) time.Time {
	if id.Created == 0 {
		return time.Time{}
	}
	return time.Unix(id.Created, 0).UTC()
}

// seconds returns a time in seconds since 1970, and 0 for the zero time.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// identityOf returns an object's identity with the numbers of its terms.
func (r *reader) identityOf(object uint64) (codec.Identity, error) {
	encoded, err := r.encodedIdentity(object)
	if err != nil {
		return codec.Identity{}, fmt.Errorf("read the identity of object %d: %w", object, err)
	}
	id, err := codec.DecodeIdentity([]byte(encoded))
	if err != nil {
		return id, fmt.Errorf("identity of object %d: %w", object, err)
	}
	return id, nil
}

// encodedIdentity returns the bytes of an object's identity, and caches them.
func (r *reader) encodedIdentity(object uint64) (string, error) {
	if encoded, ok := r.s.identityCache.get(object); ok {
		return encoded, nil
	}
	b, err := get(r.txn, key.Identity(object))
	if err != nil {
		return "", err
	}
	if len(b) <= maxCachedIdentity {
		r.s.identityCache.put(object, string(b))
	}
	return string(b), nil
}

// nearIdentity is the distance of identities up to which stepping over those
// between them costs less than a seek.
const nearIdentity = 32

// walkIdentities calls f for the encoded identities of a range of objects,
// including both ends. f returns the next object that it needs. The value is
// valid until f returns.
func (r *reader) walkIdentities(
	ctx context.Context, from, to uint64, f func(object uint64, v []byte) (next uint64, err error),
) error {
	first, last := key.Identity(from), key.Identity(to)
	if err := r.integrity.check(keyrange.Range{From: first, To: keyrange.After(last)}); err != nil {
		return err
	}
	it := r.txn.NewIterator(badger.IteratorOptions{Prefix: key.Identities()})
	defer it.Close()
	next := from
	for it.Seek(first); it.Valid(); {
		object, err := key.DecodeIdentity(it.Item().Key())
		if err := cmp.Or(err, r.s.checkOpen(ctx)); err != nil {
			return err
		}
		if object > to {
			return nil
		}
		if object >= next {
			err := it.Item().Value(func(v []byte) (err error) { next, err = f(object, v); return err })
			if err != nil {
				return err
			}
		}
		if next > to {
			return nil
		}
		if next > object+nearIdentity {
			it.Seek(key.Identity(next))
		} else {
			it.Next()
		}
	}
	return nil
}

// ref returns the object of an identity.
func (r *reader) ref(id codec.Identity) (history.ObjectRef, error) {
	resource, err := r.s.terms.text(r.txn, termNumber{key.Resources, uint32(id.Resource)})
	if err != nil {
		return history.ObjectRef{}, err
	}
	ref := history.ObjectRef{Name: id.Name, UID: id.UID}
	if ref.Group, ref.Resource, err = codec.SplitPair(resource); err != nil {
		return history.ObjectRef{}, err
	}
	if id.Namespace != 0 {
		ref.Namespace, err = r.s.terms.text(r.txn, termNumber{key.Namespaces, id.Namespace})
	}
	return ref, err
}

// committed returns the log's state as the reader sees it. The reader sees all
// records before its time.
func (r *reader) committed() (codec.State, error) {
	k := key.State()
	if err := r.integrity.checkKey(k); err != nil {
		return codec.State{}, err
	}
	v, err := get(r.txn, k)
	if err != nil {
		return codec.State{}, fmt.Errorf("read the log's state: %w", err)
	}
	return codec.DecodeState(v)
}

// resource returns a resource's number, or 0 if the log doesn't contain it.
func (r *reader) resource(g schema.GroupResource) (uint16, error) {
	n, err := r.s.terms.number(r.txn, resourceTerm(g))
	return uint16(n), err
}
