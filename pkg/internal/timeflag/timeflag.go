// Package timeflag reads times as people give them to flags: a moment, or how long ago it was.
package timeflag

import (
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// ParseTime reads a flag's time, in RFC 3339, or how long before now it was, as [ParseDuration] takes it; "" is the zero time.
// Anything else is a [history.Invalid] error that names the flag.
func ParseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	age, err := ParseDuration(text)
	if err != nil {
		return time.Time{}, history.Errorf(history.Invalid, "%s %q is no duration: want one like 15m, 2h or 3d, or a time like %s",
			flag, text, now.UTC().Format(time.RFC3339))
	}
	return now.Add(-age), nil
}

// IsRelative reports whether [ParseTime] counts a time from now.
func IsRelative(text string) bool {
	_, err := time.Parse(time.RFC3339, text)
	return text != "" && err != nil
}

// ParseDuration reads what [time.ParseDuration] does, but nothing negative, and days and weeks before it: "1w2d12h".
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
		return 0, fmt.Errorf("parse %q as a duration", text)
	}
	return total + rest, nil
}
