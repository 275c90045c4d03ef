package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// each yields records.
func each(records ...*history.Record) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// begin is when the journals of the tests begin.
func begin() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }

// second returns the time n seconds after begin.
func second(n int) time.Time { return begin().Add(time.Duration(n) * time.Second) }

// mark is a position in a journal up to which it can be read.
type mark struct {
	size    int // in bytes
	end     time.Time
	records []*history.Record
	gaps    []history.Gap
}

// podsSeen is the catalogue of the journals of the tests.
func podsSeen() []history.Resource {
	return []history.Resource{{Version: "v1", Plural: "pods", Kind: "Kind-of-pods", Namespaced: true, Since: second(0)}}
}

// unseen are the unrecorded resources of the journals of the tests.
func unseen() []history.UnrecordedResource {
	return []history.UnrecordedResource{{
		Resource: history.Resource{Version: "v1", Plural: "nodes", Kind: "Node"}, Reason: string(history.GapForbidden),
	}}
}

// written returns a journal with four marks. The last one has nothing new but a
// withdrawn gap.
func written(tb testing.TB) (file []byte, marks []mark) {
	tb.Helper()
	var b bytes.Buffer
	j, err := archive.NewJournal(&b, archive.Header{
		Start: begin(), Created: begin(), Cluster: "c", Watched: "shop", MadeBy: "a test",
	})
	if err != nil {
		tb.Fatal(err)
	}
	all := []*history.Record{}
	for i := range 7 {
		r := version("pods", fmt.Sprint("pod-", i%3), history.Update)
		r.Time, r.Revision = second(i).Add(time.Millisecond), uint64(i/3+1)
		r.Object = fmt.Appendf(nil, `{"name":%q,"n":%d}`, r.Ref.Name, i)
		r.Created = time.Time{}
		all = append(all, r)
	}
	open := history.Gap{Resource: "pods", Start: second(2), Reason: history.GapDisconnected, Detail: "away"}
	closed := open
	closed.End = second(4)
	passing := history.Gap{Resource: "pods", Start: second(3), Reason: history.GapServerError}
	for _, step := range []struct {
		upTo int
		gaps []history.Gap
	}{{3, nil}, {4, []history.Gap{open}}, {7, []history.Gap{closed, passing}}, {7, []history.Gap{closed}}} {
		e := &history.Excerpt{
			Extent:    history.Extent{End: second(len(marks) + 7)},
			Catalogue: podsSeen(), Unrecorded: unseen(), Gaps: step.gaps,
		}
		have := 0
		if len(marks) > 0 {
			have = len(marks[len(marks)-1].records)
		}
		if step.upTo > have {
			e.Records = each(all[have:step.upTo]...)
		}
		if err := j.Append(e); err != nil {
			tb.Fatal(err)
		}
		if j.Size() != int64(b.Len()) {
			tb.Errorf("got size %d, want %d", j.Size(), b.Len())
		}
		marks = append(marks, mark{b.Len(), e.End, all[:step.upTo], step.gaps})
	}
	return b.Bytes(), marks
}

// best returns the last mark within the first bytes of a journal.
func best(marks []mark, size int) (m mark, ok bool) {
	for _, m := range slices.Backward(marks) {
		if m.size <= size {
			return m, true
		}
	}
	return mark{}, false
}

// checkJournal reads a file whose first intact bytes are those of a journal,
// and compares the result with the last mark in them.
func checkJournal(t *testing.T, what string, file []byte, marks []mark, intact int) {
	t.Helper()
	h, records, unusable, err := archive.ReadJournal(bytes.NewReader(file), t.TempDir())
	want, ok := best(marks, intact)
	if !ok {
		if err == nil {
			t.Errorf("%s: got %d records, want an error without a mark", what, len(records))
		}
		return
	}
	if err != nil {
		t.Errorf("%s: got error %v, want none", what, err)
		return
	}
	if !h.End.Equal(want.end) || !reflect.DeepEqual(records, want.records) || unusable != int64(len(file)-want.size) {
		t.Errorf("%s: got %d records up to %v and %d unusable bytes, want %d, %v and %d", what,
			len(records), h.End, unusable, len(want.records), want.end, len(file)-want.size)
	}
}

