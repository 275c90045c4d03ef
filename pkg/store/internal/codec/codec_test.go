package codec_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
)

// at is the time of all versions, in nanoseconds since 1970.
const at = 1_790_000_060_000_000_001

// dayDictionary numbers all phrases.
type dayDictionary []string

func (b *dayDictionary) number(phrase []byte) uint16 {
	if i := slices.Index(*b, string(phrase)); i >= 0 {
		return uint16(i + 1)
	}
	*b = append(*b, string(phrase))
	return uint16(len(*b))
}

func (b *dayDictionary) text(n uint16) (string, error) {
	if int(n) > len(*b) {
		return "", errMissing
	}
	return (*b)[n-1], nil
}

var errMissing = errors.New("missing")

func full() *history.Record {
	at := time.Unix(1_790_000_000, 123_456_789).UTC()
	return &history.Record{
		Verb: history.Delete, RV: "123456", Revision: 300, Initial: true, InferredSince: at,
		Managers: []history.Manager{
			{
				Name: "kubectl-edit", Operation: "Update", Subresource: "status",
				Time: at, Fields: []string{"spec.replicas", ""},
			},
			{Name: "x"},
		},
		Owners: []types.UID{"a", "\xff\x00"},
		Regarding: &history.Target{
			Group: "apps", Kind: "Deployment", Namespace: "shop", Name: strings.Repeat("n", 253), UID: "u",
		},
		Summary: &history.Summary{Text: "scaled 1 → 2", Problem: "Failed"},
	}
}

func TestMeta_RoundTrip(t *testing.T) {
	for _, want := range []*history.Record{
		full(),
		{Verb: history.Create, Class: history.Consequence},
		{Verb: history.Create, Class: history.Onset},
		{Verb: history.Update, Summary: &history.Summary{}},
		{Verb: history.Update, Regarding: &history.Target{}},
	} {
		var got history.Record
		m, err := codec.DecodeMeta(codec.AppendMeta(nil, at, want, codec.Meta{Kind: 65535, Parts: 7}, nil),
			at, &got, nil)
		if err != nil || m != (codec.Meta{Kind: 65535, Parts: 7}) {
			t.Fatalf("got %+v, %v, want kind 65535 and 7 parts", m, err)
		}
		if d := cmp.Diff(want, &got); d != "" {
			t.Errorf("record differs (-want +got):\n%s", d)
		}
	}
}

// Phrases are encoded as numbers, and decoded to their texts.
func TestMeta_NumbersPhrases(t *testing.T) {
	want := full()
	want.Managers[1].Time = time.Unix(1_790_000_061, 0).UTC() // a clock that is ahead
	want.Summary.Problem = want.Summary.Text
	var b dayDictionary
	literal := codec.AppendMeta(nil, at, want, codec.Meta{}, nil)
	first := codec.AppendMeta(nil, at, want, codec.Meta{}, b.number)
	if len(b) != 2 || len(first) >= len(literal) || bytes.Contains(first, []byte("kubectl-edit")) ||
		bytes.Contains(first, []byte("scaled")) {
		t.Errorf("got %d bytes (%q) with phrases %q, want fewer than %d bytes and two phrases",
			len(first), first, b, len(literal))
	}
	var got history.Record
	if _, err := codec.DecodeMeta(first, at, &got, b.text); err != nil || !cmp.Equal(want, &got) {
		t.Errorf("got %v, want no error; record differs (-want +got):\n%s", err, cmp.Diff(want, &got))
	}
	b = b[:1]
	if _, err := codec.DecodeMeta(first, at, &history.Record{}, b.text); !errors.Is(err, errMissing) {
		t.Errorf("a phrase is missing: got %v, want %v", err, errMissing)
	}
	if _, err := codec.DecodeMeta(first, at, &history.Record{}, nil); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("no day dictionary: got %v, want %v", err, codec.ErrCorrupt)
	}
}

