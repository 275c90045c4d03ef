package store_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	badger "github.com/dgraph-io/badger/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// aged makes a closed log what one of an earlier format is. One of format 2 has no index of what stands by its owners. One of format
// 1 has, besides, its metadata in the second encoding and in one index only, and its heads and identities without relations.
func aged(t *testing.T, dir string, format uint16, texts codec.Texts) {
	t.Helper()
	d := dumped(t, dir)
	alter(t, dir, func(txn *badger.Txn) error {
		for k, v := range d.values {
			e, noEntry := key.Decode([]byte(k))
			_, _, noOwner := key.DecodeStandingOwned([]byte(k))
			gone := noOwner == nil || format == 1 && noEntry == nil && e.Class == key.Phrase
			old, changed := []byte(nil), false
			if format == 1 && !gone {
				old, changed = agedValue(t, []byte(k), v, d, texts)
			}
			var err error
			switch {
			case gone:
				err = txn.Delete([]byte(k))
			case changed:
				err = txn.SetEntry(&badger.Entry{Key: []byte(k), Value: old, ExpiresAt: d.expires[k]})
			}
			if err != nil {
				return err
			}
		}
		return txn.Set(key.Format(), binary.BigEndian.AppendUint16(nil, format))
	})
}

func agedValue(t *testing.T, k, v []byte, d dump, texts codec.Texts) (old []byte, changed bool) {
	t.Helper()
	e, err := key.Decode(k)
	object, ts, notStanding := key.DecodeStanding(k)
	if notStanding == nil {
		e = key.Entry{Class: key.Record, Object: object, TS: ts}
	}
	switch {
	case notStanding == nil || err == nil && (e.Class == key.Record || e.Class == key.ByTime):
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
		b := []byte{2, binval.Flags(&r)}
		for _, n := range []uint64{uint64(m.Kind), uint64(m.Parts), r.Revision} {
			b = binary.AppendUvarint(b, n)
		}
		return binval.AppendAttributes(binval.AppendText(b, r.RV), &r), true
	case err == nil && (e.Class == key.ByResource || e.Class == key.ByNamespace):
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

// TestEarlierFormats goes on with a log of an earlier format: it says the same as before, is of this format from then on, and takes
// more.
func TestEarlierFormats(t *testing.T) {
	for format := uint16(1); format <= 2; format++ {
		t.Run(fmt.Sprint(format), func(t *testing.T) { goesOn(t, format) })
	}
}

func goesOn(t *testing.T, format uint16) {
	t.Helper()
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	for n := range 3 {
		appendTo(t, s, told(n)) // which of these stand, is dropped with their day
	}
	c.t = noon(20)
	for n := 2; n < 20; n++ {
		appendTo(t, s, told(n))
	}
	if err := s.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	filters := []history.Filter{{}, {Namespace: "shop"}, {Name: "told-0"}, {Owner: "owner-1"}, {Owner: "another"}}
	answers := func() (answers [][]*history.Record) {
		for _, f := range filters {
			answers = append(answers, all(t, s, history.Scan{Filter: f, Bodies: true}))
		}
		return answers
	}
	before := answers()
	if of := before[4]; len(of) != 3+18 {
		t.Fatalf("%d records of an owner, want 3 that stand and 18", len(of))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	day, d := key.Day(uint64(c.t.UnixNano())), dumped(t, dir)
	aged(t, dir, format, func(n uint16) (string, error) { return string(d.values[string(key.Numbered(day, n))]), nil })
	if n := len(dumped(t, dir).values); n >= len(d.values) {
		t.Errorf("%d keys of %d are left of format %d", n, len(d.values), format)
	}

	s = open(t, dir, opts)
	if d := cmp.Diff(before, answers()); d != "" {
		t.Fatal(d)
	}
	verified(t, s)
	deleted := told(20)
	deleted.Verb = history.Delete
	appendTo(t, s, deleted, told(21), told(22), told(23))
	if got := all(t, s, history.Scan{Filter: history.Filter{Owner: "another"}}); len(got) != 25 {
		t.Errorf("%d records, want 25", len(got))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := audit(t, dir, store.DefaultRetention, false); n != 22 {
		t.Errorf("%d records, want 22", n)
	}
	if v := dumped(t, dir).values[string(key.Format())]; !bytes.Equal(v, []byte{0, 3}) {
		t.Errorf("its format is %v", v)
	}
}
