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

// at is when versions are committed, in nanoseconds since 1970.
const at = 1_790_000_060_000_000_001

// book is a day's phrases.
type book []string

func (b *book) number(phrase []byte) uint16 {
	if i := slices.Index(*b, string(phrase)); i >= 0 {
		return uint16(i + 1)
	}
	*b = append(*b, string(phrase))
	return uint16(len(*b))
}

func (b *book) text(n uint16) (string, error) {
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
		Managers:  []history.Manager{{Name: "kubectl-edit", Operation: "Update", Subresource: "status", Time: at, Fields: []string{"spec.replicas", ""}}, {Name: "x"}},
		Owners:    []types.UID{"a", "\xff\x00"},
		Regarding: &history.Target{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: strings.Repeat("n", 253), UID: "u"},
		Summary:   &history.Summary{Text: "scaled 1 → 2", Problem: "Failed"},
	}
}

func TestMeta(t *testing.T) {
	for _, want := range []*history.Record{full(), {Verb: history.Create}, {Verb: history.Update, Summary: &history.Summary{}}, {Verb: history.Update, Regarding: &history.Target{}}} {
		var got history.Record
		m, err := codec.DecodeMeta(codec.AppendMeta(nil, at, want, codec.Meta{Kind: 65535, Parts: 7}, nil), at, &got, nil)
		if err != nil || m != (codec.Meta{Kind: 65535, Parts: 7}) {
			t.Fatalf("%+v, %v", m, err)
		}
		if d := cmp.Diff(want, &got); d != "" {
			t.Error(d)
		}
	}
}

// Texts that have numbers are written as these, and come back.
func TestMetaOfPhrases(t *testing.T) {
	want := full()
	want.Managers[1].Time = time.Unix(1_790_000_061, 0).UTC() // a clock that is ahead
	want.Summary.Problem = want.Summary.Text
	var b book
	literal, first := codec.AppendMeta(nil, at, want, codec.Meta{}, nil), codec.AppendMeta(nil, at, want, codec.Meta{}, b.number)
	if len(b) != 2 || len(first) >= len(literal) || bytes.Contains(first, []byte("kubectl-edit")) || bytes.Contains(first, []byte("scaled")) {
		t.Errorf("%q with the phrases %q", first, b)
	}
	var got history.Record
	if _, err := codec.DecodeMeta(first, at, &got, b.text); err != nil || !cmp.Equal(want, &got) {
		t.Error(err, cmp.Diff(want, &got))
	}
	b = b[:1]
	if _, err := codec.DecodeMeta(first, at, &history.Record{}, b.text); !errors.Is(err, errMissing) {
		t.Errorf("without a phrase: %v", err)
	}
	if _, err := codec.DecodeMeta(first, at, &history.Record{}, nil); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("without phrases: %v", err)
	}
}

// Owners and target that are those of the identity are not written, and not set.
func TestMetaOfTheSameRelations(t *testing.T) {
	want := full()
	b := codec.AppendMeta(nil, at, want, codec.Meta{Same: true}, nil)
	var got history.Record
	m, err := codec.DecodeMeta(b, at, &got, nil)
	if want.Owners, want.Regarding = nil, nil; err != nil || !m.Same || !cmp.Equal(want, &got) {
		t.Error(m, err, cmp.Diff(want, &got))
	}
	verb, revision, err := codec.Brief(b)
	if verb != want.Verb || revision != want.Revision || err != nil {
		t.Errorf("in brief: %v, %d, %v", verb, revision, err)
	}
	if codec.Relations(nil, nil) == codec.Relations(nil, &history.Target{}) || codec.Relations([]types.UID{"a"}, nil) == codec.Relations([]types.UID{"b"}, nil) {
		t.Error("other relations have the same sum")
	}
}

// Numbers are short, and nothing that only looks like one is taken for one.
func TestResourceVersions(t *testing.T) {
	for _, rv := range []string{"", "0", "17", "017", "-1", "+1", "9223372036854775807", "9223372036854775808", "18446744073709551616", "abc", "1 "} {
		var got history.Record
		b := codec.AppendMeta(nil, at, &history.Record{Verb: history.Update, RV: rv}, codec.Meta{}, nil)
		if _, err := codec.DecodeMeta(b, at, &got, nil); err != nil || got.RV != rv {
			t.Errorf("%q comes back as %q, %v", rv, got.RV, err)
		}
	}
}

