package archive_test

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// sampleVersion returns a record with a value in every field.
func sampleVersion() *history.Record {
	r := version("widgets.example.com", "web", history.Update)
	r.Time, r.Revision = time.Unix(1_790_000_000, 7).UTC(), 3
	r.Initial, r.InferredSince = true, time.Unix(1_780_000_000, 0).UTC()
	r.Managers = []history.Manager{
		{Name: "kubectl", Operation: "Apply", Time: r.InferredSince, Fields: []string{"spec.a"}},
	}
	r.Owners = append(r.Owners, "owner")
	r.Regarding, r.Summary = &history.Target{Kind: "Pod", Name: "p"}, &history.Summary{Text: "s"}
	return r
}

// FuzzVersion decodes arbitrary bytes. It encodes each decoded version, and
// decodes the result.
func FuzzVersion(f *testing.F) {
	f.Add(archive.AppendVersion(nil, sampleVersion()))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := archive.DecodeVersion(b)
		if err != nil {
			return
		}
		again, err := archive.DecodeVersion(archive.AppendVersion(nil, r))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("got %+v, error %v, want %+v", again, err, r)
		}
	})
}

// FuzzFile reads arbitrary files. FuzzFrames tests files with a valid
// container.
func FuzzFile(f *testing.F) {
	f.Add(built(f, wholeFile()...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if records, err := archive.ReadAll(bytes.NewReader(b)); err != nil && records != nil {
			t.Errorf("got %d records with the error %v, want none", len(records), err)
		}
	})
}

// FuzzFrames reads arbitrary bytes as frames: a kind, a length of two bytes,
// and the payload. It writes each log that it could read, and reads the result.
func FuzzFrames(f *testing.F) {
	for _, parts := range [][]part{
		wholeFile(),
		{wholeFile()[0], {'C', `null`}, {'G', "\x0d\x00\x04pods\x01\x02\x00\x00\x01r\x00"}, {'F', `{"gaps":1}`}},
	} {
		var b []byte
		for _, p := range parts {
			b = append(append(b, p.kind, byte(len(p.payload)>>8), byte(len(p.payload))), p.payload...)
		}
		if _, err := archive.ReadFrames(frames(b)); err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := archive.ReadFrames(frames(b))
		if err != nil {
			return
		}
		footer := fmt.Sprintf(`{"versions":%d}`, len(records))
		parts := list{wholeFile()[0], {'C', `[]`}, {'V', entries(records...)}, {'F', footer}}
		again, err := archive.ReadFrames(&parts)
		if err != nil || !reflect.DeepEqual(again, records) {
			t.Errorf("got %d records, error %v, want the %d records as they were", len(again), err, len(records))
		}
	})
}

// wholeFile returns the frames of a valid file.
func wholeFile() []part {
	return []part{
		{'H', `{"format":1,"start":"2021-01-02T12:00:00Z","end":"2021-01-02T13:00:00Z"}`},
		{'C', `[]`},
		{'S', entries(sampleVersion())},
		{'V', entries(sampleVersion(), sampleVersion())},
		{'F', `{"standing":1,"versions":2}`},
	}
}

// list is a list of frames.
type list []part

// Next returns the next frame.
func (l *list) Next() (byte, []byte, error) {
	if len(*l) == 0 {
		return 0, nil, io.EOF
	}
	p := (*l)[0]
	*l = (*l)[1:]
	return p.kind, []byte(p.payload), nil
}

// frames returns the frames that arbitrary bytes encode.
func frames(b []byte) *list {
	l := &list{}
	for len(b) > 3 {
		kind, n := max(b[0], 1), int(b[1])<<8|int(b[2])
		b = b[3:]
		n = min(n, len(b))
		*l, b = append(*l, part{kind, string(b[:n])}), b[n:]
	}
	return l
}
