package client_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/client"
)

func TestClockAhead_IsWhatTheFirstAnswerSays(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 500_000_000, time.UTC)
	for _, tt := range []struct {
		name   string
		status int
		header []string
		want   time.Duration
		known  bool
	}{
		{"the same second", 200, []string{"Date", now.Format(http.TimeFormat)}, 0, true},
		{"too little to measure", 200, []string{"Date", now.Add(1500 * time.Millisecond).Format(http.TimeFormat)}, 0, true},
		{"an hour ahead", 200, []string{"Date", now.Add(time.Hour).Format(http.TimeFormat)}, time.Hour, true},
		{"an hour behind", 200, []string{"Date", now.Add(-time.Hour).Format(http.TimeFormat)}, -time.Hour, true},
		{"no date", 200, []string{"Date", ""}, 0, false},
		{"no real date", 200, []string{"Date", "yesterday"}, 0, false},
		{"from a cache", 200, []string{"Date", now.Add(-time.Hour).Format(http.TimeFormat), "Age", "3600"}, 0, false},
		{"from a gateway", 502, []string{"Date", now.Add(time.Hour).Format(http.TimeFormat)}, 0, false},
	} {
		s := answering(t, tt.status, "application/json", `{"status":"healthy"}`, tt.header...)
		c := dial(t, s.URL, client.Options{Now: func() time.Time { return now }})
		if ahead, known := c.ClockAhead(); ahead != 0 || known {
			t.Errorf("%s: before the first answer: got %s, %t, want nothing known", tt.name, ahead, known)
		}
		_ = c.Health(t.Context()) // a gateway's answer is an error
		if ahead, known := c.ClockAhead(); ahead != tt.want || known != tt.known {
			t.Errorf("%s: got %s, known %t, want %s, %t", tt.name, ahead, known, tt.want, tt.known)
		}
	}
}