// Owners and target of the identity are neither encoded nor decoded.
func TestMeta_OmitsSameRelations(t *testing.T) {
	want := full()
	b := codec.AppendMeta(nil, at, want, codec.Meta{SameRelations: true}, nil)
	var got history.Record
	m, err := codec.DecodeMeta(b, at, &got, nil)
	if want.Owners, want.Regarding = nil, nil; err != nil || !m.SameRelations || !cmp.Equal(want, &got) {
		t.Errorf("got %+v, %v, want the same relations; record differs (-want +got):\n%s", m, err, cmp.Diff(want, &got))
	}
	o, err := codec.DecodeOutline(b)
	if o.Verb != want.Verb || o.Revision != want.Revision || err != nil {
		t.Errorf("outline: got %v, %d, %v, want %v, %d", o.Verb, o.Revision, err, want.Verb, want.Revision)
	}
	if codec.Relations(nil, nil) == codec.Relations(nil, &history.Target{}) ||
		codec.Relations([]types.UID{"a"}, nil) == codec.Relations([]types.UID{"b"}, nil) {
		t.Error("got equal sums of different relations, want different ones")
	}
}

// Only canonical numbers are encoded as numbers.
func TestMeta_KeepsResourceVersions(t *testing.T) {
	for _, rv := range []string{
		"", "0", "17", "017", "-1", "+1", "9223372036854775807",
		"9223372036854775808", "18446744073709551616", "abc", "1 ",
	} {
		var got history.Record
		b := codec.AppendMeta(nil, at, &history.Record{Verb: history.Update, RV: rv}, codec.Meta{}, nil)
		if _, err := codec.DecodeMeta(b, at, &got, nil); err != nil || got.RV != rv {
			t.Errorf("got %q, %v, want %q", got.RV, err, rv)
		}
	}
}

// FuzzMeta checks that arbitrary bytes decode to an error, or to a record that
// survives a round trip.
func FuzzMeta(f *testing.F) {
	f.Add(codec.AppendMeta(nil, at, full(), codec.Meta{Kind: 3, Parts: 1}, nil))
	f.Add(codec.AppendMeta(nil, at, full(), codec.Meta{Kind: 3, Parts: 1, SameRelations: true},
		(&dayDictionary{}).number))
	f.Add(codec.AppendMeta(nil, at, &history.Record{Verb: history.Create}, codec.Meta{}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var one, two history.Record
		m, err := codec.DecodeMeta(b, at, &one, func(n uint16) (string, error) {
			return strings.Repeat("\x00", int(n)%5), nil
		})
		if err != nil {
			if !errors.Is(err, codec.ErrCorrupt) {
				t.Fatalf("got %v, want nil or an ErrCorrupt", err)
			}
			return
		}
		again, err := codec.DecodeMeta(codec.AppendMeta(nil, at, &one, m, nil), at, &two, nil)
		if err != nil || m != again || !cmp.Equal(one, two) {
			t.Errorf("%x: got %+v, %v, want %+v", b, two, err, one)
		}
	})
}

// FuzzObject does the same for heads, identities, checkpoints and the state.
func FuzzObject(f *testing.F) {
	at := time.Unix(1_790_000_000, 1)
	f.Add((&codec.Head{
		Object: 5, Revision: 9, Alive: true, RV: "17", ManagedHashes: []uint64{1, 1 << 63},
		Last: codec.Last{TS: 1 << 60, Sum: 7, Parts: 2, Chain: 31}, Relations: 8,
	}).Encode())
	f.Add((&codec.Identity{
		Resource: 3, Namespace: 1 << 20, Name: "web", UID: "u",
		Owners: []types.UID{"o"}, Regarding: &history.Target{Kind: "Pod"}, Relations: 1,
	}).Encode())
	f.Add(codec.EncodeCheckpoint("17", at))
	f.Add((&codec.State{Last: 1 << 60, Object: 7, Resources: 1, Namespaces: 2, Kinds: 3}).Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := codec.DecodeHead(b); err == nil {
			again, err := codec.DecodeHead(h.Encode())
			check(t, h, again, err)
		}
		if i, err := codec.DecodeIdentity(b); err == nil {
			again, err := codec.DecodeIdentity(i.Encode())
			check(t, i, again, err)
		}
		if rv, at, err := codec.DecodeCheckpoint(b); err == nil {
			rv2, at2, err := codec.DecodeCheckpoint(codec.EncodeCheckpoint(rv, at))
			check(t, []any{rv, at}, []any{rv2, at2}, err)
		}
		if s, err := codec.DecodeState(b); err == nil {
			again, err := codec.DecodeState(s.Encode())
			check(t, s, again, err)
		}
	})
}

