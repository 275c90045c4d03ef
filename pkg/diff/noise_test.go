package diff_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

const (
	earlier = "2026-01-02T03:04:05Z"
	later   = "2026-01-02T03:04:15.123456+00:00"

	autoscaler = "time: %s\nautoscalerStatus: Running\nclusterWide:\n  health:\n" +
		"    status: %s\n    lastProbeTime: \"%s\"\n" +
		"    lastTransitionTime: \"2026-01-01T00:00:00Z\"\n"
	oldAutoscaler = "Cluster-autoscaler status at %s:\nCluster-wide:\n  Health: " +
		"     %s (ready=3)\n               LastProbeTime:      %s\n"
)

// nested returns an object with a text at a path.
func nested(text string, path ...string) map[string]any {
	var value any = text
	for _, name := range slices.Backward(path) {
		value = map[string]any{name: value}
	}
	return value.(map[string]any)
}

func annotation(name string) []string { return []string{"metadata", "annotations", name} }

// heartbeats are fields with two values of which one renews the other, and one
// that is a real change.
func heartbeats() map[string]struct {
	path               []string
	old, renewed, real string
} {
	type heartbeat = struct {
		path               []string
		old, renewed, real string
	}
	leader := `{"holderIdentity":"%s","leaseDurationSeconds":15,"acquireTime":"2026-01-01T00:00:00Z",` +
		`"renewTime":"%s","leaderTransitions":%d}`
	member := `{"role":"%s","state":"running","timeline":1,"xlog_location":%d}`
	all := map[string]heartbeat{
		"control-plane.alpha.kubernetes.io/leader": {
			annotation("control-plane.alpha.kubernetes.io/leader"),
			fmt.Sprintf(leader, "a", earlier, 1), fmt.Sprintf(leader, "a", later, 1),
			fmt.Sprintf(leader, "b", later, 2),
		},
		"optime":      {annotation("optime"), "67108864", "67109000", "none"},
		"transitions": {annotation("transitions"), "1", "2", "many"},
		"status": {
			annotation("status"), fmt.Sprintf(member, "replica", 1),
			fmt.Sprintf(member, "replica", 2), fmt.Sprintf(member, "master", 2),
		},
		"data.status": {
			[]string{"data", "status"},
			fmt.Sprintf(autoscaler, earlier, "Healthy", earlier),
			fmt.Sprintf(autoscaler, later, "Healthy", later), fmt.Sprintf(autoscaler, later, "Unhealthy", later),
		},
		"the older form of data.status": {
			[]string{"data", "status"},
			fmt.Sprintf(oldAutoscaler, earlier, "Healthy", earlier),
			fmt.Sprintf(oldAutoscaler, later, "Healthy", later), fmt.Sprintf(oldAutoscaler, later, "Unhealthy", later),
		},
		"cluster-autoscaler.kubernetes.io/last-updated": {
			annotation("cluster-autoscaler.kubernetes.io/last-updated"),
			"2026-01-02 03:04:05.546750398 +0000 UTC", "2026-01-02 03:04:15.1 +0000 UTC", "never",
		},
	}
	for _, name := range []string{"renewTime", "acquireTime", "endpoints.kubernetes.io/last-change-trigger-time"} {
		all[name] = heartbeat{annotation(name), earlier, later, "never"}
	}
	for _, path := range []string{
		"spec.renewTime", "status.reconciledAt", "status.refreshTime", "status.lastSyncedTime",
		"status.lastValidationTime",
		"spec.syncRequestedAt", "status.lastSyncedAt", "status.ceph.lastChecked", "status.ceph.capacity.lastUpdated",
		"status.lastActiveTime", "status.lastPodEventTime", "status.lastUpdated", "status.lastUpdateTime",
		"status.connectionState.lastConnect",
	} {
		all[path] = heartbeat{strings.Split(path, "."), earlier, later, "never"}
	}
	return all
}

