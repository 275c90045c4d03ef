package api

import (
	"cmp"
	"context"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"

	"github.com/klauspost/compress/flate"
)

const (
	// minCompressed is the size, in bytes, from which answers are compressed.
	minCompressed = 2048
	// maxHeld is how much of an answer is held until it is sent, in bytes after
	// compression. An answer that is larger is computed in several segments.
	maxHeld = 1 << 20
	// inflateBytes is the memory, in bytes, of decompressing an answer for a
	// client that does not accept gzip.
	inflateBytes = 96 << 10
)

// answer is an answer to a query. It is computed into memory, in compressed
// form, while the query has a slot, and sent when it has not. So a client that
// reads slowly takes memory, which is bounded, and nothing else.
//
// The body is a sequence of segments. rest computes the next one after the
// previous one has been sent. A segment begins a new deflate stream, so that no
// compressor is kept in between. A gzip body joins the streams.
//
// It must be used by one goroutine. The caller must close it.
type answer struct {
	header http.Header
	status int
	// rest writes the next segment, until the answer is full. It reports
	// whether the answer is complete. It is nil if no segment follows.
	rest func(ctx context.Context) (complete bool, err error)

	secrets map[string]bool // "namespace/name" of Secrets in the body, for the audit log

	memory *memory
	client string
	gzip   bool // the client accepts it

	plain    []byte        // the body, as long as it is shorter than minCompressed
	deflater *flate.Writer // of the segment that is being computed; otherwise nil
	packed   bool          // the body is in blocks, and not in plain
	blocks   []*[blockBytes]byte
	free     int       // bytes in the last block
	taken    int       // bytes of memory
	short    bool      // whether no memory was left for a block
	size     int       // bytes written
	sum      uint32    // checksum of the bytes written
	hash     hash.Hash // of the bytes written, for an ETag; nil: the answer gets none
}

// newAnswer returns an empty answer, or a [refusal] if no memory is left.
func newAnswer(m *memory, client string, gzip bool) (*answer, error) {
	a := &answer{header: http.Header{}, memory: m, client: client, gzip: gzip}
	if err := m.take(client, blockBytes); err != nil {
		return nil, err
	}
	a.taken = blockBytes
	return a, nil
}

// Header implements [http.ResponseWriter].
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements [http.ResponseWriter].
func (a *answer) WriteHeader(status int) { a.status = status }

// Write implements [http.ResponseWriter]. It never fails. A caller that can
// continue later should stop once the answer is full.
func (a *answer) Write(p []byte) (int, error) {
	a.size += len(p)
	a.sum = crc32.Update(a.sum, crc32.IEEETable, p)
	if a.hash != nil {
		_, _ = a.hash.Write(p) // never fails
	}
	if !a.packed && len(a.plain)+len(p) < minCompressed {
		a.plain = append(a.plain, p...)
		return len(p), nil
	}
	if a.deflater == nil {
		a.deflater = a.memory.deflater(blockWriter{a})
	}
	if !a.packed {
		a.packed = true
		_, _ = a.deflater.Write(a.plain) // a blockWriter does not fail
		a.plain = nil
	}
	_, _ = a.deflater.Write(p)
	return len(p), nil
}

// blockWriter writes compressed bytes into an answer's blocks.
type blockWriter struct{ *answer }

// Write implements [io.Writer]. It never fails. If no memory is left, the
// answer is full, but has all of p.
func (w blockWriter) Write(p []byte) (int, error) {
	a := w.answer
	for rest := p; len(rest) > 0; {
		if a.free == 0 {
			a.addBlock()
		}
		last := a.blocks[len(a.blocks)-1]
		n := copy(last[blockBytes-a.free:], rest)
		rest, a.free = rest[n:], a.free-n
	}
	return len(p), nil
}

// addBlock adds an empty block. The answer has the memory of one block from the
// start.
func (a *answer) addBlock() {
	if have := len(a.blocks) * blockBytes; have == a.taken {
		if a.memory.take(a.client, blockBytes) != nil {
			a.short = true
			a.memory.exceed(a.client, blockBytes)
		}
		a.taken += blockBytes
	}
	a.blocks, a.free = append(a.blocks, a.memory.block()), blockBytes
}

// full reports whether the segment should end.
func (a *answer) full() bool { return a.short || len(a.blocks)*blockBytes-a.free >= maxHeld }

// endSegment completes the segment. Each segment of a body that is sent
// without compression is a complete deflate stream.
func (a *answer) endSegment() {
	if a.deflater == nil {
		return
	}
	if a.gzip {
		_ = a.deflater.Flush()
	} else {
		_ = a.deflater.Close()
	}
	a.memory.putDeflater(a.deflater)
	a.deflater = nil
}

// discard removes the body, so that an error can be written instead.
func (a *answer) discard() {
	a.endSegment()
	a.plain, a.packed, a.short, a.size, a.sum, a.hash = nil, false, false, 0, 0, nil
	a.drop(len(a.blocks))
}

// close returns the memory.
func (a *answer) close() {
	a.endSegment()
	a.drop(len(a.blocks))
	a.memory.give(a.client, a.taken)
	a.taken = 0
}

