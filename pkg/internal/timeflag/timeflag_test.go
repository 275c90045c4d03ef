package timeflag_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/timeflag"
)

func TestParseTime_AcceptsTimesAndAges(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]bool{
		"": false, "2h": true, "0s": true, "12:30": true, "now": true, "2026-11-25T13:00:00+02:00": false,
	} {
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
	for _, text := range []string{
		"-", "--2h", "2", "yesterday at 18:00", "tomorrow", "noon", "99999d", "1d-2h", "25:00", "12:60",
		"12:30 yesterday", "2026-02-30", "Nov 25",
	} {
		const reason = " is not a time: want an age like 15m or 3d, a time like 12:30 or 'yesterday 18:00', " +
			"or one like 2026-11-25T12:00:00Z"
		_, err := timeflag.ParseTime("--start", text, now)
		if history.CodeOf(err) != history.Invalid || err.Error() != `--start "`+text+`"`+reason {
			t.Errorf("ParseTime(%q): got error %v, want one that ends with %q", text, err, reason)
		}
	}
}

// TestParseTime_UsesLocationOfNow checks days and times of day, on the day
// after the clocks of Berlin were set back from 3:00 to 2:00.
func TestParseTime_UsesLocationOfNow(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 10, 26, 12, 30, 10, 0, berlin)
	for text, want := range map[string]string{
		"now":                  "2026-10-26T12:30:10+01:00",
		"-1h":                  "2026-10-26T11:30:10+01:00",
		"1d":                   "2026-10-25T12:30:10+01:00",
		"2d":                   "2026-10-24T13:30:10+02:00",
		"12:30":                "2026-10-26T12:30:00+01:00",
		"12:30:10":             "2026-10-26T12:30:10+01:00",
		"12:30:11":             "2026-10-25T12:30:11+01:00", // in the future today
		"23:59":                "2026-10-25T23:59:00+01:00",
		"9:05":                 "2026-10-26T09:05:00+01:00",
		"today 18:00":          "2026-10-26T18:00:00+01:00",
		"yesterday":            "2026-10-25T00:00:00+02:00",
		"yesterday 1:00":       "2026-10-25T01:00:00+02:00",
		"yesterday  18:00":     "2026-10-25T18:00:00+01:00",
		"yesterday 18:00:05":   "2026-10-25T18:00:05+01:00",
		"2026-10-24":           "2026-10-24T00:00:00+02:00",
		"2026-10-24 18:00":     "2026-10-24T18:00:00+02:00",
		"2026-10-24T18:00:00Z": "2026-10-24T18:00:00Z",
	} {
		got, err := timeflag.ParseTime("--at", text, now)
		if err != nil || got.Format(time.RFC3339) != want {
			t.Errorf("ParseTime(%q): got %s and error %v, want %s", text, got.Format(time.RFC3339), err, want)
		}
	}
}
