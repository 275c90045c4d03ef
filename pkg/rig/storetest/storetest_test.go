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

// withFaults, in the environment, makes [TestBrokenLogs] fail as it should.
const withFaults = "STORETEST_WITH_FAULTS"

// TestBrokenLogs runs the suite on logs that break promises, in a process of its own, because there it has to fail: for each fault
// the tests of the promises that it breaks. Each promise is broken by some fault.
func TestBrokenLogs(t *testing.T) {
	if os.Getenv(withFaults) != "" {
		runOnBrokenLogs(t)
		return
	}
	var run, want []string
	for _, f := range faults() {
		for _, promise := range f.breaks {
			run = append(run, fmt.Sprintf("^TestBrokenLogs$/^%s$/^%s$", regexp.QuoteMeta(testName(f)), promise))
			want = append(want, fmt.Sprintf("TestBrokenLogs/%s/%s", testName(f), promise))
		}
	}
	failed := failures(t, strings.Join(run, "|"))
	for _, test := range want {
		if !slices.Contains(failed, test) {
			t.Errorf("the suite passes on a broken log: %s", test)
		}
	}
	for _, promise := range storetest.Promises() {
		if !slices.ContainsFunc(want, func(test string) bool { return strings.HasSuffix(test, "/"+promise) }) {
			t.Errorf("no fault breaks the promise %s", promise)
		}
	}
}

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

// testName returns what the testing package makes of a fault's name.
func testName(f fault) string { return strings.ReplaceAll(f.does, " ", "_") }

// failures runs tests of this binary, and returns the names of those that failed.
func failures(t *testing.T, run string) (names []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.v", "-test.run", run)
	cmd.Env = append(os.Environ(), withFaults+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("no test fails")
	}
	for _, m := range regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`).FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	if t.Failed() || len(names) == 0 {
		t.Logf("%s", out)
	}
	return names
}
