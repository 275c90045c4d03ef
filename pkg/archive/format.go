package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// magic is the beginning of an export.
const magic = "watchhistory export\n"

// journalMagic is the beginning of a journal.
const journalMagic = "watchhistory journal\n"

// The versions of the file formats.
const (
	format        = 1 // of exports
	journalFormat = 1
)

// The kinds of frames, in the order of an export.
const (
	headerFrame    = 'H' // once
	catalogueFrame = 'C' // once
	gapFrame       = 'G' // any number, like the next two
	baselineFrame  = 'S'
	versionFrame   = 'V'
	footerFrame    = 'F' // once
)

// The kinds of frames that only journals have. A journal begins with a header,
// and has catalogues, gaps and versions in any order between its marks.
const (
	unrecordedFrame = 'U' // replaces the earlier ones, as a catalogue does
	markFrame       = 'T'
)

// Header describes the extent of an export or of a journal. In the file, that
// of a journal has neither an end nor unrecorded resources.
type Header struct {
	Format    int       `json:"format"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`                 // exclusive
	Resources []string  `json:"resources,omitempty"` // "plural" or "plural.group"; empty: all
	Namespace string    `json:"namespace,omitempty"` // as in [history.Extent]
	// Cluster, Watched and Unrecorded are those of [history.Excerpt].
	Cluster    types.UID                    `json:"cluster,omitempty"`
	Watched    string                       `json:"watched,omitempty"`
	Unrecorded []history.UnrecordedResource `json:"unrecorded,omitempty"`

	Created time.Time `json:"created"`
	MadeBy  string    `json:"madeBy"` // a program and its version
}

// Counts are the numbers of entries in an export. They are the footer's
// payload, so a reader detects missing entries.
type Counts struct {
	Gaps      int64 `json:"gaps"`
	Baselines int64 `json:"standing"` // the newest versions before the range
	Versions  int64 `json:"versions"` // versions of the range
}

// readError returns a [history.Invalid] error if a file is not an export or is
// damaged. Other errors are errors of reading.
func readError(err error) error {
	switch {
	case errors.Is(err, container.ErrForeign):
		return history.Errorf(history.Invalid, "not an export of watchhistory-recorder, and not a recording")
	case errors.Is(err, container.ErrTruncated), errors.Is(err, container.ErrCorrupt),
		errors.Is(err, binval.ErrCorrupt):
		return history.WithHint(history.Errorf(history.Invalid, "damaged (%v)", err),
			"Use another copy or export again.")
	default:
		return fmt.Errorf("read export: %w", err)
	}
}

// checkHeader rejects an export of another format, or without a valid range.
func checkHeader(h *Header) error {
	// The rest of a header of another format may have another meaning.
	if h.Format >= 1 && h.Format != format {
		return history.Errorf(history.Invalid,
			"export format %d is not supported: this program reads format %d", h.Format, format)
	}
	if h.Format < 1 || !h.Start.Before(h.End) {
		return binval.Corrupt("header")
	}
	return nil
}

// checkJournalHeader rejects a journal of another format, or without a start.
func checkJournalHeader(h *Header) error {
	if h.Format >= 1 && h.Format != journalFormat {
		return history.Errorf(history.Invalid,
			"recording format %d is not supported: this program reads format %d", h.Format, journalFormat)
	}
	if h.Format < 1 || h.Start.IsZero() {
		return binval.Corrupt("header")
	}
	return nil
}

// flagOnset is an additional flag of a version whose class is history.Onset.
const flagOnset = 1 << 6

// appendVersion appends an encoded version. The object comes last, and extends
// to the end of the entry.
func appendVersion(b []byte, r *history.Record) []byte {
	flags := binval.Flags(r)
	if r.Class == history.Onset {
		flags |= flagOnset
	}
	b = append(b, flags)
	b = binary.AppendUvarint(binval.AppendTime(b, r.Time), r.Revision)
	b = binval.AppendText(binval.AppendText(b, r.Ref.Group), r.Ref.Resource)
	b = binval.AppendText(binval.AppendText(binval.AppendText(b, r.Ref.Namespace), r.Ref.Name), r.Ref.UID)
	b = binval.AppendText(binval.AppendText(binval.AppendText(b, r.Version), r.Kind), r.RV)
	return append(binval.AppendAttributes(b, r), r.Object...)
}

// decodeVersion is the inverse of appendVersion. The record does not share
// memory with b.
func decodeVersion(b []byte) (*history.Record, error) {
	r, rec := binval.NewReader(b), &history.Record{}
	flags, onset := r.FlagsWith(rec, flagOnset)
	if onset {
		rec.Class = history.Onset
	}
	rec.Time, rec.Revision = requiredTime(r), r.Uvarint()
	rec.Ref = history.ObjectRef{
		Group: r.Text(), Resource: r.Text(), Namespace: r.Text(), Name: r.Text(), UID: types.UID(r.Text()),
	}
	rec.Version, rec.Kind, rec.RV = r.Text(), r.Text(), r.Text()
	r.Attributes(rec, flags)
	if object := r.Rest(); len(object) > 0 {
		rec.Object = append([]byte(nil), object...)
	}
	return rec, r.Err()
}

// requiredTime reads a time that must not be zero.
func requiredTime(r *binval.Reader) time.Time {
	t := r.Time()
	if t.IsZero() {
		r.Fail("missing time")
	}
	return t
}

// appendGap appends an encoded gap. Unlike in the database, it contains the
// resource and the start.
func appendGap(b []byte, g *history.Gap) []byte {
	b = binval.AppendText(binval.AppendText(b, g.Group), g.Resource)
	b = binval.AppendTime(binval.AppendTime(b, g.Start), g.End)
	return binval.AppendText(binval.AppendText(b, g.Reason), g.Detail)
}

// decodeGap is the inverse of appendGap.
func decodeGap(b []byte) (history.Gap, error) {
	r := binval.NewReader(b)
	g := history.Gap{
		Group: r.Text(), Resource: r.Text(), Start: requiredTime(r), End: r.Time(),
		Reason: history.GapReason(r.Text()), Detail: r.Text(),
	}
	return g, r.Done()
}
