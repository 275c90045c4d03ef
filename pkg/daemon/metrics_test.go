package daemon_test

import (
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// bounds are the upper bounds of the buckets of all histograms.
const bounds = "0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 60 300 +Inf"

var (
	// steadyMetrics are the metrics of a recorder that is in sync, in the form
	// of describeMetrics. Dashboards and alerts depend on them.
	steadyMetrics = []string{
		"answers_held_bytes{lane} gauge: Memory of answers that are being sent.",
		"catalogue_documents gauge: Documents that the API server served at the last read.",
		"catalogue_documents_unread gauge: Paths of documents that could not be read at the last read.",
		"catalogue_read_timestamp_seconds gauge: Time of the last complete read of the API server's documents.",
		"catalogue_versions_total counter: Changes of the API server's documents committed since the start.",
		"checkpoint_timestamp_seconds{group,resource} gauge: " +
			"Time at which the resourceVersion was received that a restart resumes from.",
		"commit_duration_seconds histogram " + bounds + ": Time that a transaction took, including retries.",
		"commit_retries_total counter: Commits that failed and were retried.",
		"commits_refused gauge: 1 while a commit fails and is retried, otherwise 0.",
		"commits_total counter: Transactions committed since the start.",
		"config_last_reload_successful gauge: " +
			"1 if the last change of the configuration was applied, 0 if it was rejected.",
		"config_last_reload_timestamp_seconds gauge: " +
			"Time of the last change of the configuration, applied or rejected. Initially the start.",
		"last_commit_timestamp_seconds gauge: Time of the last commit.",
		"objects_alive{group,resource} gauge: Objects that exist, according to the recorded history.",
		"queries_in_flight gauge: Queries that wait, that run, or whose answer is being sent.",
		"queries_refused_total{reason} counter: Queries that a limit refused with the status 429 or 503.",
		"queries_running{lane} gauge: Queries that are being computed.",
		"queries_waiting{lane} gauge: Queries that wait for others.",
		"queue_bytes gauge: Memory that these versions take.",
		"queue_records gauge: Versions accepted and not yet committed.",
		"storage_bytes gauge: Size of the database's files on disk.",
		"storage_dropped_bytes_total{reason} counter: Bytes that dropping days freed.",
		"storage_dropped_days_total{reason} counter: Days of history dropped since the start.",
		"storage_free_bytes gauge: Free space on the volume of the database.",
		"storage_limit_bytes gauge: maxStorage. The oldest day is dropped above 9/10 of it. 0 means no limit.",
		"storage_oldest_version_timestamp_seconds gauge: Time of the oldest version that is listed.",
		"streams_open gauge: Open streams of records.",
		"syncs_total{group,resource} counter: Lists of all objects since the start, including the first.",
		"version_lag_seconds histogram " + bounds + ": " +
			"Time from the API server's write to the commit, " +
			"of versions that a watch delivered and whose manager is known. " +
			"The API server dates writes in whole seconds, so the value is up to one second too high.",
		"versions_ignored_total{group,resource,rule} counter: Versions that a rule ignored since the start.",
		"versions_known_total{group,resource} counter: Versions received again that were already recorded.",
		"versions_recorded_total{group,resource,verb} counter: Versions committed since the start.",
	}

	// The metrics below have no series before the first gap or failure.

	gapsTotal     = "gaps_total{group,reason,resource} counter: Gaps since the start that only a relist ended."
	gapsOpen      = "gaps_open{group,reason,resource} gauge: Resources whose changes are currently not observed."
	watchFailures = "watch_failures_total{group,reason,resource} counter: " +
		"Times that a resource could no longer be watched."
)

// TestMetrics_CountRecordedVersions also checks the buckets at both ends.
func TestMetrics_CountRecordedVersions(t *testing.T) {
	noLeaks(t)
	r := start(t, t.TempDir(), cluster.Config(), nil)
	r.eventually(t, "namespaces are counted", func() (bool, string) {
		_, body := r.get(t, v1.MetricsPath)
		for _, metric := range []string{
			`versions_recorded_total{group="",resource="namespaces",verb="create"}`, "last_commit_timestamp_seconds",
			`syncs_total{group="",resource="namespaces"} 1`,
			`checkpoint_timestamp_seconds{group="",resource="namespaces"}`,
			`commit_duration_seconds_bucket{le="0.001"}`, `commit_duration_seconds_bucket{le="300"}`,
			`version_lag_seconds_bucket{le="0.25"}`,
		} {
			if !strings.Contains(body, "\nwatchhistory_"+metric) {
				return false, metric
			}
		}
		return strings.Contains(body, "go_goroutines"), "no metric go_goroutines"
	})
}

// TestMetrics_HaveStableNamesTypesAndLabels scrapes a recorder.
// TestGap_ContainsLostChanges and TestGap_IsOpenWhileRightsAreMissing check the
// metrics of gaps and failures.
func TestMetrics_HaveStableNamesTypesAndLabels(t *testing.T) {
	noLeaks(t)
	// The oldest version is measured at the start, and once a minute.
	kubectl(t, "create", "namespace", "metrics")
	kubectl(t, "create", "configmap", "a", "-n", "metrics")
	dir := t.TempDir()
	first := start(t, dir, cluster.Config(), onlyConfigMaps)
	first.records(t, "namespace=metrics&resourceName=a", "initial")
	first.stop(t)
	r := start(t, dir, cluster.Config(), catalogueAndMaps)
	kubectl(t, "create", "configmap", "b", "-n", "metrics") // a commit
	r.eventually(t, "all metrics", func() (bool, string) {
		_, body := r.get(t, v1.MetricsPath)
		diff := cmp.Diff(steadyMetrics, describeMetrics(t, body))
		return diff == "", "(-want +got):\n" + diff
	})
}

// TestMetrics_MatchDocs compares their names and labels with
// docs/troubleshooting.md.
func TestMetrics_MatchDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range regexp.MustCompile("`watchhistory_([a-z_]+)(?:{([a-z,]+)})?`").FindAllStringSubmatch(string(page),
		-1) {
		got = append(got, metricName(m[1], strings.FieldsFunc(m[2], func(r rune) bool { return r == ',' })))
	}
	var want []string
	for _, description := range append([]string{gapsTotal, gapsOpen, watchFailures}, steadyMetrics...) {
		name, _, _ := strings.Cut(description, " ")
		want = append(want, name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics of docs/troubleshooting.md (-want +got):\n%s", diff)
	}
}

// checkMetrics fails the test if the metrics do not contain these, in the form
// of describeMetrics.
func checkMetrics(t *testing.T, body string, want ...string) {
	t.Helper()
	got := describeMetrics(t, body)
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("got metrics %s, want %q", strings.Join(got, "\n"), w)
		}
	}
}

// describeMetrics returns the names, labels, types, buckets and help texts of
// this project's metrics, in order.
func describeMetrics(t *testing.T, body string) (all []string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, family := range families {
		name, ours := strings.CutPrefix(name, "watchhistory_")
		if !ours {
			continue
		}
		var labels []string
		for _, l := range family.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		description := metricName(name, labels) + " " + strings.ToLower(family.GetType().String())
		for _, b := range family.GetMetric()[0].GetHistogram().GetBucket() {
			description += " " + strconv.FormatFloat(b.GetUpperBound(), 'f', -1, 64)
		}
		all = append(all, description+": "+family.GetHelp())
	}
	slices.Sort(all)
	return all
}

// metricName returns a metric's name with its labels in order.
func metricName(name string, labels []string) string {
	if len(labels) == 0 {
		return name
	}
	return name + "{" + strings.Join(slices.Sorted(slices.Values(labels)), ",") + "}"
}
