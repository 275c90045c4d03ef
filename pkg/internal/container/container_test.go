package container_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

const magic = "test\n"

// stream returns a stream of frames. Their kinds count up from 1.
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
		tb.Errorf("got size %d, want %d", w.Size(), b.Len())
	}
	return b.Bytes()
}

// read reads a stream to its end. The error is nil if the stream is complete.
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

// TestReader_DetectsAllDamage flips each bit of a stream, and truncates it at
// each byte.
func TestReader_DetectsAllDamage(t *testing.T) {
	whole := stream(t, []byte("one"), nil, bytes.Repeat([]byte("three"), 1000))
	if got, err := read(whole); err != nil || len(got) != 3 || string(got[0]) != "one" || len(got[2]) != 5000 {
		t.Fatalf("got %d frames, error %v, want 3 frames as they were written", len(got), err)
	}
	for i := range whole {
		if _, err := read(whole[:i]); !errors.Is(err, container.ErrTruncated) && !errors.Is(err, container.ErrForeign) {
			t.Errorf("truncated at %d of %d: got error %v, want ErrTruncated or ErrForeign", i, len(whole), err)
		}
		for bit := range 8 {
			corrupt := bytes.Clone(whole)
			corrupt[i] ^= 1 << bit
			if _, err := read(corrupt); err == nil {
				t.Errorf("bit %d of byte %d flipped: got no error, want one", bit, i)
			}
		}
	}
	if _, err := read(append(whole, 0)); !errors.Is(err, container.ErrCorrupt) {
		t.Errorf("a byte after the end: got error %v, want ErrCorrupt", err)
	}
}

// FuzzReader writes again what it could read, and reads it again.
func FuzzReader(f *testing.F) {
	f.Add(stream(f, []byte("one"), []byte("two")))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		payloads, err := read(b)
		if err != nil {
			return
		}
		if again, err := read(stream(t, payloads...)); err != nil || len(again) != len(payloads) {
			t.Errorf("written again: got %d frames, error %v, want %d frames", len(again), err, len(payloads))
		}
	})
}
