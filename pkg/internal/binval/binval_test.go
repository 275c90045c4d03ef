package binval_test

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
)

func attributes() *history.Record {
	at := time.Unix(1_790_000_000, 123_456_789).UTC()
	return &history.Record{
		Verb: history.Update, Initial: true, InferredSince: at,
		Managers: []history.Manager{
			{Name: "kubectl", Operation: "Apply", Time: at, Fields: []string{"spec.replicas"}},
		},
		Owners:    []types.UID{"a", "\xff\x00"},
		Regarding: &history.Target{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web", UID: "u"},
		Summary:   &history.Summary{Text: "scaled", Problem: "Failed"},
	}
}

func encode(r *history.Record) []byte { return binval.AppendAttributes([]byte{binval.Flags(r)}, r) }

func decode(b []byte) (*history.Record, error) {
	r, rec := binval.NewReader(b), &history.Record{}
	r.Attributes(rec, r.Flags(rec))
	return rec, r.Done()
}

func TestAttributes_RoundTrip(t *testing.T) {
	for _, want := range []*history.Record{
		attributes(),
		{Verb: history.Create, Class: history.Consequence},
		{Verb: history.Delete, Summary: &history.Summary{}, Regarding: &history.Target{}},
	} {
		got, err := decode(encode(want))
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("got %v, want no error; record differs (-want +got):\n%s", err, d)
		}
	}
}

func TestReader_FlagsWithReportsAdditionalFlag(t *testing.T) {
	const additional = 1 << 6
	for _, want := range []bool{false, true} {
		b := []byte{binval.Flags(attributes())}
		if want {
			b[0] |= additional
		}
		var rec history.Record
		flags, got := binval.NewReader(b).FlagsWith(&rec, additional)
		if got != want || flags != binval.Flags(attributes()) || rec.Verb != history.Update {
			t.Errorf("got flags %b, additional %v, verb %v, want %b, %v, %v",
				flags, got, rec.Verb, binval.Flags(attributes()), want, history.Update)
		}
	}
}

func TestReader_RejectsCorruptValues(t *testing.T) {
	huge := binary.AppendUvarint(nil, 1<<63)
	for name, read := range map[string]func() error{
		"text beyond the end":  func() error { r := binval.NewReader([]byte{5, 'a'}); r.Text(); return r.Done() },
		"length of 2^63":       func() error { r := binval.NewReader(huge); r.BytesN(r.Uvarint()); return r.Done() },
		"count of 2^63":        func() error { r := binval.NewReader(huge); binval.Texts[string](r); return r.Done() },
		"number above 16 bits": func() error { r := binval.NewReader(huge); r.Uint16(); return r.Done() },
		"unknown time":         func() error { r := binval.NewReader([]byte{2}); r.Time(); return r.Done() },
		"trailing bytes":       func() error { r := binval.NewReader([]byte{0, 0}); r.Time(); return r.Done() },
		"no verb": func() error {
			r := binval.NewReader([]byte{0})
			r.Flags(&history.Record{})
			return r.Done()
		},
		"another byte": func() error {
			r := binval.NewReader([]byte{1})
			r.Expect(2, "version")
			return r.Done()
		},
	} {
		if err := read(); !errors.Is(err, binval.ErrCorrupt) {
			t.Errorf("%s: got %v, want %v", name, err, binval.ErrCorrupt)
		}
	}
}

// FuzzAttributes checks that arbitrary bytes decode to an error, or to a record
// that survives a round trip.
func FuzzAttributes(f *testing.F) {
	f.Add(encode(attributes()))
	f.Add(encode(&history.Record{Verb: history.Create}))
	f.Fuzz(func(t *testing.T, b []byte) {
		want, err := decode(b)
		if err != nil {
			if !errors.Is(err, binval.ErrCorrupt) {
				t.Errorf("got %v, want nil or %v", err, binval.ErrCorrupt)
			}
			return
		}
		got, err := decode(encode(want))
		if d := cmp.Diff(want, got); err != nil || d != "" {
			t.Errorf("%x: got %v, want no error; record differs (-want +got):\n%s", b, err, d)
		}
	})
}
