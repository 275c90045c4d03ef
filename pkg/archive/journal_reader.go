package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"slices"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// opened is a file that is about to be imported.
type opened struct {
	*source

	interrupted bool  // the file is a journal
	unusable    int64 // bytes after the last intact mark of a journal
	done        func()
}

// openSource opens an export or a journal. A journal is read twice, so one that
// can't seek is copied to a temporary file in dir. The caller must call done.
func openSource(file io.Reader, dir string, progress Progress) (*opened, error) {
	begin := make([]byte, len(journalMagic))
	n, err := io.ReadFull(file, begin)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if string(begin[:n]) == journalMagic {
		return openJournal(file, begin, dir, progress)
	}
	s, done, err := newSource(io.MultiReader(bytes.NewReader(begin[:n]), file), progress)
	if err != nil {
		return nil, err
	}
	return &opened{source: s, done: done}, nil
}

// openJournal opens a journal whose magic was read.
func openJournal(file io.Reader, begin []byte, dir string, progress Progress) (_ *opened, err error) {
	seeker, closeFile, err := seekable(file, begin, dir)
	if err != nil {
		return nil, err
	}
	o := &opened{source: &source{progress: progress}, interrupted: true, done: closeFile}
	defer func() {
		if err != nil {
			o.done()
		}
	}()
	start, err := seeker.Seek(0, io.SeekCurrent)
	if err != nil {
		return nil, err
	}
	end, err := seeker.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	// A recording that is running appends to the file meanwhile.
	whole := io.NewSectionReader(readerAt{seeker}, start, end-start)
	found, err := scanJournal(whole)
	if err != nil {
		return nil, err
	}
	o.unusable = end - start - found.size
	if _, err := whole.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	o.in = countingReader{r: bufio.NewReader(whole)}
	r, err := container.NewReader(&o.in, journalMagic)
	if err != nil {
		return nil, err
	}
	o.done = func() { r.Close(); closeFile() }
	found.fill(o.source)
	o.r = &versionFrames{r: r, left: found.frames}
	o.excerpt.Records = o.versions(versionFrame, &o.counts.Versions, nil)
	return o, nil
}

// seekable returns a file from its beginning. If it can't seek, it is copied to
// a temporary file in dir, which closeFile removes.
func seekable(file io.Reader, begin []byte, dir string) (_ io.ReadSeeker, closeFile func(), err error) {
	if s, ok := file.(io.ReadSeeker); ok {
		if _, err := s.Seek(-int64(len(begin)), io.SeekCurrent); err == nil {
			return s, func() {}, nil
		}
	}
	spool, err := os.CreateTemp(dir, "watchhistory-export-*")
	if err != nil {
		return nil, nil, err
	}
	closeFile = func() { _, _ = spool.Close(), os.Remove(spool.Name()) }
	_, err = io.Copy(spool, io.MultiReader(bytes.NewReader(begin), file))
	if err == nil {
		_, err = spool.Seek(0, io.SeekStart)
	}
	if err != nil {
		closeFile()
		return nil, nil, err
	}
	return spool, closeFile, nil
}

// readerAt reads a file at offsets, by one goroutine.
type readerAt struct{ io.ReadSeeker }

// ReadAt implements [io.ReaderAt].
func (r readerAt) ReadAt(b []byte, offset int64) (int, error) {
	if _, err := r.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	return io.ReadFull(r, b)
}

// journalState is what a journal contains up to a mark, without its versions.
type journalState struct {
	header     Header
	end        time.Time
	catalogue  []history.Resource
	unrecorded []history.UnrecordedResource
	gaps       map[gapKey]history.Gap

	frames int   // up to the mark
	size   int64 // the same in bytes
}

// fill copies the state to the source of an import.
func (f *journalState) fill(s *source) {
	s.header = f.header
	s.header.End, s.header.Unrecorded = f.end, f.unrecorded
	e := &s.excerpt
	e.Start, e.End, e.Catalogue = f.header.Start.UTC(), f.end, f.catalogue
	for _, g := range f.gaps {
		if g.Open() || g.Start.Before(g.End) {
			e.Gaps = append(e.Gaps, g)
		}
	}
	slices.SortFunc(e.Gaps, func(a, b history.Gap) int {
		return cmp.Or(a.Start.Compare(b.Start), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Resource, b.Resource))
	})
	s.counts.Gaps = int64(len(e.Gaps))
	e.Baselines = func(func(*history.Record, error) bool) {}
}

