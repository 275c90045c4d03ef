package store

import (
	"fmt"
	"log/slog"
	"strings"
)

// badgerLogger passes on what Badger says: its errors and warnings as warnings, since the caller sees the errors that
// matter, the rest for debugging only.
type badgerLogger struct{ log *slog.Logger }

func (l *badgerLogger) Errorf(f string, args ...any) { l.log.Warn("badger", "said", sentence{f, args}) }

func (l *badgerLogger) Warningf(f string, args ...any) {
	l.log.Warn("badger", "said", sentence{f, args})
}

func (l *badgerLogger) Infof(f string, args ...any) { l.log.Debug("badger", "said", sentence{f, args}) }

func (l *badgerLogger) Debugf(f string, args ...any) {
	l.log.Debug("badger", "said", sentence{f, args})
}

// sentence is put together only where it is logged.
type sentence struct {
	format string
	args   []any
}

// LogValue returns the sentence.
func (s sentence) LogValue() slog.Value {
	return slog.StringValue(strings.TrimSpace(fmt.Sprintf(s.format, s.args...)))
}
