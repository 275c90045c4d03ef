package container_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

const magic = "test\n"

// stream returns a stream of frames, of kinds from 1.
func stream(tb testing.TB, payloads ...[]byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := container.NewWriter(&b, magic)
	if err != nil {
		tb.Fatal(err)
	}
	for i, p := range payloads {
		if err := w.Write(byte(i+1), p); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	if w.Size() != int64(b.Len()) {
		tb.Errorf("size %d of %d bytes", w.Size(), b.Len())
	}
	return b.Bytes()
}

// read reads a stream to its end, which is nil where it is whole.
func read(b []byte) (payloads [][]byte, err error) {
	r, err := container.NewReader(bytes.NewReader(b), magic)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		_, p, err := r.Next()
		if errors.Is(err, io.EOF) {
			return payloads, nil
		}
		if err != nil {
			return payloads, err
		}
		payloads = append(payloads, bytes.Clone(p))
	}
}

// TestEveryDamageIsNoticed flips each bit of a stream, and cuts it at each byte.
func TestEveryDamageIsNoticed(t *testing.T) {
	whole := stream(t, []byte("one"), nil, bytes.Repeat([]byte("three"), 1000))
	if got, err := read(whole); err != nil || len(got) != 3 || string(got[0]) != "one" || len(got[2]) != 5000 {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	for i := range whole {
		if _, err := read(whole[:i]); !errors.Is(err, container.ErrTruncated) && !errors.Is(err, container.ErrForeign) {
			t.Errorf("cut at %d of %d: %v", i, len(whole), err)
		}
		for bit := range 8 {
			torn := bytes.Clone(whole)
			torn[i] ^= 1 << bit
			if _, err := read(torn); err == nil {
				t.Errorf("bit %d of byte %d is flipped, and nobody notices", bit, i)
			}
		}
	}
	if _, err := read(append(whole, 0)); !errors.Is(err, container.ErrCorrupt) {
		t.Errorf("a byte behind the end: %v", err)
	}
}

// FuzzReader checks that anything else than a stream is an error, and that what is read would be written in the same way.
func FuzzReader(f *testing.F) {
	f.Add(stream(f, []byte("one"), []byte("two")))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		payloads, err := read(b)
		if err != nil {
			return
		}
		if again, err := read(stream(t, payloads...)); err != nil || len(again) != len(payloads) {
			t.Errorf("%d frames come back as %d, %v", len(payloads), len(again), err)
		}
	})
}