// scanJournal reads a journal, and returns its state at the last intact mark.
// What follows that mark is not used: it was being written when the recording
// was interrupted, or it is damaged.
func scanJournal(file io.Reader) (*journalState, error) {
	s := &source{in: countingReader{r: bufio.NewReader(file)}}
	r, err := container.NewReader(&s.in, journalMagic)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return scanFrames(s, r)
}

// scanFrames is scanJournal after the magic.
func scanFrames(s *source, r frames) (*journalState, error) {
	counted := &countedFrames{r: r}
	s.r = counted
	state := &journalState{gaps: map[gapKey]history.Gap{}}
	err := state.scan(s, counted)
	switch {
	case state.frames > 0 && (errors.Is(err, container.ErrTruncated) || errors.Is(err, container.ErrCorrupt)):
		return state, nil
	case errors.Is(err, container.ErrTruncated):
		return nil, history.Errorf(history.Invalid, "the recording was interrupted before anything was recorded")
	default:
		return nil, err
	}
}

// scan reads the frames until one can't be read, and never returns nil. After
// it, the state is that of the last mark.
func (f *journalState) scan(s *source, read *countedFrames) error {
	if err := s.document(headerFrame, &f.header); err != nil {
		return err
	}
	if err := checkJournalHeader(&f.header); err != nil {
		return err
	}
	next := *f // after the last mark
	var gaps []history.Gap
	for {
		if err := s.peek(); err != nil {
			return err
		}
		var err error
		switch s.kind {
		case catalogueFrame:
			next.catalogue = nil
			err = s.document(catalogueFrame, &next.catalogue)
		case unrecordedFrame:
			next.unrecorded = nil
			err = s.document(unrecordedFrame, &next.unrecorded)
		case gapFrame:
			gaps, err = s.readGaps(gaps)
		case versionFrame:
			s.peeked = false
		case markFrame:
			next.frames, next.size = read.n, s.in.n
			if next.end, err = mark(s); err != nil {
				return err
			}
			for _, g := range gaps {
				next.gaps[gapKey{g.GroupResource(), g.Start}] = g
			}
			gaps = nil
			*f = next
		case 0:
			return binval.Corrupt("end of a recording")
		default:
			return binval.Corrupt("kind of a frame")
		}
		if err != nil {
			return err
		}
	}
}

// mark returns the time of the next frame, which is a mark.
func mark(s *source) (time.Time, error) {
	s.peeked = false
	r := binval.NewReader(s.payload)
	t := requiredTime(r)
	return t, r.Done()
}

// readGaps appends the gaps of the following frames.
func (s *source) readGaps(gaps []history.Gap) ([]history.Gap, error) {
	for {
		b, err := s.entry(gapFrame)
		if errors.Is(err, io.EOF) {
			return gaps, nil
		}
		if err != nil {
			return nil, err
		}
		g, err := decodeGap(b)
		if err != nil {
			return nil, err
		}
		gaps = append(gaps, g)
	}
}

// countedFrames counts the frames that were read.
type countedFrames struct {
	r frames
	n int
}

// Next implements frames.
func (c *countedFrames) Next() (byte, []byte, error) {
	kind, payload, err := c.r.Next()
	if err == nil {
		c.n++
	}
	return kind, payload, err
}

// versionFrames returns the version frames among the first frames of a journal,
// and then [io.EOF].
type versionFrames struct {
	r    frames
	left int // frames to read
}

// Next implements frames.
func (v *versionFrames) Next() (byte, []byte, error) {
	for v.left > 0 {
		v.left--
		if kind, payload, err := v.r.Next(); err != nil || kind == versionFrame {
			return kind, payload, err
		}
	}
	return 0, nil, io.EOF
}
