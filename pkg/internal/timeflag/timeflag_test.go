package timeflag_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/timeflag"
)

func TestParseTime_AcceptsTimesAndAges(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]bool{"": false, "2h": true, "0s": true, "2026-11-25T13:00:00+02:00": false} {
		if got := timeflag.IsRelative(text); got != want {
			t.Errorf("IsRelative(%q): got %t, want %t", text, got, want)
		}
	}
	for text, want := range map[string]time.Time{
		"":                          {},
		"2h":                        now.Add(-2 * time.Hour),
		"3d":                        now.Add(-72 * time.Hour),
		"1w2d12h":                   now.Add(-228 * time.Hour),
		"0s":                        now,
		"2026-11-25T13:00:00+02:00": now.Add(-time.Hour),
		"2026-11-25T11:00:00.5Z":    now.Add(-time.Hour + 500*time.Millisecond),
	} {
		if got, err := timeflag.ParseTime("--start", text, now); err != nil || !got.Equal(want) {
			t.Errorf("ParseTime(%q): got %v and error %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"-2h", "2", "yesterday", "2026-11-25", "99999d", "1d-2h"} {
		const reason = " is not a duration: want one like 15m, 2h or 3d, or a time like 2026-11-25T12:00:00Z"
		_, err := timeflag.ParseTime("--start", text, now)
		if history.CodeOf(err) != history.Invalid || err.Error() != `--start "`+text+`"`+reason {
			t.Errorf("ParseTime(%q): got error %v, want one that ends with %q", text, err, reason)
		}
	}
}
