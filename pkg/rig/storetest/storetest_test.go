package storetest_test

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/rig/storetest"
)

// withFaults is the environment variable that makes [TestRun_FailsOnBrokenLogs]
// fail, as it must.
const withFaults = "STORETEST_WITH_FAULTS"

// TestRun_FailsOnBrokenLogs runs the suite on logs that break promises. It runs
// it in another process, because the suite must fail there. For each fault, the
// tests of the broken promises must fail. Each promise must be broken by a
// fault.
func TestRun_FailsOnBrokenLogs(t *testing.T) {
	if os.Getenv(withFaults) != "" {
		runOnBrokenLogs(t)
		return
	}
	var run, want []string
	for _, f := range faults() {
		for _, promise := range f.breaks {
			run = append(run,
				fmt.Sprintf("^TestRun_FailsOnBrokenLogs$/^%s$/^%s$", regexp.QuoteMeta(testName(f)), promise))
			want = append(want, fmt.Sprintf("TestRun_FailsOnBrokenLogs/%s/%s", testName(f), promise))
		}
	}
	failed := failures(t, strings.Join(run, "|"))
	for _, test := range want {
		if !slices.Contains(failed, test) {
			t.Errorf("%s: got a passing test, want a failing one", test)
		}
	}
	for _, promise := range storetest.Promises() {
		if !slices.ContainsFunc(want, func(test string) bool { return strings.HasSuffix(test, "/"+promise) }) {
			t.Errorf("promise %s: got no fault that breaks it, want one", promise)
		}
	}
}

// runOnBrokenLogs runs the suite on a log with each fault.
func runOnBrokenLogs(t *testing.T) {
	t.Helper()
	for _, f := range faults() {
		t.Run(f.does, func(t *testing.T) {
			storetest.Run(t, func(tb testing.TB, dir string, o storetest.Options) storetest.Log {
				tb.Helper()
				b := &broken{opts: o}
				f.inject(b)
				b.Log = open(tb, dir, b.opts)
				return b
			})
		})
	}
}

// testName returns the subtest name of a fault.
func testName(f fault) string { return strings.ReplaceAll(f.does, " ", "_") }

// failures runs tests of this binary, and returns the names of those that
// failed.
func failures(t *testing.T, run string) (names []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", run)
	cmd.Env = append(os.Environ(), withFaults+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("got no failing test, want some")
	}
	for _, m := range regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`).FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	if t.Failed() || len(names) == 0 {
		t.Logf("%s", out)
	}
	return names
}
