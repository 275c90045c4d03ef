package codec_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/store/internal/codec"
)

func bodies(tb testing.TB) *codec.Bodies {
	tb.Helper()
	c, err := codec.NewBodies()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(c.Close)
	return c
}

// decoded decodes and verifies an encoded body, given the JSON of its base.
func decoded(c *codec.Bodies, b, base []byte) ([]byte, error) {
	body, err := codec.ParseBody(b)
	if err != nil {
		return nil, err
	}
	json, err := c.Decode(nil, &body, base)
	if err != nil {
		return nil, err
	}
	return json, body.Verify(json)
}

func snapshotOf(c *codec.Bodies, json []byte) []byte {
	return c.Snapshot(json, codec.Sum(json)).Encode()
}

func TestBodies_DecodeAppendsToDst(t *testing.T) {
	c := bodies(t)
	before, now := []byte(`{"phase":"Pending"}`), []byte(`{"phase":"Running"}`)
	for _, b := range []*codec.Body{c.Snapshot(now, codec.Sum(now)), c.Delta(before, now, codec.Sum(now), 100)} {
		if got, err := c.Decode([]byte("before "), b, before); err != nil || string(got) != "before "+string(now) {
			t.Errorf("got %q, %v, want %q appended to %q", got, err, now, "before ")
		}
	}
}

// aPod returns a text whose long beginning is always the same.
func aPod(change string) []byte {
	return []byte(strings.Repeat("a pod, most of which stays as it is; ", 60) + change)
}

// TestDelta_RoundTrip checks both kinds of deltas. A flipped bit must never
// decode to another JSON.
func TestDelta_RoundTrip(t *testing.T) {
	c := bodies(t)
	before := aPod("phase Pending")
	for kind, change := range map[byte]string{2: "phase Running", 3: strings.Repeat("all of this is new; ", 80)} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			now, base := aPod(change), codec.Base{Object: -7, Ago: 1 << 40, Parts: 3}
			d := c.Delta(before, now, codec.Sum(now), len(now)/2)
			if d == nil {
				t.Fatalf("got no delta, want one of at most %d bytes", len(now)/2)
			}
			d.Base = base
			b := d.Encode()
			if b[0] != kind || len(b) > 120 {
				t.Errorf("got kind %d and %d bytes, want kind %d and at most 120 bytes", b[0], len(b), kind)
			}
			body, err := codec.ParseBody(b)
			if body.Base != base || !body.IsDelta() || err != nil {
				t.Errorf("got base %+v, delta %t, %v, want %+v, true", body.Base, body.IsDelta(), err, base)
			}
			if got, err := decoded(c, b, before); err != nil || !bytes.Equal(got, now) {
				t.Errorf("got %q, %v, want %q", got, err, now)
			}
			for _, wrong := range [][]byte{before[1:], nil, []byte("{}"), make([]byte, 1<<16), make([]byte, 1<<16+1)} {
				if got, err := decoded(c, b, wrong); !errors.Is(err, codec.ErrCorrupt) {
					t.Errorf("base %.20q: got %.20q, %v, want an ErrCorrupt", wrong, got, err)
				}
			}
			flipped(t, c, b, before, now)
		})
	}
}

func TestSnapshot_RoundTrip(t *testing.T) {
	c := bodies(t)
	json := []byte(`{"kind":"Pod","metadata":{"name":"web-1","namespace":"shop"}}`)
	b := snapshotOf(c, json)
	if body, err := codec.ParseBody(b); body.IsDelta() || err != nil {
		t.Errorf("got delta %t, %v, want a snapshot", body.IsDelta(), err)
	}
	flipped(t, c, b, nil, json)
}

// flipped flips every bit of a body. Each flip must be an error, or change
// nothing.
func flipped(t *testing.T, c *codec.Bodies, b, base, json []byte) {
	t.Helper()
	for i := range len(b) * 8 {
		torn := bytes.Clone(b)
		torn[i/8] ^= 1 << (i % 8)
		if got, err := decoded(c, torn, base); err == nil && !bytes.Equal(got, json) {
			t.Errorf("bit %d flipped: got %s, want %s or an error", i, got, json)
		}
	}
}

func TestDelta_LimitsLength(t *testing.T) {
	c := bodies(t)
	before, now := aPod("phase Pending"), aPod("phase Running")
	d := c.Delta(before, now, codec.Sum(now), len(now))
	if c.Delta(before, now, codec.Sum(now), d.Len()) == nil {
		t.Errorf("got no delta, want one of %d bytes", d.Len())
	}
	if c.Delta(before, now, codec.Sum(now), d.Len()-1) != nil {
		t.Errorf("got a delta of %d bytes, want none of more than %d", d.Len(), d.Len()-1)
	}
	if c.Delta(nil, now, codec.Sum(now), len(now)) != nil {
		t.Error("got a delta without a base, want none")
	}
}

func FuzzBody(f *testing.F) {
	c := bodies(f)
	f.Add([]byte{}, []byte(`{"kind":"Pod"}`))
	f.Add([]byte{}, snapshotOf(c, []byte(`{"kind":"Pod"}`)))
	before, now := aPod("phase Pending"), aPod("phase Running")
	f.Add(before, now)
	for _, change := range []string{"", strings.Repeat("0123456789abcdef", 100)} {
		now := aPod(change)
		f.Add(before, c.Delta(before, now, codec.Sum(now), len(now)).Encode())
	}
	f.Fuzz(func(t *testing.T, before, b []byte) {
		if got, err := decoded(c, snapshotOf(c, b), nil); err != nil || !bytes.Equal(got, b) {
			t.Errorf("got %x, %v, want %x", got, err, b)
		}
		if d := c.Delta(before, b, codec.Sum(b), 2*len(b)+100); len(before) > 0 {
			if got, err := decoded(c, d.Encode(), before); err != nil || !bytes.Equal(got, b) {
				t.Errorf("got %x, %v, want %x", got, err, b)
			}
		}
		if _, err := decoded(c, b, before); err != nil && !errors.Is(err, codec.ErrCorrupt) {
			t.Errorf("got %v, want nil or an ErrCorrupt", err)
		}
	})
}
