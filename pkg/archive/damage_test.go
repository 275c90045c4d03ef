package archive_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// checkRejected checks that a file is rejected with one line that contains
// text.
func checkRejected(t *testing.T, what string, file []byte, text string) {
	t.Helper()
	err := readError(t, bytes.NewReader(file))
	if history.CodeOf(err) != history.Invalid || strings.Contains(err.Error(), "\n") ||
		!strings.Contains(err.Error(), text) {
		t.Errorf("%s: got error %q, want an invalid one in one line with %q", what, err, text)
	}
}

// TestOpen_RejectsDamagedFile truncates a file and flips bits of it.
func TestOpen_RejectsDamagedFile(t *testing.T) {
	w := small(t)
	w.put(t, version("pods", "baseline", history.Create))
	w.put(t, version("pods", "web", history.Create))
	file, _ := w.export(t, history.Extent{Start: w.clock.t})
	for i := 0; i < len(file); i += 7 {
		says := "damaged"
		if i < len(archive.Magic) {
			says = "not an export"
		}
		checkRejected(t, "truncated", file[:i], says)
		corrupt := bytes.Clone(file)
		corrupt[i] ^= 1 << (i % 8)
		checkRejected(t, "flipped", corrupt, says)
	}
	checkRejected(t, "an additional byte", append(bytes.Clone(file), 0), "damaged")
	checkRejected(t, "a part of the end", file[:len(file)-1], "truncated")
	broken := errors.New("the disk is broken")
	if err := readError(t, iotest.TimeoutReader(bytes.NewReader(file))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a reader that fails later: got error %v, want ErrTimeout", err)
	}
	if err := readError(t, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a reader that fails at once: got error %v, want %v", err, broken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := archive.Open(ctx, bytes.NewReader(file), t.TempDir(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: got %v, error %v, want context.Canceled", r, err)
	}
}

// part is a frame of a file that a test builds.
type part struct {
	kind    byte
	payload string
}

// built returns a file with frames.
func built(tb testing.TB, parts ...part) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := container.NewWriter(&b, archive.Magic)
	for _, p := range parts {
		err = errors.Join(err, w.Write(p.kind, []byte(p.payload)))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// entries returns the encoded entries of versions.
func entries(records ...*history.Record) string {
	var b []byte
	for _, r := range records {
		v := archive.AppendVersion(nil, r)
		b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
	}
	return string(b)
}

// TestOpen_RejectsInvalidContents builds invalid files with valid checksums.
// The files are older than any retention, which must not matter.
func TestOpen_RejectsInvalidContents(t *testing.T) {
	const begin = `"start":"2021-01-02T12:00:00Z","end":"2021-01-02T13:00:00Z"`
	header, catalogue := part{
		'H', `{"format":1,` + begin + `}`,
	}, part{'C', `[{"plural":"pods","version":"v1","kind":"Pod"}]`}
	at := func(clock string, revision uint64) *history.Record {
		r := version("pods", "web", history.Update)
		r.Time, r.Revision = moment(t, "2021-01-02T"+clock+"Z"), revision
		return r
	}
	gone := at("11:00:00", 1)
	gone.Verb = history.Delete
	nameless := at("12:30:00", 1)
	nameless.Ref.Name = ""
	v := func(r ...*history.Record) part { return part{'V', entries(r...)} }
	s := func(r ...*history.Record) part { return part{'S', entries(r...)} }
	counted := func(json string) part { return part{'F', json} }
	one := v(at("12:30:00", 2))
	good := []part{header, catalogue, s(at("11:00:00", 1)), one, counted(`{"standing":1,"versions":1}`)}
	if r := read(t, built(t, good...)); r.Counts() != (archive.Counts{Baselines: 1, Versions: 1}) {
		t.Errorf("the valid file: got %+v, want 1 baseline and 1 version", r.Counts())
	}
	split := []part{header, catalogue, {'V', one.payload[:9]}, {'V', one.payload[9:]}, counted(`{"versions":1}`)}
	if got := scanned(t, read(t, built(t, split...)), history.Scan{}); len(got) != 1 {
		t.Errorf("an entry in two frames: got %v, want 1 record", got)
	}
	for what, of := range map[string]struct {
		parts []part
		text  string
	}{
		"nothing":        {nil, "damaged"},
		"no header":      {[]part{catalogue, header}, "damaged"},
		"a newer format": {[]part{{'H', `{"format":2,` + begin + `}`}, catalogue}, "format 2 is not supported"},
		"no format":      {[]part{{'H', `{` + begin + `}`}, catalogue}, "damaged"},
		"no range":       {[]part{{'H', `{"format":1}`}, catalogue}, "damaged"},
		"a range before 1970": {
			[]part{{'H', `{"format":1,"start":"1800-01-01T00:00:00Z","end":"2026-01-01T00:00:00Z"}`}, catalogue},
			"an excerpt can't begin",
		},
		"a range too far away": {
			[]part{{'H', `{"format":1,"start":"2026-01-01T00:00:00Z","end":"2300-01-01T00:00:00Z"}`}, catalogue},
			"an excerpt can't begin",
		},
		"no JSON":              {[]part{{'H', `{`}}, "damaged"},
		"no catalogue":         {[]part{header, one}, "damaged"},
		"no footer":            {[]part{header, catalogue, one}, "damaged"},
		"a frame at the end":   {append(good[:5:5], one), "damaged"},
		"versions are missing": {[]part{header, catalogue, one, counted(`{"versions":2}`)}, "damaged"},
		"gaps are missing":     {[]part{header, catalogue, one, counted(`{"versions":1,"gaps":1}`)}, "damaged"},
		"an entry is cut": {
			[]part{header, catalogue, {'V', one.payload[:9]}, counted(`{"versions":1}`)}, "damaged",
		},
		"an entry too long": {[]part{header, catalogue, {'V', "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"}}, "damaged"},
		"no length":         {[]part{header, catalogue, {'V', strings.Repeat("\xff", 12)}}, "damaged"},
		"no version":        {[]part{header, catalogue, {'V', "\x01\x00"}}, "damaged"},
		"no gap":            {[]part{header, catalogue, {'G', "\x01\x00"}}, "damaged"},
		"after the range":   {[]part{header, catalogue, v(at("13:00:00", 1))}, "out of order"},
		"before the range":  {[]part{header, catalogue, v(at("11:59:59", 1))}, "out of order"},
		"not in order":      {[]part{header, catalogue, v(at("12:30:00", 1), at("12:29:00", 2))}, "out of order"},
		"twice":             {[]part{header, catalogue, v(at("12:30:00", 1), at("12:30:00", 2))}, "out of order"},
		"revisions not in order": {
			[]part{header, catalogue, v(at("12:30:00", 2), at("12:31:00", 2))}, "revision 2 is not after revision 2",
		},
		"no revision":            {[]part{header, catalogue, v(at("12:30:00", 0))}, "has no revision"},
		"no name":                {[]part{header, catalogue, v(nameless)}, "name is empty"},
		"baseline inside":        {[]part{header, catalogue, s(at("12:00:00", 1))}, "is not a baseline"},
		"a deleted baseline":     {[]part{header, catalogue, s(gone)}, "is not a baseline"},
		"baseline after records": {[]part{header, catalogue, one, s(at("11:00:00", 1))}, "damaged"},
	} {
		checkRejected(t, what, built(t, of.parts...), of.text)
	}
}
