package key_test

import (
	"bytes"
	"cmp"
	"slices"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

func classes() []key.Class {
	return []key.Class{
		key.Record, key.Body, key.ByTime, key.ByRoot, key.ByResource, key.ByNamespace, key.ByTarget, key.ByOwner,
		key.Phrase,
	}
}

// Every class that Decode accepts must be fuzzed.
func TestClasses_AreAllFuzzed(t *testing.T) {
	for c := range 256 {
		e := key.Entry{Class: key.Class(c), TS: 1}
		_, err := key.Decode(e.Encode())
		if got, want := slices.Contains(classes(), e.Class), err == nil; got != want {
			t.Errorf("class %q is fuzzed: got %t, want %t as for Decode (error %v)", rune(c), got, want, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	e := key.Entry{
		TS: 1_790_000_000_123_456_789, Object: 1 << 40, Resource: 513, Namespace: 1 << 24, Verb: 2, Part: 258,
	}
	for _, c := range classes() {
		f.Add(e.In(c))
	}
	f.Add([]byte("v\x00\x00o"))
	f.Fuzz(func(t *testing.T, k []byte) {
		e, err := key.Decode(k)
		if err == nil && !bytes.Equal(e.Encode(), k) {
			t.Errorf("%x decodes to %+v: got %x when encoded, want %x", k, e, e.Encode(), k)
		}
	})
}

// stored returns the entry with only the fields that the keys of its class
// contain.
func stored(e key.Entry) key.Entry {
	if e.Class == key.Phrase {
		return key.Entry{Class: e.Class, TS: key.Start(uint32(key.Day(e.TS))), Part: e.Part}
	}
	c := key.Entry{Class: e.Class, TS: e.TS, Object: e.Object}
	switch e.Class {
	case key.Record:
		return c
	case key.Body:
		c.Part = e.Part
		return c
	case key.ByTarget, key.ByOwner:
		c.Hash = e.Hash
	default:
		c.Resource, c.Namespace = e.Resource, e.Namespace
	}
	c.Verb = e.Verb
	return c
}

// FuzzRoundTrip checks that entries survive a round trip, and that keys with a
// common prefix sort by time.
func FuzzRoundTrip(f *testing.F) {
	for i := range classes() {
		f.Add(i, uint64(1_790_000_000_123_456_789), uint64(5), uint64(7), uint16(1),
			uint32(2), byte(3), uint16(0), []byte("hash"))
	}
	f.Add(2, key.MaxTS, uint64(0), uint64(1<<64-1), uint16(1<<16-1), uint32(1<<32-1),
		byte(255), uint16(1<<16-1), []byte{})
	f.Fuzz(func(
		t *testing.T, class int, ts, other, object uint64, resource uint16, namespace uint32, verb byte, part uint16,
		hash []byte,
	) {
		e := key.Entry{
			Class: classes()[uint(class)%uint(len(classes()))], TS: ts % (key.MaxTS + 1),
			Object: object, Resource: resource, Namespace: namespace, Verb: verb, Part: part,
		}
		copy(e.Hash[:], hash)
		got, err := key.Decode(e.Encode())
		if err != nil || got != stored(e) {
			t.Fatalf("got %+v, %v, want %+v", got, err, stored(e))
		}
		if !bytes.HasPrefix(e.Encode(), e.Prefix(key.Day(e.TS))) ||
			!bytes.HasPrefix(e.Encode(), key.ClassPrefix(key.Day(e.TS), e.Class)) {
			t.Fatalf("got key %x, want the prefix %x", e.Encode(), e.Prefix(key.Day(e.TS)))
		}
		if e.Class == key.Phrase {
			return // has no time
		}
		later := e
		later.TS, later.Object = other%(key.MaxTS+1), e.Object
		if want, got := cmp.Compare(e.TS, later.TS), bytes.Compare(e.Encode(), later.Encode()); want != got {
			t.Errorf("compare keys of %d and %d: got %d, want %d", e.TS, later.TS, got, want)
		}
	})
}

func FuzzDecodeName(f *testing.F) {
	f.Add(key.Name("web-1", 1, 2, 3))
	f.Add([]byte("n"))
	f.Fuzz(func(t *testing.T, k []byte) {
		resource, namespace, object, err := key.DecodeName(k)
		if err != nil {
			return
		}
		if again := key.Name("", resource, namespace, object); !bytes.Equal(again[9:], k[9:]) {
			t.Errorf("got %x, want %x", again[9:], k[9:])
		}
	})
}

func FuzzDecodeGap(f *testing.F) {
	f.Add(key.Gap(1, 2))
	f.Add([]byte("l"))
	f.Fuzz(func(t *testing.T, k []byte) {
		resource, start, err := key.DecodeGap(k)
		if err == nil && !bytes.Equal(key.Gap(resource, start), k) {
			t.Errorf("got %x, want %x", key.Gap(resource, start), k)
		}
	})
}

func FuzzDecodeBaseline(f *testing.F) {
	f.Add(key.Baseline(1, 2))
	f.Add(key.BaselineBody(1, 2, 3))
	f.Fuzz(func(t *testing.T, k []byte) {
		object, ts, err := key.DecodeBaseline(k)
		if err == nil && !bytes.Equal(key.Baseline(object, ts), k) {
			t.Errorf("got %x, want %x", key.Baseline(object, ts), k)
		}
	})
}

func FuzzDecodeBaselineOwner(f *testing.F) {
	f.Add(key.BaselineOwner(key.Sum("owner"), 1, 2))
	f.Add(key.Baseline(1, 2))
	f.Fuzz(func(t *testing.T, k []byte) {
		object, ts, err := key.DecodeBaselineOwner(k)
		if err != nil {
			return
		}
		if again := key.BaselineOwner(key.Hash(k[2:18]), object, ts); !bytes.Equal(again, k) {
			t.Errorf("got %x, want %x", again, k)
		}
	})
}

func TestSum_SeparatesTexts(t *testing.T) {
	if key.Sum("ab", "c") == key.Sum("a", "bc") || key.Sum("a", "") == key.Sum("a") {
		t.Error("got equal hashes of different lists, want different ones")
	}
	if bytes.Equal(key.Head(1, 0, "a", "u"), key.Head(1, 0, "b", "u")) {
		t.Error("got one key for the heads of two objects with the same UID, want two")
	}
}
