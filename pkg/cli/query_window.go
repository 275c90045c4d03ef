package cli

import (
	"time"

	"github.com/spf13/pflag"

	"github.com/watchhistory/watchhistory/pkg/internal/timeflag"
)

// window is the part of history that is asked for.
type window struct {
	since, sinceTime, until string
	limit, chunkSize        int

	start, end time.Time // zero: open
}

// The default numbers of records, shown and on one page.
const (
	defaultLimit     = 500
	defaultChunkSize = 500
)

func (w *window) addFlags(fs *pflag.FlagSet, what string) {
	fs.StringVar(&w.since, "since", "", "Only show "+what+" newer than a relative duration like 15m, 2h or 3d.")
	fs.StringVar(&w.sinceTime, "since-time", "", "Only show "+what+" after a time (RFC 3339).")
	fs.StringVar(&w.until, "until", "", "Only show "+what+" before a time (RFC 3339), or older than a relative duration.")
	fs.IntVar(&w.limit, "limit", defaultLimit, "Show at most this many "+what+", the newest. 0 shows all.")
	fs.IntVar(&w.chunkSize, "chunk-size", defaultChunkSize, "Read this many "+what+" from the recorder at a time.")
}

func (w *window) complete(now time.Time) (err error) {
	if w.start, err = timeflag.ParseTime("--since", w.since, now); err != nil {
		return err
	}
	if w.sinceTime != "" {
		if w.start, err = time.Parse(time.RFC3339, w.sinceTime); err != nil {
			return invalidf("--since-time %q is no time: want RFC 3339, as in %s", w.sinceTime, now.UTC().Format(time.RFC3339))
		}
	}
	w.end, err = timeflag.ParseTime("--until", w.until, now)
	return err
}

func (w *window) validate() error {
	switch {
	case w.since != "" && w.sinceTime != "":
		return invalidf("--since and --since-time exclude each other: give one")
	case !w.end.IsZero() && !w.start.Before(w.end):
		return invalidf("nothing lies between --since (%s) and --until (%s)", w.start.Format(time.RFC3339), w.end.Format(time.RFC3339))
	case w.limit < 0:
		return invalidf("--limit %d: want 0, for no limit, or more", w.limit)
	case w.chunkSize < 1:
		return invalidf("--chunk-size %d: want 1 or more", w.chunkSize)
	default:
		return nil
	}
}

// isSet tells whether the window is narrower than all of history.
func (w *window) isSet() bool { return !w.start.IsZero() || !w.end.IsZero() }

// isRelative reports whether the window depends on what time it is.
func (w *window) isRelative() bool {
	return timeflag.IsRelative(w.since) || timeflag.IsRelative(w.until)
}
