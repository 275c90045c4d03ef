package cli

import (
	"context"
	"time"

	"github.com/spf13/pflag"

	"github.com/watchhistory/watchhistory/pkg/internal/timeflag"
)

// moment is a flag whose value is a time.
type moment struct {
	flag string    // with its dashes
	text string    // value
	time time.Time // parsed; zero if the flag is not set
}

// addFlag adds the flag. The usage is completed with the forms of times.
func (m *moment) addFlag(fs *pflag.FlagSet, name, usage string) {
	m.flag = "--" + name
	fs.StringVar(&m.text, name, "", usage+": "+timeflag.Forms+".")
}

// isSet reports whether the flag is set.
func (m *moment) isSet() bool { return m.text != "" }

// complete parses the value, relative to now and in its location.
func (m *moment) complete(now time.Time) (err error) {
	m.time, err = timeflag.ParseTime(m.flag, m.text, now)
	return err
}

// resolveMoments is [queryOptions.resolveTimes] for single times. It also
// parses those that are not parsed yet.
func (c *connection) resolveMoments(ctx context.Context, s *session, in *time.Location, moments ...*moment) error {
	for _, m := range moments {
		if timeflag.IsRelative(m.text) {
			if err := c.readClock(ctx, s); err != nil {
				return err
			}
		}
		if err := m.complete(c.env.recorderNow().In(in)); err != nil {
			return err
		}
	}
	return nil
}