// FuzzMeta checks that arbitrary bytes give an error or a record that comes back from its own encoding.
func FuzzMeta(f *testing.F) {
	f.Add(codec.AppendMeta(nil, at, full(), codec.Meta{Kind: 3, Parts: 1}, nil))
	f.Add(codec.AppendMeta(nil, at, full(), codec.Meta{Kind: 3, Parts: 1, Same: true}, (&book{}).number))
	f.Add(codec.AppendMeta(nil, at, &history.Record{Verb: history.Create}, codec.Meta{}, nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var one, two history.Record
		m, err := codec.DecodeMeta(b, at, &one, func(n uint16) (string, error) { return strings.Repeat("\x00", int(n)%5), nil })
		if err != nil {
			if !errors.Is(err, codec.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, err := codec.DecodeMeta(codec.AppendMeta(nil, at, &one, m, nil), at, &two, nil)
		if err != nil || m != again || !cmp.Equal(one, two) {
			t.Errorf("%x: %+v comes back as %+v, %v", b, one, two, err)
		}
	})
}

// FuzzObject does the same for what is kept once an object or once a resource.
func FuzzObject(f *testing.F) {
	at := time.Unix(1_790_000_000, 1)
	f.Add((&codec.Head{Object: 5, Revision: 9, Alive: true, RV: "17", ManagedHashes: []uint64{1, 1 << 63}, Last: codec.Last{TS: 1 << 60, Sum: 7, Parts: 2, Chain: 31}, Relations: 8}).Encode())
	f.Add((&codec.Identity{Resource: 3, Namespace: 1 << 20, Name: "web", UID: "u", Owners: []types.UID{"o"}, Regarding: &history.Target{Kind: "Pod"}, Relations: 1}).Encode())
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
		t.Errorf("%+v comes back as %+v, %v", want, got, err)
	}
}

func FuzzPair(f *testing.F) {
	f.Add("apps", "deployments")
	f.Add("", "\x00")
	f.Fuzz(func(t *testing.T, a, b string) {
		if x, y, err := codec.SplitPair(codec.Pair(a, b)); x != a || y != b || err != nil {
			t.Errorf("%q and %q come back as %q and %q, %v", a, b, x, y, err)
		}
		_, _, _ = codec.SplitPair(a)
	})
}

// Logs hold metadata that was written before there were words.
func TestMetaOfTheFirstEncodingIsRead(t *testing.T) {
	first := []byte{1, 0x02 | 1<<4, 3, 1, 9, 2, '1', '7', 1, 1, 'm', 0, 0, 0, 1, 1, 'o', 1, 'g', 1, 'k', 0, 1, 'n', 0}
	want := history.Record{
		Verb: history.Update, RV: "17", Revision: 9, Managers: []history.Manager{{Name: "m"}}, Owners: []types.UID{"o"},
		Regarding: &history.Target{Group: "g", Kind: "k", Name: "n"},
	}
	var got history.Record
	m, err := codec.DecodeMeta(first, at, &got, nil)
	if d := cmp.Diff(want, got); err != nil || m != (codec.Meta{Kind: 3, Parts: 1}) || d != "" {
		t.Errorf("%+v, %v\n%s", m, err, d)
	}
	for _, torn := range [][]byte{{1, 0x02 | 1<<5}, {4, 2}, {0, 2}} {
		if _, err := codec.DecodeMeta(append(torn, first[2:]...), at, &history.Record{}, nil); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("%x: %v", torn, err)
		}
	}
}

// Logs hold heads that were written before there were deltas.
func TestHeadOfTheFirstEncodingIsRead(t *testing.T) {
	got, err := codec.DecodeHead([]byte{1, 1, 5, 9, 2, '1', '7', 1, 0, 0, 0, 0, 0, 0, 0, 1})
	if want := (codec.Head{Object: 5, Revision: 9, Alive: true, RV: "17", ManagedHashes: []uint64{1}}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}
