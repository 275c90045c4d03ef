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

// refusedInOneLine checks the error of a file that is no export.
func refusedInOneLine(t *testing.T, what string, file []byte, says string) {
	t.Helper()
	err := refusal(t, bytes.NewReader(file))
	if history.CodeOf(err) != history.Invalid || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v", what, err)
	}
}

// TestADamagedFileIsRefused cuts a file off, and flips bits of it.
func TestADamagedFileIsRefused(t *testing.T) {
	w := small(t)
	w.put(t, version("pods", "stands", history.Create))
	w.put(t, version("pods", "web", history.Create))
	file, _ := w.export(t, history.Extent{Start: w.clock.t})
	for i := 0; i < len(file); i += 7 {
		says := "damaged"
		if i < len(archive.Magic) {
			says = "it is no export"
		}
		refusedInOneLine(t, "cut off", file[:i], says)
		torn := bytes.Clone(file)
		torn[i] ^= 1 << (i % 8)
		refusedInOneLine(t, "flipped", torn, says)
	}
	refusedInOneLine(t, "a byte too many", append(bytes.Clone(file), 0), "damaged")
	refusedInOneLine(t, "half of the end", file[:len(file)-1], "cut off")
	broken := errors.New("the disk is broken")
	if err := refusal(t, iotest.TimeoutReader(bytes.NewReader(file))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a reader that fails: %v", err)
	}
	if err := refusal(t, iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a reader that fails at once: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := archive.Open(ctx, bytes.NewReader(file), t.TempDir(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v, %v", r, err)
	}
}

// part is a frame of a file that a test puts together.
type part struct {
	kind    byte
	payload string
}

// built returns a container of frames, whatever they hold.
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

// entries returns versions as they stand in frames.
func entries(records ...*history.Record) string {
	var b []byte
	for _, r := range records {
		v := archive.AppendVersion(nil, r)
		b = append(binary.AppendUvarint(b, uint64(len(v))), v...)
	}
	return string(b)
}

// TestAWholeFileOfNonsenseIsRefused puts files together whose checksums are right. Those that are taken are older than anything that a
// recorder keeps.
func TestAWholeFileOfNonsenseIsRefused(t *testing.T) {
	const begin = `"start":"2021-01-02T12:00:00Z","end":"2021-01-02T13:00:00Z"`
	header, catalogue := part{'H', `{"format":1,` + begin + `}`}, part{'C', `[{"plural":"pods","version":"v1","kind":"Pod"}]`}
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
		t.Errorf("the good file has %+v", r.Counts())
	}
	split := []part{header, catalogue, {'V', one.payload[:9]}, {'V', one.payload[9:]}, counted(`{"versions":1}`)}
	if got := scanned(t, read(t, built(t, split...)), history.Scan{}); len(got) != 1 {
		t.Errorf("an entry in two frames: %v", got)
	}
	for what, of := range map[string]struct {
		parts []part
		says  string
	}{
		"nothing":                 {nil, "damaged"},
		"no header":               {[]part{catalogue, header}, "damaged"},
		"a newer format":          {[]part{{'H', `{"format":2,` + begin + `}`}, catalogue}, "format 2, and this program knows formats up to 1"},
		"no format":               {[]part{{'H', `{` + begin + `}`}, catalogue}, "damaged"},
		"no range":                {[]part{{'H', `{"format":1}`}, catalogue}, "damaged"},
		"a range before 1970":     {[]part{{'H', `{"format":1,"start":"1800-01-01T00:00:00Z","end":"2026-01-01T00:00:00Z"}`}, catalogue}, "is none"},
		"a range of the far":      {[]part{{'H', `{"format":1,"start":"2026-01-01T00:00:00Z","end":"2300-01-01T00:00:00Z"}`}, catalogue}, "is none"},
		"no JSON":                 {[]part{{'H', `{`}}, "damaged"},
		"no catalogue":            {[]part{header, one}, "damaged"},
		"no footer":               {[]part{header, catalogue, one}, "damaged"},
		"a frame behind":          {append(good[:5:5], one), "damaged"},
		"versions are missing":    {[]part{header, catalogue, one, counted(`{"versions":2}`)}, "damaged"},
		"gaps are missing":        {[]part{header, catalogue, one, counted(`{"versions":1,"gaps":1}`)}, "damaged"},
		"an entry is cut":         {[]part{header, catalogue, {'V', one.payload[:9]}, counted(`{"versions":1}`)}, "damaged"},
		"an endless entry":        {[]part{header, catalogue, {'V', "\xff\xff\xff\xff\xff\xff\xff\xff\x7f"}}, "damaged"},
		"no length":               {[]part{header, catalogue, {'V', strings.Repeat("\xff", 12)}}, "damaged"},
		"no version":              {[]part{header, catalogue, {'V', "\x01\x00"}}, "damaged"},
		"no gap":                  {[]part{header, catalogue, {'G', "\x01\x00"}}, "damaged"},
		"behind the range":        {[]part{header, catalogue, v(at("13:00:00", 1))}, "not in its order"},
		"before the range":        {[]part{header, catalogue, v(at("11:59:59", 1))}, "not in its order"},
		"not in order":            {[]part{header, catalogue, v(at("12:30:00", 1), at("12:29:00", 2))}, "not in its order"},
		"twice":                   {[]part{header, catalogue, v(at("12:30:00", 1), at("12:30:00", 2))}, "not in its order"},
		"revisions not in order":  {[]part{header, catalogue, v(at("12:30:00", 2), at("12:31:00", 2))}, "revision 2 does not come after 2"},
		"no revision":             {[]part{header, catalogue, v(at("12:30:00", 0))}, "has no revision"},
		"no name":                 {[]part{header, catalogue, v(nameless)}, "empty name"},
		"standing inside":         {[]part{header, catalogue, s(at("12:00:00", 1))}, "does not stand"},
		"a deletion stands":       {[]part{header, catalogue, s(gone)}, "does not stand"},
		"standing behind records": {[]part{header, catalogue, one, s(at("11:00:00", 1))}, "damaged"},
	} {
		refusedInOneLine(t, what, built(t, of.parts...), of.says)
	}
}