// validate gives an answer whose body is complete a strong ETag: the hash of
// the body and of next, the cursor of the next page. If the client has such a
// body, the answer becomes a 304 without one. The hash must be set before the
// body is written. Clients may store the answer for themselves only, and must
// ask again each time, because rights may change.
//
// A hash of the bytes is right whatever the answer depends on: the caller's
// rights, the retention, or the version of the recorder. It costs about a
// quarter of their compression, so only answers that may be final are hashed.
// An answer that is computed in several segments has no ETag: its headers are
// sent before the whole body is known.
func (a *answer) validate(r *http.Request, next string) {
	_, _ = io.WriteString(a.hash, next)
	tag := tagOf(a.hash.Sum(nil))
	a.header.Set(headerTag, `"`+tag+`"`)
	a.header.Set(headerCache, cachePrivately)
	if !hasTag(r.Header.Values("If-None-Match"), tag) {
		return
	}
	if a.packed && a.gzip { // as in begin, for the body that the client has
		a.header.Set(headerTag, `"`+tag+gzipTagSuffix+`"`)
	}
	a.discard()
	a.header.Del(headerType)
	a.status = http.StatusNotModified
}

// contains notes that a Secret's history is in the answer.
func (a *answer) contains(secret string) {
	if a.secrets == nil {
		a.secrets = map[string]bool{}
	}
	a.secrets[secret] = true
}

// drop returns the memory of the first blocks, except for one.
func (a *answer) drop(n int) {
	for _, b := range a.blocks[:n] {
		a.memory.putBlock(b)
	}
	if a.blocks = a.blocks[n:]; len(a.blocks) == 0 {
		a.blocks, a.free = nil, 0
	}
	if unused := a.taken - max(len(a.blocks), 1)*blockBytes; unused > 0 {
		a.memory.give(a.client, unused)
		a.taken -= unused
	}
}

// The frame of a gzip body.
const (
	gzipHeader = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff" // deflate, no time, fastest, unknown system
	// deflateEnd is an empty last block.
	deflateEnd = "\x01\x00\x00\xff\xff"
)

// begin sends the headers.
func (a *answer) begin(w http.ResponseWriter) {
	header := w.Header()
	maps.Copy(header, a.header)
	header.Add("Vary", "Accept-Encoding")
	if a.packed && a.gzip {
		header.Set("Content-Encoding", "gzip")
		if tag := header.Get(headerTag); tag != "" { // compressed bytes are another representation
			header.Set(headerTag, strings.TrimSuffix(tag, `"`)+gzipTagSuffix+`"`)
		}
	}
	w.WriteHeader(cmp.Or(a.status, http.StatusOK))
	if a.packed && a.gzip {
		_, _ = io.WriteString(w, gzipHeader) // an error is returned again by the next write
	}
}

// sendSegment sends the segment and returns its memory, block by block. An
// error means that the client has disconnected.
func (a *answer) sendSegment(w io.Writer) error {
	a.short = false
	switch {
	case !a.packed:
		_, err := w.Write(a.plain)
		return err
	case a.gzip:
		_, err := io.Copy(w, &blockReader{answer: a})
		return err
	}
	a.memory.exceed(a.client, inflateBytes)
	defer a.memory.give(a.client, inflateBytes)
	plain := flate.NewReader(&blockReader{answer: a})
	_, err := io.Copy(w, plain)
	return err
}

// end sends the end of the body.
func (a *answer) end(w io.Writer) error {
	if !a.packed || !a.gzip {
		return nil
	}
	tail := []byte(deflateEnd)
	tail = binary.LittleEndian.AppendUint32(tail, a.sum)
	tail = binary.LittleEndian.AppendUint32(tail, uint32(a.size)) // modulo 2^32, as gzip defines it
	_, err := w.Write(tail)
	return err
}

// blockReader reads an answer's blocks and drops each one after it.
type blockReader struct {
	*answer

	at int // in the first block
}

// left returns what is not read of the first block, if there is one.
func (r *blockReader) left() []byte {
	switch len(r.blocks) {
	case 0:
		return nil
	case 1:
		return r.blocks[0][r.at : blockBytes-r.free]
	default:
		return r.blocks[0][r.at:]
	}
}

// next drops the first block if it was read.
func (r *blockReader) next() {
	if len(r.blocks) > 0 && len(r.left()) == 0 {
		r.drop(1)
		r.at = 0
	}
}

// Read implements [io.Reader].
func (r *blockReader) Read(p []byte) (int, error) {
	n := copy(p, r.left())
	r.at += n
	r.next()
	if n == 0 && len(r.blocks) == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// ReadByte implements [io.ByteReader]. So a decompressor reads without a buffer
// of its own.
func (r *blockReader) ReadByte() (byte, error) {
	if left := r.left(); len(left) > 1 {
		r.at++
		return left[0], nil
	}
	var b [1]byte
	n, err := r.Read(b[:])
	if n == 0 {
		return 0, err
	}
	return b[0], nil
}

// WriteTo implements [io.WriterTo].
func (r *blockReader) WriteTo(w io.Writer) (total int64, err error) {
	for len(r.blocks) > 0 && err == nil {
		var n int
		n, err = w.Write(r.left())
		total += int64(n)
		r.at += n
		r.next()
	}
	return total, err
}

// acceptsGzip reports whether a request accepts gzip.
func acceptsGzip(r *http.Request) bool {
	accepted := false
	for _, header := range r.Header.Values("Accept-Encoding") {
		for entry := range strings.SplitSeq(header, ",") {
			coding, parameter, _ := strings.Cut(entry, ";")
			quality, hasQuality := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(parameter), " ", ""), "q=")
			q, err := strconv.ParseFloat(quality, 64)
			wanted := !hasQuality || err == nil && q > 0
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return wanted
			case "*":
				accepted = wanted
			}
		}
	}
	return accepted
}
