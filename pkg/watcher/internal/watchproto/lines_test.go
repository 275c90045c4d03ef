package watchproto_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/watchproto"
)

func readLines(r io.Reader, limit int) (lines []string, err error) {
	l := watchproto.NewLines(r, limit)
	for {
		line, err := l.Next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, string(line))
	}
}

func TestLines_ReturnsLinesOfAllSizes(t *testing.T) {
	t.Parallel()
	// Lines around the size of the buffer, and one that is larger than the
	// memory that is kept.
	var want []string
	for _, n := range []int{1, 10, 32<<10 - 1, 32 << 10, 32<<10 + 1, 70 << 10, 3 << 20, 40 << 10, 5} {
		want = append(want, strings.Repeat(string(rune('a'+len(want))), n-1)+"\n")
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader,
		"data with EOF": iotest.DataErrReader,
	} {
		got, err := readLines(wrap(strings.NewReader(strings.Join(want, ""))), 4<<20)
		if !errors.Is(err, io.EOF) {
			t.Errorf("%s: got error %v, want %v", name, err, io.EOF)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %d lines that differ, want the %d that were written", name, len(got), len(want))
		}
	}
}

func TestLines_TruncatedLineIsAnError(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{"b", strings.Repeat("b", 40<<10), strings.Repeat("b", 32<<10)} {
		got, err := readLines(strings.NewReader("a\n"+rest), 1<<20)
		if !errors.Is(err, io.ErrUnexpectedEOF) || !slices.Equal(got, []string{"a\n"}) {
			t.Errorf("%d bytes of a line: got %q and %v, want one line and %v",
				len(rest), got, err, io.ErrUnexpectedEOF)
		}
	}
}

func TestLines_LongLineIsAnError(t *testing.T) {
	t.Parallel()
	got, err := readLines(strings.NewReader("a\n"+strings.Repeat("b", 2<<20)+"\nc\n"), 1<<20)
	if err == nil || !strings.Contains(err.Error(), "longer than 1 MiB") || len(got) != 1 {
		t.Errorf("got %d lines and %v, want one and an error about the length of the second", len(got), err)
	}
}

func TestLines_ReturnsTheErrorOfItsReader(t *testing.T) {
	t.Parallel()
	torn := errors.New("torn")
	for _, before := range []string{"a\n", "a\nb", "a\n" + strings.Repeat("b", 40<<10)} {
		got, err := readLines(io.MultiReader(strings.NewReader(before), iotest.ErrReader(torn)), 1<<20)
		if !errors.Is(err, torn) || !slices.Equal(got, []string{"a\n"}) {
			t.Errorf("got %q and %v, want one line and %v", got, err, torn)
		}
	}
}
