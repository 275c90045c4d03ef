package store

import (
	"fmt"

	badger "github.com/dgraph-io/badger/v4"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// reader reads the log as it was when its transaction began. It is for one goroutine, apart from the bodies, which any number may read
// at a time where the transaction is read-only.
type reader struct {
	s      *Store
	txn    *badger.Txn
	sound  *soundness // checks what is read
	floor  uint32     // the first day that is kept; set by enter
	bodies *decodings
}

func (s *Store) newReader(txn *badger.Txn) *reader {
	return &reader{s: s, txn: txn, sound: s.sound, bodies: newDecodings()}
}

// view calls f with a reader of the log as it is now. If f comes upon a damaged file, it is called again once that is repaired.
func (s *Store) view(f func(*reader) error) error {
	return s.retried(func() (bool, error) { return false, s.viewOnce(f) })
}

// viewOnce is view for what must not be called again.
func (s *Store) viewOnce(f func(*reader) error) (err error) {
	release, err := s.use()
	if err != nil {
		return err
	}
	defer release()
	return s.guard(func() error {
		return s.db.View(func(txn *badger.Txn) error { return f(s.newReader(txn)) })
	})
}

// guard calls what reads the database.
func (s *Store) guard(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = s.broken(p)
		}
	}()
	return read()
}

// broken makes an error of a panic of a database whose commit failed: Badger has no memtable then, and can't be read without
// one. Any other panic goes on.
func (s *Store) broken(p any) error {
	s.commits.Lock() // the commit that fails may not be at its end
	defer s.commits.Unlock()
	if s.failed == nil {
		panic(p)
	}
	return history.Errorf(history.Unavailable, "%v", s.failed)
}

// maxIdentities bounds how many identities are remembered, as they are encoded, for all readers: about 7 MB of them. A page names as many
// objects as it has records. What a number stands for never changes, and only what is committed is remembered.
const maxIdentities = 49_152

// maxRemembered is how long, in bytes, an identity is at the most that is remembered: one that names hundreds of owners has 30 KB.
const maxRemembered = 1 << 10

// identity is what an object number stands for, with the owners and the target that versions have which name none of their own.
type identity struct {
	ref       history.ObjectRef
	owners    []types.UID
	regarding *history.Target
}

// record puts a record together from its metadata and its object's identity.
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
	rec.Ref = id.ref
	if m.Same {
		rec.Owners, rec.Regarding = id.owners, id.regarding
	}
	kind, err := r.s.terms.text(r.txn, index{key.Kinds, uint32(m.Kind)})
	if err != nil {
		return nil, m, err
	}
	rec.Version, rec.Kind, err = codec.SplitPair(kind)
	return rec, m, err
}

// meta returns a copy of the metadata of a version whose entry has none. That there is none is an error: an index entry never lacks
// its record.
func (r *reader) meta(e key.Entry) ([]byte, error) {
	b, err := get(r.txn, e.In(key.Record))
	if err != nil {
		return nil, fmt.Errorf("read the record of object %d at %d: %w", e.Object, e.TS, err)
	}
	return b, nil
}

// identity returns the object that a number stands for. It belongs to the caller.
func (r *reader) identity(object uint64) (identity, error) {
	id, err := r.identityOf(object)
	if err != nil {
		return identity{}, err
	}
	ref, err := r.ref(id)
	if err != nil {
		return identity{}, fmt.Errorf("identity of object %d: %w", object, err)
	}
	return identity{ref: ref, owners: id.Owners, regarding: id.Regarding}, nil
}

// identityOf returns an object's identity in numbers.
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

func (r *reader) encodedIdentity(object uint64) (string, error) {
	if encoded, ok := r.s.identities.get(object); ok {
		return encoded, nil
	}
	b, err := get(r.txn, key.Identity(object))
	if err != nil {
		return "", err
	}
	if len(b) <= maxRemembered {
		r.s.identities.put(object, string(b))
	}
	return string(b), nil
}

func (r *reader) ref(id codec.Identity) (history.ObjectRef, error) {
	resource, err := r.s.terms.text(r.txn, index{key.Resources, uint32(id.Resource)})
	if err != nil {
		return history.ObjectRef{}, err
	}
	ref := history.ObjectRef{Name: id.Name, UID: id.UID}
	if ref.Group, ref.Resource, err = codec.SplitPair(resource); err != nil {
		return history.ObjectRef{}, err
	}
	if id.Namespace != 0 {
		ref.Namespace, err = r.s.terms.text(r.txn, index{key.Namespaces, id.Namespace})
	}
	return ref, err
}

// resource returns a resource's number, and 0 for one that the log does not know.
func (r *reader) resource(g schema.GroupResource) (uint16, error) {
	n, err := r.s.terms.number(r.txn, term{key.Resources, codec.Pair(g.Group, g.Resource)})
	return uint16(n), err
}
