package diff

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// leaderAnnotation is the annotation of client-go's leader election on
// Endpoints and ConfigMaps: JSON that the leader renews every few seconds.
const leaderAnnotation = "control-plane.alpha.kubernetes.io/leader"

// renewals are the fields that controllers renew periodically, by their exact
// paths. isRenewal reports whether the change of a value is a renewal. Names
// that others may use for something else, such as ttl, are not included.
var renewals = [...]struct { //nolint:gochecknoglobals // constant
	path      []string
	isRenewal func(old, now string) bool
}{
	{[]string{"spec", "renewTime"}, times}, // Leases
	{[]string{"metadata", "annotations", "endpoints.kubernetes.io/last-change-trigger-time"}, times},
	{[]string{"metadata", "annotations", "cluster-autoscaler.kubernetes.io/last-updated"}, times},
	{[]string{"data", "status"}, autoscalerStatus},

	// Patroni, for most PostgreSQL operators
	{[]string{"metadata", "annotations", "renewTime"}, times},
	{[]string{"metadata", "annotations", "acquireTime"}, times},
	{[]string{"metadata", "annotations", "optime"}, counts},
	{[]string{"metadata", "annotations", "transitions"}, counts},
	{[]string{"metadata", "annotations", "status"}, walPositions}, // of its members

	{[]string{"status", "reconciledAt"}, times},                    // Argo CD
	{[]string{"status", "refreshTime"}, times},                     // External Secrets
	{[]string{"status", "lastSyncedTime"}, times},                  // Velero
	{[]string{"status", "lastValidationTime"}, times},              // Velero
	{[]string{"spec", "syncRequestedAt"}, times},                   // Longhorn
	{[]string{"status", "lastSyncedAt"}, times},                    // Longhorn
	{[]string{"status", "ceph", "lastChecked"}, times},             // Rook
	{[]string{"status", "ceph", "capacity", "lastUpdated"}, times}, // Rook
	{[]string{"status", "lastActiveTime"}, times},                  // KEDA
	{[]string{"status", "lastPodEventTime"}, times},                // Karpenter
	{[]string{"status", "lastUpdated"}, times},                     // OLM
	{[]string{"status", "lastUpdateTime"}, times},                  // OLM
	{[]string{"status", "connectionState", "lastConnect"}, times},  // OLM
}

// isHeartbeat reports whether the change renews a heartbeat. The addition of a
// heartbeat is not noise.
func (c Change) isHeartbeat() bool {
	old, wasText := c.Old.(string)
	now, isText := c.New.(string)
	if c.Kind != Changed || !wasText || !isText {
		return false
	}
	field := c.Path.last(0).Field
	for i := range renewals {
		// The last field differs for nearly all changes, so it is compared
		// before the whole path.
		if r := &renewals[i]; r.path[len(r.path)-1] == field && c.Path.is(r.path...) {
			return r.isRenewal(old, now)
		}
	}
	return false
}

// isNewLeader reports whether the holder of a client-go leader election
// changed.
func (c Change) isNewLeader() bool {
	old, now := c.holders()
	return old != now
}

// holders returns the old and the new holder of a client-go leader election. It
// returns "" for any other change.
func (c Change) holders() (old, now string) {
	if c.Kind != Changed || !c.Path.is("metadata", "annotations", leaderAnnotation) {
		return "", ""
	}
	holder := func(value any) string {
		var record struct{ HolderIdentity string }
		text, _ := value.(string)
		if json.Unmarshal([]byte(text), &record) != nil {
			return text
		}
		return record.HolderIdentity
	}
	return holder(c.Old), holder(c.New)
}

// times reports whether both values are times.
func times(old, now string) bool { return isTime(old) && isTime(now) }

// isTime reports whether a text is a time in RFC 3339, which API servers and
// Python write, or in the format of Go's time.Time.String.
func isTime(text string) bool {
	layouts := []string{time.RFC3339, "2006-01-02 15:04:05.999999999 -0700 MST"}
	return slices.ContainsFunc(layouts, func(layout string) bool {
		_, err := time.Parse(layout, text)
		return err == nil
	})
}

// counts reports whether both values are unsigned numbers.
func counts(old, now string) bool {
	_, errOld := strconv.ParseUint(old, 10, 64)
	_, errNow := strconv.ParseUint(now, 10, 64)
	return errOld == nil && errNow == nil
}

// walPositions compares the state that a Patroni member reports as JSON. It
// reports whether only the written and replayed WAL positions differ.
func walPositions(old, now string) bool {
	var before, after map[string]any
	if json.Unmarshal([]byte(old), &before) != nil || json.Unmarshal([]byte(now), &after) != nil ||
		before["xlog_location"] == nil {
		return false
	}
	isPosition := func(name string, _ any) bool {
		return name == "xlog_location" || name == "received_location" || name == "replayed_location" ||
			name == "replayed_timestamp"
	}
	maps.DeleteFunc(before, isPosition)
	maps.DeleteFunc(after, isPosition)
	return reflect.DeepEqual(before, after)
}

// autoscalerStatus compares two reports of the cluster autoscaler, in either of
// its formats. It reports whether only the times of the report and of its
// probes differ.
func autoscalerStatus(old, now string) bool {
	if !isAutoscalerStatus(old) || !isAutoscalerStatus(now) {
		return false
	}
	before, after := strings.Split(old, "\n"), strings.Split(now, "\n")
	if len(before) != len(after) {
		return false
	}
	for i := range before {
		if before[i] != after[i] && (probeTime(before[i]) == "" || probeTime(before[i]) != probeTime(after[i])) {
			return false
		}
	}
	return true
}

// isAutoscalerStatus reports whether a text is a report of the cluster
// autoscaler.
func isAutoscalerStatus(text string) bool {
	return strings.HasPrefix(text, "time: ") && strings.Contains(text, "\nautoscalerStatus: ") ||
		strings.HasPrefix(text, "Cluster-autoscaler status at ")
}

// probeTime returns the prefix of a line of the autoscaler's report that
// contains a time. It returns "" for any other line.
func probeTime(line string) string {
	line = strings.TrimSpace(line)
	for _, prefix := range []string{"time: ", "lastProbeTime: ", "LastProbeTime: ", "Cluster-autoscaler status at "} {
		if strings.HasPrefix(line, prefix) {
			return prefix
		}
	}
	return ""
}
