package cli_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// newRecentRecorder returns a recorder that began 11 minutes ago, has one
// change of 5 minutes ago, and does not record Leases and Roles.
func newRecentRecorder(t *testing.T, trimmed bool) *recording {
	t.Helper()
	now := time.Date(2026, 3, 1, 12, 38, 0, 0, time.UTC)
	began, changed := now.Add(-11*time.Minute), now.Add(-5*time.Minute)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", now.Format(http.TimeFormat))
		if req.URL.Path == v1.ResourcesPath {
			_, _ = w.Write([]byte(`{"resources":[{"version":"v1","plural":"pods","kind":"Pod",` +
				`"namespaced":true,"state":"watching"},
				{"group":"coordination.k8s.io","version":"v1","plural":"leases","kind":"Lease","namespaced":true,"state":"excluded","reason":"left out by default"}]}`))
			return
		}
		query := req.URL.Query()
		if strings.HasPrefix(query.Get("resourceType"), "leases") {
			w.Header().Set(v1.NotRecordedHeader, "leases.coordination.k8s.io excluded")
			_, _ = w.Write([]byte(`[]`))
			return
		}
		w.Header().Set(v1.SinceHeader, began.Format(time.RFC3339))
		if trimmed {
			w.Header().Set(v1.SinceTrimmedHeader, "true")
		}
		w.Header().Set(v1.NotRecordedHeader,
			"roles.rbac.authorization.k8s.io forbidden, leases.coordination.k8s.io excluded, +12 more")
		if end := query.Get("end"); end != "" && end < changed.Format(time.RFC3339) {
			_, _ = w.Write([]byte(`[]`))
			return
		}
		_, _ = w.Write([]byte(`[{"timestamp":"` + changed.Format(time.RFC3339) +
			`","verb":"create","resourceType":"pods","kind":"Pod","resourceName":"web",` +
			`"namespace":"shop","uid":"a","managers":[{"manager":"kubectl"}]}]`))
	}))
	t.Cleanup(server.Close)
	return &recording{t: t, url: server.URL, now: now}
}

func TestGet_NotesCoverage(t *testing.T) {
	const missing = "Not recorded: roles.rbac.authorization.k8s.io (forbidden), " +
		"leases.coordination.k8s.io (excluded), +12 more.\n"
	for args, want := range map[string]string{
		"get --flat --since 90m --until 60m": "No history found in shop namespace.\n" +
			"Recording began at 12:27:00, 11m ago: after the requested time.\n" + missing,
		"get --flat --until 6m": "No history found in shop namespace.\n" +
			"Recording began at 12:27:00, 11m ago.\n" + missing,
		"get --flat --since 9m --until 6m": "No history found in shop namespace.\n" + missing,
		"get --flat --since 90m":           "Recording began at 12:27:00, 11m ago.\n",
		"get --flat --since 9m":            "",
		"get --flat":                       "",
		"get --flat leases": "No history found in shop namespace.\n" +
			"Not recorded: leases.coordination.k8s.io (excluded).\n" +
			"Warning: the recorder does not record leases.coordination.k8s.io: left out by default\n",
		"get --flat leases lock": "Not recorded: leases.coordination.k8s.io (excluded).\n" +
			"error: no history of leases.coordination.k8s.io \"lock\" in shop namespace: " +
			"the recorder does not record leases.coordination.k8s.io: left out by default\n",
	} {
		_, _, stderr := newRecentRecorder(t, false).run(t, append(strings.Fields(args), "--timezone", "UTC")...)
		if got := withoutDiscovery(stderr); got != want {
			t.Errorf("%s\n got %q\nwant %q", args, got, want)
		}
	}
}

func TestGet_DistinguishesRetentionFromBeginning(t *testing.T) {
	_, _, stderr := newRecentRecorder(t, true).run(t, "get", "--flat", "--since", "2d", "--timezone", "Asia/Kathmandu")
	if want := "History is kept since 18:12:00, 11m ago.\n"; withoutDiscovery(stderr) != want {
		t.Errorf("got %q, want %q", stderr, want)
	}
}

// withoutDiscovery returns stderr without the warning about discovery, which
// has no API server.
func withoutDiscovery(stderr string) (kept string) {
	for line := range strings.Lines(stderr) {
		if !strings.Contains(line, "discovery failed") {
			kept += line
		}
	}
	return kept
}
