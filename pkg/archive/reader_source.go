package archive

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// maxEntry bounds the length of an entry in bytes. The largest recorded object
// has 64 MiB.
const maxEntry = 80 << 20

// source reads an export. The iterators of its excerpt read the file, so they
// must be used once and in their order. It must be used by one goroutine.
type source struct {
	header   Header
	excerpt  history.Excerpt
	counts   Counts
	r        frames
	progress Progress
	in       countingReader

	kind    byte   // of the next frame, if peeked; 0: the end
	payload []byte // of that frame
	peeked  bool   // the next frame was read, and not consumed yet
	buf     []byte // encoded entries; those before off were returned
	off     int
}

// frames is implemented by [container.Reader].
type frames interface {
	Next() (kind byte, payload []byte, err error)
}

// countingReader counts the bytes that are read.
type countingReader struct {
	r io.Reader
	n int64
}

// Read reads and counts.
func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

// newSource reads the parts of an export before the versions. The caller must
// call done.
func newSource(in io.Reader, progress Progress) (s *source, done func(), err error) {
	s = &source{in: countingReader{r: in}, progress: progress}
	r, err := container.NewReader(&s.in, magic)
	if err != nil {
		return nil, nil, err
	}
	s.r = r
	if err := s.begin(); err != nil {
		r.Close()
		return nil, nil, err
	}
	return s, r.Close, nil
}

// begin reads the header, the catalogue and the gaps.
func (s *source) begin() error {
	if err := s.document(headerFrame, &s.header); err != nil {
		return err
	}
	if err := checkHeader(&s.header); err != nil {
		return err
	}
	e := &s.excerpt
	e.Start, e.End = s.header.Start.UTC(), s.header.End.UTC()
	e.Namespace = history.ParseNamespaceScope(s.header.Namespace)
	for _, name := range s.header.Resources {
		e.Resources = append(e.Resources, schema.ParseGroupResource(name))
	}
	if err := s.document(catalogueFrame, &e.Catalogue); err != nil {
		return err
	}
	gaps, err := s.readGaps(nil)
	if err != nil {
		return err
	}
	e.Gaps = gaps
	s.counts.Gaps = int64(len(e.Gaps))
	e.Baselines = s.versions(baselineFrame, &s.counts.Baselines, nil)
	e.Records = s.versions(versionFrame, &s.counts.Versions, s.end)
	return nil
}

// versions yields the versions in the frames of a kind. It calls then after the
// last one, unless then is nil.
func (s *source) versions(kind byte, n *int64, then func() error) iter.Seq2[*history.Record, error] {
	return func(yield func(*history.Record, error) bool) {
		for {
			rec, err := s.version(kind)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				yield(nil, err)
				return
			}
			*n++
			if s.progress != nil {
				s.progress(s.counts.Baselines+s.counts.Versions, s.in.n)
			}
			if !yield(rec, nil) {
				return
			}
		}
		if then == nil {
			return
		}
		if err := then(); err != nil {
			yield(nil, err)
		}
	}
}

// version returns the next version of the frames of a kind, or [io.EOF].
func (s *source) version(kind byte) (*history.Record, error) {
	b, err := s.entry(kind)
	if err != nil {
		return nil, err
	}
	return decodeVersion(b)
}

// end reads the footer, and checks that all entries were read and nothing
// follows.
func (s *source) end() error {
	var want Counts
	if err := s.document(footerFrame, &want); err != nil {
		return err
	}
	if want != s.counts {
		return binval.Corrupt("number of entries")
	}
	if err := s.peek(); err != nil {
		return err
	}
	if s.kind != 0 {
		return binval.Corrupt("frame after the footer")
	}
	return nil
}

// peek reads the next frame, unless that is read already.
func (s *source) peek() error {
	if s.peeked {
		return nil
	}
	kind, payload, err := s.r.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	s.kind, s.payload, s.peeked = kind, payload, true
	return nil
}

// document reads the next frame, which must be of a kind, into a JSON document.
func (s *source) document(kind byte, into any) error {
	if err := s.peek(); err != nil {
		return err
	}
	if s.kind != kind {
		return binval.Corrupt("order of frames")
	}
	s.peeked = false
	if err := json.Unmarshal(s.payload, into); err != nil {
		return fmt.Errorf("%w: %w", binval.ErrCorrupt, err)
	}
	return nil
}

// entry returns the next entry of the frames of a kind. It is valid until the
// next call. The error is [io.EOF] if a frame of another kind follows.
func (s *source) entry(kind byte) ([]byte, error) {
	for {
		rest := s.buf[s.off:]
		length, n := binary.Uvarint(rest)
		if n < 0 || length > maxEntry {
			return nil, binval.Corrupt("length of an entry")
		}
		if end := n + int(length); n > 0 && end <= len(rest) {
			s.off += end
			return rest[n:end], nil
		}
		more, err := s.fill(kind)
		switch {
		case err != nil:
			return nil, err
		case !more && len(rest) > 0:
			return nil, binval.Corrupt("end of an entry")
		case !more:
			return nil, io.EOF
		}
	}
}

// fill appends the next frame's payload to the buffer, and removes the entries
// that were returned. It returns false if the frame is of another kind.
func (s *source) fill(kind byte) (bool, error) {
	if err := s.peek(); err != nil || s.kind != kind {
		return false, err
	}
	s.peeked = false
	s.buf = append(s.buf[:copy(s.buf, s.buf[s.off:])], s.payload...)
	s.off = 0
	return true, nil
}
