package backup

import (
	"encoding/json"
	"io"

	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// frameSize is the number of bytes of entries after which a frame is written.
const frameSize = 512 << 10

// Writer writes a backup. It is not safe for concurrent use. After an error the
// file is not a backup, and [Open] or [Reader.Entries] rejects it.
type Writer struct {
	w        *container.Writer
	progress Progress
	frame    []byte // entries that are not written yet
	entries  uint64
}

// NewWriter begins a backup with its header. progress may be nil. The caller
// ends the backup with [Writer.Finish].
func NewWriter(w io.Writer, h Header, progress Progress) (*Writer, error) {
	c, err := container.NewWriter(w, magic)
	if err != nil {
		return nil, err
	}
	b := &Writer{w: c, progress: progress}
	return b, b.document(headerFrame, h)
}

// Add appends an entry. It copies the key and the value.
func (w *Writer) Add(k, v []byte, expires uint64) error {
	w.frame = AppendEntry(w.frame, k, v, expires)
	if w.entries++; len(w.frame) < frameSize {
		return nil
	}
	return w.flush()
}

// Finish writes the remaining entries and the footer. It does not close the
// underlying writer. days is the list of [Footer.Days].
func (w *Writer) Finish(days []uint16) error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.document(footerFrame, Footer{Entries: w.entries, Days: days}); err != nil {
		return err
	}
	return w.w.Close()
}

// flush writes the pending entries as a frame.
func (w *Writer) flush() error {
	if len(w.frame) == 0 {
		return nil
	}
	if err := w.w.Write(entriesFrame, w.frame); err != nil {
		return err
	}
	w.frame = w.frame[:0]
	if w.progress != nil {
		w.progress(int64(w.entries), w.w.Size())
	}
	return nil
}

// document writes a frame with a JSON document.
func (w *Writer) document(kind byte, of any) error {
	payload, err := json.Marshal(of)
	if err != nil {
		return err
	}
	return w.w.Write(kind, payload)
}
