package gobuild_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/rig/gobuild"
)

func TestProgress_EstimatesRemainingTime(t *testing.T) {
	packages := []string{"a", "b/c", "d.example/e/v2"}
	for _, tt := range []struct {
		printed []string
		total   int
		after   time.Duration
		want    string
	}{
		{nil, 0, 3 * time.Second, "building m: checking packages (3s)"},
		{[]string{"go: downloading k8s.io/api v0.37.2"}, 0, 4 * time.Second, "building m: modules downloaded: 1 (4s)"},
		{packages, 0, 5 * time.Second, "building m: 2 packages built (5s)"},
		{packages[:1], 2500, 5 * time.Second, "building m: 0 of 2500 packages built (5s)"},
		{packages, 2402, 2 * time.Second, "building m: 2 of 2402 packages built, about 40m left (2s)"},
		{packages, 12, 4 * time.Second, "building m: 2 of 12 packages built, about 20s left (4s)"},
		{packages, 3, 90 * time.Second, "building m: 2 of 3 packages built, linking (1m30s)"},
		{packages, 2, 90 * time.Second, "building m: 2 of 3 packages built, linking (1m30s)"},
	} {
		if got := gobuild.Line(tt.printed, tt.total, tt.after); got != tt.want {
			t.Errorf("%v of %d after %s\n got %q\nwant %q", tt.printed, tt.total, tt.after, got, tt.want)
		}
	}
}
