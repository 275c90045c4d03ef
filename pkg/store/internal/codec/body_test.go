package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/klauspost/compress/s2"

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

// decoded returns the JSON of an encoded body, given that of its base.
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

func TestDecodeAppends(t *testing.T) {
	c := bodies(t)
	before, now := []byte(`{"phase":"Pending"}`), []byte(`{"phase":"Running"}`)
	for _, b := range []*codec.Body{c.Snapshot(now, codec.Sum(now)), c.Delta(before, now, codec.Sum(now), 100)} {
		if got, err := c.Decode([]byte("before "), b, before); err != nil || string(got) != "before "+string(now) {
			t.Errorf("%q, %v", got, err)
		}
	}
}

// aPod is JSON of which the most stays as it is, and so much that changes.
func aPod(change string) []byte {
	return []byte(strings.Repeat("a pod of which most stays as it is; ", 60) + change)
}

// blockOf is how deltas were written before there were patches.
func blockOf(before, now []byte, base codec.Base) []byte {
	b := binary.BigEndian.AppendUint64([]byte{2}, codec.Sum(now))
	b = binary.AppendUvarint(b, uint64(len(now)))
	b = binary.AppendUvarint(binary.AppendUvarint(b, base.Ago), uint64(base.Parts))
	return append(b, s2.MakeDict(before, nil).Encode(nil, now)...)
}

// TestDelta checks each kind of delta, and that whatever bit of it is flipped, it never becomes another JSON.
func TestDelta(t *testing.T) {
	c := bodies(t)
	before := aPod("phase Pending")
	for kind, change := range map[byte]string{2: "phase Running", 3: "phase Running", 4: strings.Repeat("all is quite another thing now; ", 50)} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			now, base := aPod(change), codec.Base{Object: -7, Ago: 1 << 40, Parts: 3}
			var b []byte
			if kind == 2 {
				base.Object = 0
				b = blockOf(before, now, base)
			} else {
				d := c.Delta(before, now, codec.Sum(now), len(now)/2)
				if d == nil {
					t.Fatal("there is no delta")
				}
				d.Base = base
				b = d.Encode()
			}
			if b[0] != kind || len(b) > 120 {
				t.Errorf("it is of kind %d and takes %d bytes", b[0], len(b))
			}
			body, err := codec.ParseBody(b)
			if body.Base != base || !body.IsDelta() || err != nil {
				t.Errorf("its base is %+v, %t, %v", body.Base, body.IsDelta(), err)
			}
			if got, err := decoded(c, b, before); err != nil || !bytes.Equal(got, now) {
				t.Errorf("it comes back as %q, %v", got, err)
			}
			for _, wrong := range [][]byte{before[1:], nil, []byte("{}"), make([]byte, s2.MaxDictSize), make([]byte, s2.MaxDictSize+1)} {
				if got, err := decoded(c, b, wrong); !errors.Is(err, codec.ErrCorrupt) {
					t.Errorf("against %.20q it comes back as %.20q, %v", wrong, got, err)
				}
			}
			flipped(t, c, b, before, now)
		})
	}
}

// TestSnapshot does the same for what stands alone.
func TestSnapshot(t *testing.T) {
	c := bodies(t)
	json := []byte(`{"kind":"Pod","metadata":{"name":"web-1","namespace":"shop"}}`)
	b := snapshotOf(c, json)
	if body, err := codec.ParseBody(b); body.IsDelta() || err != nil {
		t.Errorf("a snapshot is a delta: %t, %v", body.IsDelta(), err)
	}
	flipped(t, c, b, nil, json)
}

// flipped flips every bit of a body: each one is an error, or changes nothing.
func flipped(t *testing.T, c *codec.Bodies, b, base, json []byte) {
	t.Helper()
	for i := range len(b) * 8 {
		torn := bytes.Clone(b)
		torn[i/8] ^= 1 << (i % 8)
		if got, err := decoded(c, torn, base); err == nil && !bytes.Equal(got, json) {
			t.Errorf("bit %d: %s", i, got)
		}
	}
}

func TestDeltaThatDoesNotPay(t *testing.T) {
	c := bodies(t)
	before, now := aPod("phase Pending"), aPod("phase Running")
	d := c.Delta(before, now, codec.Sum(now), len(now))
	if c.Delta(before, now, codec.Sum(now), d.Len()) == nil {
		t.Error("there is none of the length that it may have")
	}
	if c.Delta(before, now, codec.Sum(now), d.Len()-1) != nil {
		t.Error("it is longer than it may be")
	}
	if c.Delta(nil, now, codec.Sum(now), len(now)) != nil {
		t.Error("there is one without a base")
	}
}

func FuzzBody(f *testing.F) {
	c := bodies(f)
	f.Add([]byte{}, []byte(`{"kind":"Pod"}`))
	f.Add([]byte{}, snapshotOf(c, []byte(`{"kind":"Pod"}`)))
	before, now := aPod("phase Pending"), aPod("phase Running")
	f.Add(before, now)
	f.Add(before, blockOf(before, now, codec.Base{}))
	for _, change := range []string{"", strings.Repeat("0123456789abcdef", 100)} {
		now := aPod(change)
		f.Add(before, c.Delta(before, now, codec.Sum(now), len(now)).Encode())
	}
	f.Fuzz(func(t *testing.T, before, b []byte) {
		if got, err := decoded(c, snapshotOf(c, b), nil); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%x comes back as %x, %v", b, got, err)
		}
		if d := c.Delta(before, b, codec.Sum(b), 2*len(b)+100); len(before) > 0 {
			if got, err := decoded(c, d.Encode(), before); err != nil || !bytes.Equal(got, b) {
				t.Errorf("%x comes back as %x, %v", b, got, err)
			}
		}
		if _, err := decoded(c, b, before); err != nil && !errors.Is(err, codec.ErrCorrupt) {
			t.Error(err)
		}
	})
}