func TestJournal_IsReadUpToItsLastMark(t *testing.T) {
	file, marks := written(t)
	for i := range len(file) + 1 {
		checkJournal(t, fmt.Sprintf("truncated at %d of %d", i, len(file)), file[:i], marks, i)
	}
	for i := range file {
		damaged := bytes.Clone(file)
		damaged[i] ^= 1 << (i % 8)
		checkJournal(t, fmt.Sprintf("byte %d of %d flipped", i, len(file)), damaged, marks, i)
	}
	checkJournal(t, "bytes after the end", append(bytes.Clone(file), 1, 2, 3), marks, len(file))
}

// TestOpen_ReadsJournal opens a journal at each of its marks, from a file and
// from a pipe.
func TestOpen_ReadsJournal(t *testing.T) {
	file, marks := written(t)
	for i, m := range marks {
		cut := append(bytes.Clone(file[:m.size]), 'V', 0)
		seekable := filepath.Join(t.TempDir(), "recording")
		if err := os.WriteFile(seekable, cut, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(seekable)
		if err != nil {
			t.Fatal(err)
		}
		for what, from := range map[string]io.Reader{"file": f, "pipe": struct{ io.Reader }{bytes.NewReader(cut)}} {
			dir := t.TempDir()
			r, err := archive.Open(t.Context(), from, dir, nil)
			if err != nil {
				t.Fatalf("mark %d, %s: got error %v, want none", i, what, err)
			}
			interrupted, unusable := r.Interrupted()
			h := r.Header()
			if !interrupted || unusable != 2 || !h.Start.Equal(begin()) || !h.End.Equal(m.end) ||
				h.Watched != "shop" || h.Cluster != "c" ||
				h.MadeBy != "a test" || !reflect.DeepEqual(h.Unrecorded, unseen()) {
				t.Errorf("mark %d, %s: got %+v, interrupted %t, %d bytes unusable, want the end %v and 2 bytes",
					i, what, h, interrupted, unusable, m.end)
			}
			if got := scanned(t, r, history.Scan{Bodies: true}); !reflect.DeepEqual(got, m.records) {
				t.Errorf("mark %d, %s: got %d records, want %d: %s",
					i, what, len(got), len(m.records), differing(m.records, got))
			}
			gaps, err := r.Gaps(t.Context(), nil, time.Time{}, time.Time{})
			if err != nil || !slices.Equal(gaps, m.gaps) {
				t.Errorf("mark %d, %s: got gaps %v, error %v, want %v", i, what, gaps, err, m.gaps)
			}
			if all, err := r.Resources(t.Context()); err != nil || !reflect.DeepEqual(all, podsSeen()) {
				t.Errorf("mark %d, %s: got resources %v, error %v, want %v", i, what, all, err, podsSeen())
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
				t.Errorf("got the files %v, error %v, want none left", left, err)
			}
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpen_RejectsJournalWithoutMark(t *testing.T) {
	file, marks := written(t)
	checkRejected(t, "only a magic", []byte(archive.JournalMagic), "before anything was recorded")
	checkRejected(t, "no mark", file[:marks[0].size-1], "before anything was recorded")
	checkRejected(t, "part of the magic", file[:5], "not an export")
	damaged := bytes.Clone(file)
	damaged[len(archive.JournalMagic)+20] ^= 1
	checkRejected(t, "damaged before the first mark", damaged, "damaged")
	newer := bytes.NewBuffer(nil)
	newer.WriteString(archive.JournalMagic)
	if err := readError(t, struct{ io.Reader }{newer}); history.CodeOf(err) != history.Invalid {
		t.Errorf("a pipe: got error %v, want an invalid one", err)
	}
}

// failing is a writer that fails once a number of bytes were written.
type failing struct {
	bytes.Buffer

	left int
}

// Write implements [io.Writer].
func (f *failing) Write(b []byte) (int, error) {
	n := min(f.left, len(b))
	f.left -= n
	_, _ = f.Buffer.Write(b[:n])
	if n < len(b) {
		return n, errors.New("the disk is full")
	}
	return n, nil
}

func TestJournal_StaysValidAfterFailedWrite(t *testing.T) {
	f := &failing{left: 700}
	j, err := archive.NewJournal(f, archive.Header{Start: begin(), Created: begin()})
	if err != nil {
		t.Fatal(err)
	}
	appended := 0
	for err == nil {
		r := version("pods", "web", history.Update)
		r.Time, r.Revision = second(appended), uint64(appended+1)
		err = j.Append(&history.Excerpt{
			Extent: history.Extent{End: r.Time.Add(1)}, Catalogue: podsSeen(), Records: each(r),
		})
		if err == nil {
			appended++
		}
	}
	if again := j.Append(&history.Excerpt{}); again == nil || again.Error() != err.Error() {
		t.Errorf("after an error: got %v, want %v", again, err)
	}
	_, records, _, readErr := archive.ReadJournal(bytes.NewReader(f.Bytes()), t.TempDir())
	if readErr != nil || len(records) != appended || appended == 0 {
		t.Errorf("got %d records, error %v, want %d", len(records), readErr, appended)
	}
}

// FuzzJournal reads arbitrary frames of a journal, as FuzzFrames does.
func FuzzJournal(f *testing.F) {
	var b []byte
	for _, p := range []part{
		{'H', `{"format":1,"start":"2021-01-02T12:00:00Z"}`},
		{'C', `null`},
		{'U', `[]`},
		{'G', "\x0d\x00\x04pods\x01\x02\x00\x00\x01r\x00"},
		{'V', entries(sampleVersion())},
		{'T', "\x01\x02\x00"},
		{'V', entries(sampleVersion())},
	} {
		b = append(append(b, p.kind, byte(len(p.payload)>>8), byte(len(p.payload))), p.payload...)
	}
	if records, err := archive.ReadJournalFrames(frames(b)); err != nil || len(records) != 1 {
		f.Fatalf("got %d records, error %v, want 1", len(records), err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if records, err := archive.ReadJournalFrames(frames(b)); err != nil && records != nil {
			t.Errorf("got %d records with the error %v, want none", len(records), err)
		}
	})
}

// TestFormat_FixturesAreRead reads files that earlier versions of this program
// wrote. With -update, it adds those of this version.
func TestFormat_FixturesAreRead(t *testing.T) {
	file, marks := written(t)
	last := marks[len(marks)-1]
	var export bytes.Buffer
	if _, err := archive.Write(&export, &history.Excerpt{
		Extent:    history.Extent{Start: begin(), End: last.end},
		Catalogue: podsSeen(), Unrecorded: unseen(), Watched: "shop",
		Gaps: last.gaps, Baselines: each(), Records: each(last.records...),
	}, "a test", begin(), nil); err != nil {
		t.Fatal(err)
	}
	for name, current := range map[string][]byte{"journal-1": file, "export-1": export.Bytes()} {
		path := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(path, current, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		r := read(t, kept)
		h := r.Header()
		interrupted, _ := r.Interrupted()
		if !h.Start.Equal(begin()) || !h.End.Equal(last.end) || h.Watched != "shop" ||
			!reflect.DeepEqual(h.Unrecorded, unseen()) || interrupted != strings.HasPrefix(name, "journal") {
			t.Errorf("%s: got header %+v, interrupted %t", name, h, interrupted)
		}
		if got := scanned(t, r, history.Scan{Bodies: true}); !reflect.DeepEqual(got, last.records) {
			t.Errorf("%s: got %d records, want %d: %s", name, len(got), len(last.records), differing(last.records, got))
		}
		gaps, err := r.Gaps(t.Context(), nil, time.Time{}, time.Time{})
		if err != nil || !slices.Equal(gaps, last.gaps) {
			t.Errorf("%s: got gaps %v, error %v, want %v", name, gaps, err, last.gaps)
		}
	}
}
