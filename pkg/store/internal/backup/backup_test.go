package backup_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/backup"
)

const format = 1

// write returns a backup with two entries.
func write(t *testing.T, h backup.Header) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := backup.NewWriter(&file, h, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []string{"a", "b"} {
		if err := w.Add([]byte(k), []byte(k+" value"), 7); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Finish([]uint16{3, 5}); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// read reads a backup to its end.
func read(b []byte) (entries []string, f backup.Footer, err error) {
	r, err := backup.Open(bytes.NewReader(b), format, format)
	if err != nil {
		return nil, f, err
	}
	defer r.Close()
	f, err = r.Entries(func(k, v []byte, _ uint64) error {
		entries = append(entries, string(k)+"="+string(v))
		return nil
	}, func() error { return nil })
	return entries, f, err
}

func TestReader_ReturnsWhatWasWritten(t *testing.T) {
	h := backup.Header{Format: format, To: backup.Position{Time: 9}, Created: time.Unix(1, 0).UTC()}
	b := write(t, h)
	r, err := backup.Open(bytes.NewReader(b), format, format)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Header != h {
		t.Errorf("header %+v, want %+v", r.Header, h)
	}
	entries, f, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"a=a value", "b=b value"}; !slices.Equal(entries, want) {
		t.Errorf("entries %q, want %q", entries, want)
	}
	if f.Entries != 2 || !slices.Equal(f.Days, []uint16{3, 5}) {
		t.Errorf("footer %+v, want 2 entries and the days 3 and 5", f)
	}
}

func TestReader_RejectsEveryTruncation(t *testing.T) {
	b := write(t, backup.Header{Format: format})
	for n := range b {
		if _, _, err := read(b[:n]); history.CodeOf(err) != history.Invalid {
			t.Errorf("the first %d of %d bytes: got error %v, want an invalid one", n, len(b), err)
		}
	}
}

func TestOpen_RejectsAnotherFormat(t *testing.T) {
	for _, other := range []uint16{0, format + 1} {
		_, err := backup.Open(bytes.NewReader(write(t, backup.Header{Format: other})), format, format)
		if history.CodeOf(err) != history.Invalid {
			t.Errorf("format %d: got error %v, want an invalid one", other, err)
		}
	}
}

func TestPosition_TextRoundTrip(t *testing.T) {
	for _, p := range []backup.Position{{}, {Log: [8]byte{1, 2, 3}, Time: 1 << 60}} {
		text, err := p.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var got backup.Position
		if err := got.UnmarshalText(text); err != nil || got != p {
			t.Errorf("%q is %+v, %v, want %+v", text, got, err, p)
		}
	}
	var p backup.Position
	if err := p.UnmarshalText([]byte("short")); history.CodeOf(err) != history.Invalid {
		t.Errorf("a short token: got error %v, want an invalid one", err)
	}
}
