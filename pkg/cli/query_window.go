package cli

import (
	"time"

	"github.com/spf13/pflag"
)

// window selects records by time and number. The start is inclusive, and the
// end is exclusive.
type window struct {
	since, sinceTime, until string // flags
	limit, chunkSize        int    // records; a limit of 0 means all

	start, end time.Time // parsed; zero means unlimited
}

// moments returns the flags that accept all forms of times.
func (w *window) moments() (since, until moment) {
	return moment{flag: "--since", text: w.since}, moment{flag: "--until", text: w.until}
}

// The default limit, and the default number of records in a page.
const (
	defaultLimit     = 500
	defaultChunkSize = 500
)

// addFlags adds the flags of the window. noun names the records that they
// select, such as "changes".
func (w *window) addFlags(fs *pflag.FlagSet, noun string) {
	fs.StringVar(&w.since, "since", "", "Only show "+noun+" after a time: "+timeForms+".")
	fs.StringVar(&w.sinceTime, "since-time", "", "Only show "+noun+" after a time (RFC 3339).")
	fs.StringVar(&w.until, "until", "", "Only show "+noun+" before a time, as in --since.")
	fs.IntVar(&w.limit, "limit", defaultLimit, "Show at most this many "+noun+", the newest. 0 shows all.")
	fs.IntVar(&w.chunkSize, "chunk-size", defaultChunkSize, "Read this many "+noun+" from the recorder at a time.")
}

// complete parses the flags. Times are relative to now, and in its location.
// The times of versions are not known yet.
func (w *window) complete(now time.Time) error {
	since, until := w.moments()
	if err := since.complete(now); err != nil {
		return err
	}
	if err := until.complete(now); err != nil {
		return err
	}
	return w.set(&since, &until, now)
}

// set sets the window to the times of its flags.
func (w *window) set(since, until *moment, now time.Time) (err error) {
	w.start, w.end = since.time, until.time
	if w.sinceTime != "" {
		if w.start, err = time.Parse(time.RFC3339, w.sinceTime); err != nil {
			return invalidf("--since-time %q is not a time: want RFC 3339, as in %s",
				w.sinceTime, now.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// validate rejects an empty window and invalid numbers. Call it after complete.
func (w *window) validate() error {
	switch {
	case w.since != "" && w.sinceTime != "":
		return invalidf("--since and --since-time can't be combined")
	case !w.end.IsZero() && !w.start.Before(w.end):
		return invalidf("--since (%s) is not before --until (%s)",
			w.start.Format(time.RFC3339), w.end.Format(time.RFC3339))
	case w.limit < 0:
		return invalidf("--limit %d: want 0, for no limit, or more", w.limit)
	case w.chunkSize < 1:
		return invalidf("--chunk-size %d: want 1 or more", w.chunkSize)
	default:
		return nil
	}
}

// pageSize returns how many records the next page of a query may have after n
// were read: not more than can be shown.
func (w *window) pageSize(n int) int {
	if w.limit > 0 {
		return min(w.chunkSize, w.limit-n)
	}
	return w.chunkSize
}

// isSet reports whether the window has a start or an end.
func (w *window) isSet() bool { return w.since+w.sinceTime+w.until != "" }

// isRelative reports whether the window depends on the current time, or on a
// version.
func (w *window) isRelative() bool {
	since, until := w.moments()
	return since.isRelative() || until.isRelative()
}
