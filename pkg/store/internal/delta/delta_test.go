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

// lines returns a text of many lines, no two of which are the same.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"line":%d,"text":"%x"},`, i, uint64(i)*0x9e3779b97f4a7c15)
	}
	return b.String()
}

// roundTrip returns the length of the patch that makes target from base, and fails where it does not.
func roundTrip(tb testing.TB, e *delta.Encoder, base, target []byte) int {
	tb.Helper()
	patch := e.Append([]byte("before"), base, target)
	if !bytes.HasPrefix(patch, []byte("before")) {
		tb.Fatal("what stood before the patch is gone")
	}
	patch = patch[len("before"):]
	got, err := delta.Apply([]byte("front"), base, patch, len(target))
	if err != nil || string(got) != "front"+string(target) {
		tb.Fatalf("%.80q against %.80q comes back as %.80q, %v", target, base, got, err)
	}
	if len(patch) > len(target)+delta.Overhead {
		tb.Errorf("a patch of %d bytes makes %d", len(patch), len(target))
	}
	return len(patch)
}

// TestPatch holds patches to the room that they take: none may come to take more.
func TestPatch(t *testing.T) {
	text := lines(200)
	var e delta.Encoder
	for _, c := range []struct {
		name, base, target string
		most               int
	}{
		{"both are empty", "", "", 0},
		{"nothing is left", text, "", 0},
		{"there was nothing", "", "abc", 4},
		{"nothing changes", text, text, 3},
		{"a byte in the middle", text, text[:4000] + "#" + text[4001:], 7},
		{"a byte at the beginning", text, "#" + text[1:], 4},
		{"a byte at the end", text, text[:len(text)-1] + "#", 5},
		{"bytes change in their places", "[1000000001," + text + "1000000002]" + text, "[2000000001," + text + "2000000002]" + text, 10},
		{"a line more", text, text[:4000] + "one more, " + text[4000:], 17},
		{"a line less", text, text[:4000] + text[4100:], 8},
		{"two lengths change", text, strings.Replace(strings.Replace(text, `"line":17,`, `"line":1,`, 1), `"line":180,`, `"line":180000,`, 1), 13},
		{"the second half comes first", text, text[len(text)/2:] + text[:len(text)/2], 10},
		{"a piece comes twice", text, text + text[1000:3000], 8},
		{"all is another", strings.Repeat("a", 500), strings.Repeat("b", 500), 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			if n := roundTrip(t, &e, []byte(c.base), []byte(c.target)); n > c.most {
				t.Errorf("it takes %d bytes, more than %d", n, c.most)
			}
		})
	}
}

// TestPatchOfALargeObject changes, moves and adds lines of an object that has more windows than an index knows.
func TestPatchOfALargeObject(t *testing.T) {
	base := []byte(lines(70_000))
	target := slices.Concat(base[1_000_000:2_000_000], []byte("new"), base[:900_000], []byte("newer"), base[2_500_000:])
	if n := roundTrip(t, new(delta.Encoder), base, target); n > 200 {
		t.Errorf("%d bytes for %d of %d", n, len(target), len(base))
	}
}

func TestPatchesOfASampleAreSmall(t *testing.T) {
	var e delta.Encoder
	size, of := 0, 0
	for _, p := range pairs(t, 2000) {
		size, of = size+roundTrip(t, &e, p.before, p.now), of+len(p.now)
	}
	if size > of/10 {
		t.Errorf("patches take %d bytes for %d", size, of)
	}
}

// TestRandomChanges makes targets from pieces of the base and of others, long and short, and from noise.
func TestRandomChanges(t *testing.T) {
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

// TestApplyRefuses gives patches that no encoder made.
func TestApplyRefuses(t *testing.T) {
	base := []byte("0123456789")
	for name, c := range map[string]struct {
		patch string
		size  int
	}{
		"nothing":                        {"", 1},
		"an insertion cut off":           {"\x03ab", 3},
		"an insertion of too much":       {"\x03abc\x00", 2},
		"no copy":                        {"\x01a", 2},
		"a copy of too much":             {"\x00\x06", 2},
		"a copy beyond the base":         {"\x00\x16", 11},
		"a move beyond the base":         {"\x00\x05\x14", 2},
		"a move before the base":         {"\x00\x05\x01", 2},
		"a move without by how much":     {"\x00\x05", 2},
		"a number without an end":        {"\x80\x80", 1},
		"a number of more than 64 bits":  {strings.Repeat("\xff", 11), 1},
		"a move of all that an int has":  {"\x00\x05\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2},
		"a move back by that":            {"\x00\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2},
		"a copy of all that an int has":  {"\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01", 2},
		"something behind its end":       {"\x00\x04x", 2},
		"something behind an empty one":  {"\x00", 0},
		"an insertion behind the end":    {"\x00\x04\x01x", 2},
		"a copy behind a long insertion": {"\x0babcdefghijk\x02", 12},
	} {
		if got, err := delta.Apply(nil, base, []byte(c.patch), c.size); !errors.Is(err, delta.ErrCorrupt) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := delta.Apply(nil, base, []byte("\x01a\x05\x02\x02bc\x03\x09"), 6); err != nil || string(got) != "a23bc1" {
		t.Errorf("%q, %v", got, err)
	}
}

// FuzzApply checks that arbitrary bytes give an error or what was asked for, and take no more room.
func FuzzApply(f *testing.F) {
	base := []byte(lines(3))
	f.Add(base, new(delta.Encoder).Append(nil, base, []byte(lines(4))), uint16(len(lines(4))))
	f.Add([]byte("0123456789"), []byte("\x01a\x05\x02\x02bc\x03\x09"), uint16(6))
	f.Fuzz(func(t *testing.T, base, patch []byte, size uint16) {
		room := make([]byte, 0, size)
		got, err := delta.Apply(room, base, patch, int(size))
		switch {
		case err != nil && !errors.Is(err, delta.ErrCorrupt):
			t.Error(err)
		case err == nil && len(got) != int(size):
			t.Errorf("%d bytes, want %d", len(got), size)
		case cap(got) > cap(room):
			t.Errorf("it takes %d bytes", cap(got))
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(lines(3)), []byte(lines(4)))
	f.Add([]byte{}, []byte("a"))
	f.Fuzz(func(t *testing.T, base, target []byte) {
		var e delta.Encoder
		roundTrip(t, &e, base, target)
		roundTrip(t, &e, target, base) // what the encoder knows of the first base is no longer true
		if n := delta.Common(base, target); n > min(len(base), len(target)) {
			t.Errorf("%d bytes in common", n)
		}
	})
}