func check[T any](t *testing.T, want, got T, err error) {
	t.Helper()
	if err != nil || !cmp.Equal(want, got) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

func FuzzPair(f *testing.F) {
	f.Add("apps", "deployments")
	f.Add("", "\x00")
	f.Fuzz(func(t *testing.T, a, b string) {
		if x, y, err := codec.SplitPair(codec.Pair(a, b)); x != a || y != b || err != nil {
			t.Errorf("got %q, %q, %v, want %q, %q", x, y, err, a, b)
		}
		_, _, _ = codec.SplitPair(a)
	})
}

// FuzzGap checks that arbitrary bytes decode to an error, or to a gap that
// survives a round trip.
func FuzzGap(f *testing.F) {
	f.Add(codec.EncodeGap(&history.Gap{End: time.Unix(1_790_000_000, 1), Reason: history.GapExpired, Detail: "why"}))
	f.Add(codec.EncodeGap(&history.Gap{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if g, err := codec.DecodeGap(b); err == nil {
			again, err := codec.DecodeGap(codec.EncodeGap(&g))
			check(t, g, again, err)
		}
	})
}

// TestDecode_RejectsUnknownEncodings checks the first byte of each value.
func TestDecode_RejectsUnknownEncodings(t *testing.T) {
	for name, decode := range map[string]func(first byte) error{
		"metadata": func(first byte) error {
			b := codec.AppendMeta(nil, at, full(), codec.Meta{}, nil)
			b[0] = first
			_, err := codec.DecodeMeta(b, at, &history.Record{}, nil)
			return err
		},
		"outline": func(first byte) error {
			b := codec.AppendMeta(nil, at, full(), codec.Meta{}, nil)
			b[0] = first
			_, err := codec.DecodeOutline(b)
			return err
		},
		"head": func(first byte) error {
			b := (&codec.Head{Object: 5}).Encode()
			b[0] = first
			_, err := codec.DecodeHead(b)
			return err
		},
		"identity": func(first byte) error {
			b := (&codec.Identity{Name: "web"}).Encode()
			b[0] = first + 1 // the encoding 1 is checked below
			_, err := codec.DecodeIdentity(b)
			return err
		},
	} {
		if err := decode(1); err != nil {
			t.Errorf("%s with encoding 1: got %v, want no error", name, err)
		}
		for _, first := range []byte{255, 2, 3} {
			if err := decode(first); !errors.Is(err, codec.ErrCorrupt) {
				t.Errorf("%s with encoding %d: got %v, want %v", name, first, err, codec.ErrCorrupt)
			}
		}
	}
}

// An identity of the first encoding has no creation time.
func TestDecodeIdentity_WithoutCreationTime(t *testing.T) {
	now := codec.Identity{Resource: 3, Namespace: 4, Name: "web", UID: "u", Owners: []types.UID{"o"}}
	b := now.Encode()
	created := 1 + 1 + 1 + 4 + 2 // after the encoding, two numbers and two texts
	first := append(append([]byte{1}, b[1:created]...), b[created+1:]...)
	got, err := codec.DecodeIdentity(first)
	now.Relations = codec.Relations(now.Owners, nil)
	check(t, now, got, err)
	if _, err := codec.DecodeIdentity(append([]byte{0}, b[1:]...)); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("encoding 0: got %v, want %v", err, codec.ErrCorrupt)
	}
}
