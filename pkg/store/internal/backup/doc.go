// Package backup reads and writes the file format of backups.
//
// A backup is a [container] with a header, entries, and a footer. An entry is a
// key of the database with its expiry and value. A complete backup contains
// all entries. An incremental one contains what was committed after the
// position of an earlier backup. docs/storage-format.md describes the format
// byte by byte.
//
// Invariant: [Reader.Entries] succeeds only if it read exactly what a [Writer]
// wrote, up to the end.
//
// The package does not interpret the database's keys. It does not decide which
// entries a backup contains, and it does not write them into a database.
package backup

import (
	"errors"
	"fmt"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// magic is the beginning of a backup.
const magic = "watchhistory backup\n"

// The kinds of frames, in the order of the file.
const (
	headerFrame  = 'H' // once
	entriesFrame = 'E' // any number
	footerFrame  = 'F' // once
)

// Header is the payload of the first frame.
type Header struct {
	Format  uint16    `json:"format"` // of the database
	From    Position  `json:"from"`   // zero: the backup is complete
	To      Position  `json:"to"`
	Created time.Time `json:"created"`
}

// Footer is the payload of the last frame.
type Footer struct {
	Entries uint64 `json:"entries"`
	// Days are the days in which the database had versions, in ascending order.
	// A restore drops the other days of earlier backups.
	Days []uint16 `json:"days"`
}

// Progress receives the number of entries that are done, and the number of
// bytes that are written or read. One goroutine calls it often.
type Progress func(entries, bytes int64)

// readError returns a [history.Invalid] error if a file is not a backup or is
// damaged. Other errors are errors of reading.
func readError(err error) error {
	switch {
	case errors.Is(err, container.ErrForeign):
		return history.Errorf(history.Invalid, "not a backup of watchhistory-recorder")
	case errors.Is(err, container.ErrTruncated), errors.Is(err, container.ErrCorrupt):
		return history.WithHint(history.Errorf(history.Invalid, "damaged (%v)", err),
			"Use another copy or an earlier backup.")
	default:
		return fmt.Errorf("read: %w", err)
	}
}
