package codec_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
)

func full() *history.Record {
	at := time.Unix(1_790_000_000, 123_456_789).UTC()
	return &history.Record{
		Verb: history.Delete, RV: "123456", Revision: 300, Initial: true, InferredSince: at,
		Managers:  []history.Manager{{Name: "kubectl-edit", Operation: "Update", Subresource: "status", Time: at, Fields: []string{"spec.replicas", ""}}, {Name: "x"}},
		Owners:    []types.UID{"a", "\xff\x00"},
		Regarding: &history.Target{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: strings.Repeat("n", 253), UID: "u"},
		Words:     &history.Words{Summary: "scaled 1 → 2", Trouble: "Failed"},
	}
}

func TestMeta(t *testing.T) {
	for _, want := range []*history.Record{full(), {Verb: history.Create}, {Verb: history.Update, Words: &history.Words{}}, {Verb: history.Update, Regarding: &history.Target{}}} {
		var got history.Record
		m, err := codec.DecodeMeta(codec.AppendMeta(nil, want, codec.Meta{Kind: 65535, Parts: 7}), &got)
		if err != nil || m != (codec.Meta{Kind: 65535, Parts: 7}) {
			t.Fatalf("%+v, %v", m, err)
		}
		if d := cmp.Diff(want, &got); d != "" {
			t.Error(d)
		}
	}
}

// FuzzMeta checks that arbitrary bytes give an error or a record that comes back from its own encoding.
func FuzzMeta(f *testing.F) {
	f.Add(codec.AppendMeta(nil, full(), codec.Meta{Kind: 3, Parts: 1}))
	f.Add(codec.AppendMeta(nil, &history.Record{Verb: history.Create}, codec.Meta{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var one, two history.Record
		m, err := codec.DecodeMeta(b, &one)
		if err != nil {
			if !errors.Is(err, codec.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		again, err := codec.DecodeMeta(codec.AppendMeta(nil, &one, m), &two)
		if err != nil || m != again || !cmp.Equal(one, two) {
			t.Errorf("%x: %+v comes back as %+v, %v", b, one, two, err)
		}
	})
}

// FuzzObject does the same for what is kept once an object or once a resource.
func FuzzObject(f *testing.F) {
	at := time.Unix(1_790_000_000, 1)
	f.Add((&codec.Head{Object: 5, Revision: 9, Alive: true, RV: "17", Writers: []uint64{1, 1 << 63}, Last: codec.Last{TS: 1 << 60, Sum: 7, Parts: 2, Chain: 31}}).Encode())
	f.Add((&codec.Identity{Resource: 3, Namespace: 1 << 20, Name: "web", UID: "u"}).Encode())
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
	m, err := codec.DecodeMeta(first, &got)
	if d := cmp.Diff(want, got); err != nil || m != (codec.Meta{Kind: 3, Parts: 1}) || d != "" {
		t.Errorf("%+v, %v\n%s", m, err, d)
	}
	for _, torn := range [][]byte{{1, 0x02 | 1<<5}, {3, 2}, {0, 2}} {
		if _, err := codec.DecodeMeta(append(torn, first[2:]...), &history.Record{}); !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("%x: %v", torn, err)
		}
	}
}

// Logs hold heads that were written before there were deltas.
func TestHeadOfTheFirstEncodingIsRead(t *testing.T) {
	got, err := codec.DecodeHead([]byte{1, 1, 5, 9, 2, '1', '7', 1, 0, 0, 0, 0, 0, 0, 0, 1})
	if want := (codec.Head{Object: 5, Revision: 9, Alive: true, RV: "17", Writers: []uint64{1}}); err != nil || !cmp.Equal(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
}
