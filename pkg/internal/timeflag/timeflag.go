// Package timeflag parses the times of flags: a point in time, or an age.
package timeflag

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Forms lists the texts that [ParseTime] accepts, for the help of flags.
const Forms = "an age like 15m or 3d, a time like 12:30 or 'yesterday 18:00', RFC 3339"

// ParseTime parses the value of a flag. An empty text is the zero time.
// Otherwise, it accepts:
//
//   - a time in RFC 3339
//   - now
//   - an age that [ParseDuration] accepts, with or without a minus
//   - a time of day, such as 12:30 or 12:30:05. If it is in the future today,
//     it is yesterday's.
//   - a day and optionally a time of day: "yesterday 18:00", "today 9:00" or
//     "2026-11-25 18:00". Without a time of day, it is midnight.
//
// Ages are relative to now. Days and times of day are those of now's location.
// Errors have the code [history.Invalid] and name the flag.
func ParseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if text == "now" {
		return now, nil
	}
	if age, err := ParseDuration(strings.TrimPrefix(text, "-")); err == nil && text != "-" {
		return now.Add(-age), nil
	}
	if t, ok := parseDay(text, now); ok {
		return t, nil
	}
	return time.Time{}, history.Errorf(history.Invalid,
		"%s %q is not a time: want an age like 15m or 3d, a time like 12:30 or 'yesterday 18:00', or one like %s",
		flag, text, now.UTC().Format(time.RFC3339))
}

// parseDay parses a day, a time of day, or both.
func parseDay(text string, now time.Time) (t time.Time, ok bool) {
	word, rest, both := strings.Cut(strings.Join(strings.Fields(text), " "), " ")
	day := now
	switch word {
	case "today":
	case "yesterday":
		day = now.AddDate(0, 0, -1)
	default:
		var err error
		if day, err = time.ParseInLocation(time.DateOnly, word, now.Location()); err == nil {
			break
		}
		// The word is a time of day.
		t, ok = timeOfDay(word, now)
		if ok && t.After(now) {
			t, ok = timeOfDay(word, now.AddDate(0, 0, -1))
		}
		return t, ok && !both
	}
	if !both {
		rest = "0:00"
	}
	return timeOfDay(rest, day)
}

// timeOfDay returns a time of the given day.
func timeOfDay(text string, day time.Time) (t time.Time, ok bool) {
	for _, layout := range []string{"15:04", time.TimeOnly} {
		if parsed, err := time.Parse(layout, text); err == nil {
			hour, minute, second := parsed.Clock()
			return time.Date(day.Year(), day.Month(), day.Day(), hour, minute, second, parsed.Nanosecond(),
				day.Location()), true
		}
	}
	return time.Time{}, false
}

// IsRelative reports whether the time that [ParseTime] returns for a text
// depends on now.
func IsRelative(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return text != "" && err != nil
}

// ParseDuration parses a duration as [time.ParseDuration] does. Weeks and days
// may precede it: "1w2d12h". A day has 24 hours. Negative durations are
// rejected.
func ParseDuration(text string) (time.Duration, error) {
	parts := regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,4})d)?(.*)$`).FindStringSubmatch(text)
	weeks, _ := strconv.Atoi(parts[1])
	days, _ := strconv.Atoi(parts[2])
	total := time.Duration(7*weeks+days) * 24 * time.Hour
	if parts[3] == "" && text != "" {
		return total, nil
	}
	rest, err := time.ParseDuration(parts[3])
	if err != nil || rest < 0 {
		return 0, fmt.Errorf("parse duration %q: want one like 15m, 2h or 3d", text)
	}
	return total + rest, nil
}
