// Package timeflag parses the times of flags: a point in time, or an age.
package timeflag

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ParseTime parses the value of a flag: a time in RFC 3339, or an age relative
// to now that [ParseDuration] accepts. An empty text is the zero time. Errors
// have the code [history.Invalid] and name the flag.
func ParseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	age, err := ParseDuration(text)
	if err != nil {
		return time.Time{}, history.Errorf(history.Invalid,
			"%s %q is not a duration: want one like 15m, 2h or 3d, or a time like %s",
			flag, text, now.UTC().Format(time.RFC3339))
	}
	return now.Add(-age), nil
}

// IsRelative reports whether [ParseTime] parses text as an age.
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
