package cli_test

import (
	"strings"
	"testing"
	"time"
)

// TestSince_UsesRecorderClock checks that relative times and ages are relative
// to the recorder's clock, which dated the records. A difference of more than a
// minute is a warning.
func TestSince_UsesRecorderClock(t *testing.T) {
	const (
		advice = "; relative times and ages use the recorder's clock\n"
		names  = "deployment.apps/web\nreplicaset.apps/web-7d9f\npod/web-7d9f-x2k1p\n"
		ready  = "41m   update   deployment/web   kube-controller-manager   status.readyReplicas 2 → 3\n"
		update = "4   12m   update   kubectl-set   image app 1.4 → 1.5\n"
	)
	for _, tt := range []struct {
		offset  time.Duration
		warning string
	}{
		{0, ""},
		{time.Second, ""},
		{45 * time.Second, ""},
		{-45 * time.Second, ""},
		{2 * time.Hour, "Warning: this machine's clock is 120m behind the recorder's" + advice},
		{-30 * time.Minute, "Warning: this machine's clock is 30m ahead of the recorder's" + advice},
	} {
		r := newRecording(t)
		r.writeStory()
		r.now, r.clockOffset = r.now.Add(-tt.offset), tt.offset // the recorder's time stays the same
		for args, want := range map[string]string{
			"get --since 13m --until 11m30s -o name":                     names,
			"get --flat --until 39m --since 1h --no-headers":             ready,
			"related deploy/web --since 13m -o name":                     "event/backoff\nevent/scaled\n",
			"history deploy/web --no-headers --since 13m":                update,
			"history deploy/web --no-headers --revision 4":               update,
			"get deploy/web --no-headers --since 10s --until 5s -o name": "",
		} {
			_, stdout, stderr := r.run(t, strings.Fields(args)...)
			if (tt.warning != "" || tt.offset == 0) && stdout != want {
				t.Errorf("clock offset %s: %s: got\n%swant\n%s", tt.offset, args, stdout, want)
			}
			if strings.Contains(stderr, "clock is") != (tt.warning != "") || strings.Count(stderr, tt.warning) < 1 {
				t.Errorf("clock offset %s: %s: got stderr %q, want %q in it", tt.offset, args, stderr, tt.warning)
			}
		}
	}
}

// TestSinceTime_IsAbsolute checks that the clocks do not change an absolute
// time.
func TestSinceTime_IsAbsolute(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	at := r.now.Add(-11*time.Minute - 30*time.Second).Format(time.RFC3339)
	_, want, _ := r.run(t, "get", "--since-time", at, "-o", "name")
	r.now, r.clockOffset = r.now.Add(-time.Hour), time.Hour
	if _, got, _ := r.run(t, "get", "--since-time", at, "-o", "name"); got != want || strings.Count(got, "\n") != 4 {
		t.Errorf("clock offset 1h: got\n%swant\n%s", got, want)
	}
}
