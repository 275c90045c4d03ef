package store_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/wire"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// aged makes a closed log what one of format 1 is: its metadata of the second encoding and in one index only, its heads and
// identities without relations.
func aged(t *testing.T, dir string, texts codec.Texts) {
	t.Helper()
	d := dumped(t, dir)
	alter(t, dir, func(txn *badger.Txn) error {
		for k, v := range d.values {
			old, changed := agedValue(t, []byte(k), v, d, texts)
			switch {
			case !changed:
			case old == nil && len(v) > 0 && k[3] == byte(key.Phrase):
				if err := txn.Delete([]byte(k)); err != nil {
					return err
				}
			default:
				if err := txn.SetEntry(&badger.Entry{Key: []byte(k), Value: old, ExpiresAt: d.expires[k]}); err != nil {
					return err
				}
			}
		}
		return txn.Set(key.Format(), binary.BigEndian.AppendUint16(nil, 1))
	})
}

func agedValue(t *testing.T, k, v []byte, d dump, texts codec.Texts) (old []byte, changed bool) {
	t.Helper()
	switch e, err := key.Decode(k); {
	case err == nil && (e.Class == key.Record || e.Class == key.ByTime):
		var r history.Record
		m, err := codec.DecodeMeta(v, e.TS, &r, texts)
		if err != nil {
			t.Fatal(err)
		}
		if m.Same {
			id, err := codec.DecodeIdentity(d.values[string(key.Identity(e.Object))])
			if err != nil {
				t.Fatal(err)
			}
			r.Owners, r.Regarding = id.Owners, id.Regarding
		}
		b := []byte{2, wire.Flags(&r)}
		for _, n := range []uint64{uint64(m.Kind), uint64(m.Parts), r.Revision} {
			b = binary.AppendUvarint(b, n)
		}
		return wire.AppendAttributes(wire.AppendText(b, r.RV), &r), true
	case err == nil && (e.Class == key.ByResource || e.Class == key.ByNamespace || e.Class == key.Phrase):
		return nil, true
	case k[0] == 'h':
		head := bytes.Clone(v[:len(v)-8])
		head[0] = 2
		return head, true
	case k[0] == 'i':
		id, err := codec.DecodeIdentity(v)
		if err != nil {
			t.Fatal(err)
		}
		id.Relations = 0
		return id.Encode(), true
	default:
		return nil, false
	}
}

// TestFormat1 goes on with a log of format 1: it says the same as before, is of this format from then on, and takes more.
func TestFormat1(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	for n := range 20 {
		appendTo(t, s, told(n))
	}
	before := all(t, s, history.Scan{Bodies: true})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	day, d := key.Day(uint64(c.t.UnixNano())), dumped(t, dir)
	aged(t, dir, func(n uint16) (string, error) { return string(d.values[string(key.Numbered(day, n))]), nil })
	if n := len(dumped(t, dir).values); n >= len(d.values) {
		t.Errorf("%d keys of %d are left without phrases", n, len(d.values))
	}

	s = open(t, dir, opts)
	for _, f := range []history.Filter{{}, {Namespace: "shop"}, {Owner: "another"}} {
		if d := cmp.Diff(before, all(t, s, history.Scan{Filter: f, Bodies: true})); d != "" {
			t.Fatal(d)
		}
	}
	verified(t, s)
	deleted := told(20)
	deleted.Verb = history.Delete
	appendTo(t, s, deleted, told(21), told(22), told(23))
	if got := all(t, s, history.Scan{Filter: history.Filter{Owner: "another"}}); len(got) != 24 {
		t.Errorf("%d records, want 24", len(got))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, store.DefaultRetention, false); n != 24 {
		t.Errorf("%d records, want 24", n)
	}
	if v := dumped(t, dir).values[string(key.Format())]; !bytes.Equal(v, []byte{0, 2}) {
		t.Errorf("its format is %v", v)
	}
}
