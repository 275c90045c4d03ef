package delta_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/store/internal/delta"
)

// lines returns a text of n different lines.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"line":%d,"text":"%x"},`, i, uint64(i)*0x9e3779b97f4a7c15)
	}
	return b.String()
}

// roundTrip makes and applies a patch, and returns its length. It fails the
// test if the result isn't target.
func roundTrip(tb testing.TB, e *delta.Encoder, base, target []byte) int {
	tb.Helper()
	patch := e.Append([]byte("before"), base, target)
	if !bytes.HasPrefix(patch, []byte("before")) {
		tb.Fatalf("got %.20q, want the patch appended to %q", patch, "before")
	}
	patch = patch[len("before"):]
	got, err := delta.Apply([]byte("front"), base, patch, len(target))
	if err != nil || string(got) != "front"+string(target) {
		tb.Fatalf("base %.80q: got %.80q, %v, want %.80q", base, got, err, target)
	}
	if len(patch) > len(target)+delta.Overhead {
		tb.Errorf("got a patch of %d bytes, want at most %d", len(patch), len(target)+delta.Overhead)
	}
	return len(patch)
}

// TestPatch_Length pins the lengths of patches.
func TestPatch_Length(t *testing.T) {
	text := lines(200)
	var e delta.Encoder
	for _, c := range []struct {
		name, base, target string
		most               int
	}{
		{"both empty", "", "", 0},
		{"empty target", text, "", 0},
		{"empty base", "", "abc", 4},
		{"no change", text, text, 3},
		{"a byte in the middle", text, text[:4000] + "#" + text[4001:], 7},
		{"a byte at the beginning", text, "#" + text[1:], 4},
		{"a byte at the end", text, text[:len(text)-1] + "#", 5},
		{
			"bytes change in place", "[1000000001," + text + "1000000002]" + text,
			"[2000000001," + text + "2000000002]" + text, 10,
		},
		{"a line added", text, text[:4000] + "one more, " + text[4000:], 17},
		{"a line removed", text, text[:4000] + text[4100:], 8},
		{
			"two changes of length", text,
			strings.NewReplacer(`"line":17,`, `"line":1,`, `"line":180,`, `"line":180000,`).Replace(text), 13,
		},
		{"halves swapped", text, text[len(text)/2:] + text[:len(text)/2], 10},
		{"a piece repeated", text, text + text[1000:3000], 8},
		{"everything differs", strings.Repeat("a", 500), strings.Repeat("b", 500), 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := roundTrip(t, &e, []byte(c.base), []byte(c.target)); n > c.most {
				t.Errorf("got %d bytes, want at most %d", n, c.most)
			}
		})
	}
}

// TestPatch_OfLargeObject changes, moves and adds lines of an object with more
// windows than an index has slots.
func TestPatch_OfLargeObject(t *testing.T) {
	base := []byte(lines(70_000))
	target := slices.Concat(base[1_000_000:2_000_000], []byte("new"), base[:900_000], []byte("newer"), base[2_500_000:])
	if n := roundTrip(t, new(delta.Encoder), base, target); n > 200 {
		t.Errorf("got %d bytes for a target of %d and a base of %d, want at most 200", n, len(target), len(base))
	}
}

func TestPatch_OfSampleIsSmall(t *testing.T) {
	var e delta.Encoder
	size, of := 0, 0
	for _, p := range pairs(t, 2000) {
		size, of = size+roundTrip(t, &e, p.before, p.now), of+len(p.now)
	}
	if size > of/10 {
		t.Errorf("got %d bytes of patches, want at most %d", size, of/10)
	}
}

// TestPatch_OfRandomChanges makes targets of random pieces of a text, and of
// noise.
func TestPatch_OfRandomChanges(t *testing.T) {
	rng, text := rand.New(rand.NewPCG(1, 2)), []byte(lines(300))
	var e delta.Encoder
	for range 2000 {
		base := text[:rng.IntN(len(text))]
		var target []byte
		for range rng.IntN(12) {
			from, n := rng.IntN(len(text)), 1<<rng.IntN(12)
			target = append(target, text[from:min(from+n, len(text))]...)
			if rng.IntN(2) == 0 {
				target = fmt.Append(target, rng.Uint64()>>rng.IntN(64))
			}
		}
		roundTrip(t, &e, base, target)
	}
}

// TestApply_RejectsCorruptPatches applies patches that no encoder makes.
func TestApply_RejectsCorruptPatches(t *testing.T) {
	base := []byte("0123456789")
	for name, c := range map[string]struct {
		patch string
		size  int
	}{
		"empty":                         {"", 1},
		"an insertion cut off":          {"\x03ab", 3},
		"an insertion of too much":      {"\x03abc\x00", 2},
		"no copy":                       {"\x01a", 2},
		"a copy of too much":            {"\x00\x06", 2},
		"a copy beyond the base":        {"\x00\x16", 11},
		"a move beyond the base":        {"\x00\x05\x14", 2},
		"a move before the base":        {"\x00\x05\x01", 2},
		"a move without a distance":     {"\x00\x05", 2},
		"a number without an end":       {"\x80\x80", 1},
		"a number of more than 64 bits": {strings.Repeat("\xff", 11), 1},
		"a move by the largest int":     {"\x00\x05\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2},
		"a move by the smallest int":    {"\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2},
		"a copy of the largest int":     {"\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2},
		"bytes after the end":           {"\x00\x04x", 2},
		"bytes after an empty target":   {"\x00", 0},
		"an insertion after the end":    {"\x00\x04\x01x", 2},
		"a copy after a long insertion": {"\x0babcdefghijk\x02", 12},
	} {
		if got, err := delta.Apply(nil, base, []byte(c.patch), c.size); !errors.Is(err, delta.ErrCorrupt) {
			t.Errorf("%s: got %q, %v, want %v", name, got, err, delta.ErrCorrupt)
		}
	}
	if got, err := delta.Apply(nil, base, []byte("\x01a\x05\x02\x02bc\x03\x09"), 6); err != nil ||
		string(got) != "a23bc1" {
		t.Errorf("got %q, %v, want %q", got, err, "a23bc1")
	}
}

// FuzzApply checks that arbitrary patches are an error, or make a target of the
// requested length without allocating more.
func FuzzApply(f *testing.F) {
	base := []byte(lines(3))
	f.Add(base, new(delta.Encoder).Append(nil, base, []byte(lines(4))), uint16(len(lines(4))))
	f.Add([]byte("0123456789"), []byte("\x01a\x05\x02\x02bc\x03\x09"), uint16(6))
	f.Fuzz(func(t *testing.T, base, patch []byte, size uint16) {
		room := make([]byte, 0, size)
		got, err := delta.Apply(room, base, patch, int(size))
		switch {
		case err != nil && !errors.Is(err, delta.ErrCorrupt):
			t.Errorf("got %v, want nil or %v", err, delta.ErrCorrupt)
		case err == nil && len(got) != int(size):
			t.Errorf("got %d bytes, want %d", len(got), size)
		case cap(got) > cap(room):
			t.Errorf("got a buffer of %d bytes, want %d", cap(got), cap(room))
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(lines(3)), []byte(lines(4)))
	f.Add([]byte{}, []byte("a"))
	f.Fuzz(func(t *testing.T, base, target []byte) {
		var e delta.Encoder
		roundTrip(t, &e, base, target)
		roundTrip(t, &e, target, base) // the encoder must not use the index of the first base
		if n := delta.Common(base, target); n > min(len(base), len(target)) {
			t.Errorf("got %d common bytes, want at most %d", n, min(len(base), len(target)))
		}
	})
}
