package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// badgerLogger passes on what Badger says: its errors and warnings as warnings, since the caller sees the errors that
// matter, the rest for debugging only.
type badgerLogger struct{ log *slog.Logger }

func (l *badgerLogger) Errorf(format string, args ...any)   { l.say(slog.LevelWarn, format, args) }
func (l *badgerLogger) Warningf(format string, args ...any) { l.say(slog.LevelWarn, format, args) }
func (l *badgerLogger) Infof(format string, args ...any)    { l.say(slog.LevelDebug, format, args) }
func (l *badgerLogger) Debugf(format string, args ...any)   { l.say(slog.LevelDebug, format, args) }

func (l *badgerLogger) say(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if l.log.Enabled(ctx, level) {
		l.log.Log(ctx, level, "badger", "said", strings.TrimSpace(fmt.Sprintf(format, args...)))
	}
}
