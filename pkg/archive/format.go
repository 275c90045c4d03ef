package archive

import (
	"errors"
	"fmt"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/binval"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// magic is what an export begins with.
const magic = "watchhistory export\n"

// format is the version of the layout.
const format = 1

// The kinds of an export's frames, in the order in which they come.
const (
	headerFrame    = 'H' // once
	catalogueFrame = 'C' // once
	gapFrame       = 'G' // any number of times, as the next two
	standingFrame  = 'S'
	versionFrame   = 'V'
	footerFrame    = 'F' // once
)

// Header says what an export is of.
type Header struct {
	Format    int       `json:"format"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`                 // exclusive
	Resources []string  `json:"resources,omitempty"` // "plural" or "plural.group"; none: all
	Namespace string    `json:"namespace,omitempty"` // as in [history.Extent]
	Created   time.Time `json:"created"`
	MadeBy    string    `json:"madeBy"` // a program and its version
}

// Counts are the numbers of what an export holds.
type Counts struct {
	Gaps      int64 `json:"gaps"`
	Baselines int64 `json:"standing"` // versions that stood when the range begins
	Versions  int64 `json:"versions"` // those of the range
}

// refused says in the user's words why a file can't be read.
func refused(err error) error {
	switch {
	case errors.Is(err, container.ErrForeign):
		return history.Errorf(history.Invalid, "it is no export of watchhistory-recorder")
	case errors.Is(err, container.ErrTruncated), errors.Is(err, container.ErrCorrupt), errors.Is(err, binval.ErrCorrupt):
		return history.Errorf(history.Invalid, "it is damaged (%v): use another copy of it, or export again", err)
	default:
		return fmt.Errorf("read the export: %w", err)
	}
}

// checkFormat refuses what a newer program made.
func checkFormat(h *Header) error {
	if h.Format > format {
		return history.Errorf(history.Invalid, "it has format %d, and this program knows formats up to %d: use a newer one", h.Format, format)
	}
	if h.Format < 1 || !h.Start.Before(h.End) {
		return binval.Corrupt("header")
	}
	return nil
}