func TestNoise_RenewedHeartbeat(t *testing.T) {
	documented, err := os.ReadFile("../../docs/noise.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, h := range heartbeats() {
		old := nested(h.old, h.path...)
		if got := diff.Summary(diff.Objects(old, nested(h.renewed, h.path...))); got != "" {
			t.Errorf("%s: renewed, got %q, want nothing", name, got)
		}
		if got := diff.Summary(diff.Objects(old, nested(h.real, h.path...))); got == "" {
			t.Errorf("%s: changed to %q, got nothing, want a summary", name, h.real)
		}
		if !strings.Contains(string(documented), "`"+strings.TrimPrefix(name, "the older form of ")+"`") {
			t.Errorf("docs/noise.md: got no entry for %s, want one", name)
		}
	}
}

func TestNoise_NextToOtherChange(t *testing.T) {
	for name, h := range heartbeats() {
		old, now := nested(h.old, h.path...), nested(h.renewed, h.path...)
		now["kind"] = "Other"
		if got, want := diff.Summary(diff.Objects(old, now)), "kind set to Other"; got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestNoise_OnlyExactNames(t *testing.T) {
	for _, path := range [][]string{
		annotation("kubectl.kubernetes.io/restartedAt"), annotation("reconcile.fluxcd.io/requestedAt"),
		annotation("example.com/renewTime"),
		{"metadata", "labels", "renewTime"},
		{"spec", "reconciledAt"},
		{"data", "renewTime"},
		{"spec", "template", "metadata", "annotations", "renewTime"},
		{"renewTime"},
		{"status", "inner", "reconciledAt"},
	} {
		if got := diff.Summary(diff.Objects(nested(earlier, path...), nested(later, path...))); got == "" {
			t.Errorf("%v: got nothing, want a summary", path)
		}
	}
	for _, name := range []string{"ttl", "leader"} { // of Patroni, but not heartbeats
		got := diff.Summary(diff.Objects(nested("30", annotation(name)...), nested("20", annotation(name)...)))
		if got == "" {
			t.Errorf("annotation %s: got nothing, want a summary", name)
		}
	}
}

func TestNoise_NewLeader(t *testing.T) {
	h := heartbeats()["control-plane.alpha.kubernetes.io/leader"]
	got, want := diff.Summary(diff.Objects(nested(h.old, h.path...), nested(h.real, h.path...))), "leader a → b"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	patroni := `{"metadata":{"annotations":{"leader":%q,"renewTime":%q,"acquireTime":%q,` +
		`"transitions":%q,"ttl":"30","optime":%q}}}`
	old := object(t, fmt.Sprintf(patroni, "pg-0", earlier, earlier, "1", "100"))
	now := object(t, fmt.Sprintf(patroni, "pg-1", later, later, "2", "200"))
	if got, want := diff.Summary(diff.Objects(old, now)), "annotation leader pg-0 → pg-1"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNoise_SecondStepOfDeletion(t *testing.T) {
	deletion := func(at string, grace int) map[string]any {
		return map[string]any{"metadata": map[string]any{
			"deletionTimestamp": at, "deletionGracePeriodSeconds": json.Number(fmt.Sprint(grace)),
		}}
	}
	if got := diff.Summary(diff.Objects(deletion(earlier, 30), deletion(later, 0))); got != "" {
		t.Errorf("moved: got %q, want nothing", got)
	}
	none := map[string]any{"metadata": map[string]any{}}
	if got, want := diff.Summary(diff.Objects(none, deletion(later, 0))), "deletion requested (+1 more)"; got != want {
		t.Errorf("requested: got %q, want %q", got, want)
	}
}

func TestNoise_OrderOfStatus(t *testing.T) {
	conditions := func(member string, types ...string) map[string]any {
		var list []any
		for _, name := range types {
			list = append(list, map[string]any{"type": name, "status": "True"})
		}
		return map[string]any{member: map[string]any{"conditions": list}}
	}
	for name, tt := range map[string]struct {
		old, now map[string]any
		want     string
	}{
		"status":             {conditions("status", "A", "B"), conditions("status", "B", "A"), ""},
		"spec":               {conditions("spec", "A", "B"), conditions("spec", "B", "A"), "conditions reordered"},
		"status with an add": {conditions("status", "A", "B"), conditions("status", "B", "A", "C"), "C True"},
	} {
		if got := diff.Summary(diff.Objects(tt.old, tt.now)); got != tt.want {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
