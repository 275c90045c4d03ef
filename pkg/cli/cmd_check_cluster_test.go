package cli_test

import (
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// testCheck checks a cluster without a recorder, and a real recorder by its
// URL.
func testCheck(t *testing.T, cluster *clustertest.Cluster) {
	t.Helper()
	i := &installation{t, cluster, nil}
	wantFindings := func(line string, code int, texts ...string) (stdout string) {
		t.Helper()
		got, stdout, stderr := i.run(line)
		if got != code || stderr != "" {
			t.Errorf("%s: got exit code %d, stderr %q; want %d and nothing", line, got, stderr, code)
		}
		for _, text := range texts {
			if !strings.Contains(stdout, text) {
				t.Errorf("%s: got\n%swant %q", line, stdout, text)
			}
		}
		return stdout
	}
	wantFindings("check", 1, "✓ API server  "+cluster.Config().Host+" (v1.", ", as ",
		"✗ recorder    no watchhistory recorder found in the cluster\n"+
			"              Install one with: kubectl watchhistory install --apply\n")
	wantFindings("check --as jane", 1, ", as jane\n") // found with the administrator's rights

	config, err := daemon.ParseConfig([]byte(`
discover: none
resources:
- {version: v1, kind: ConfigMap, plural: configmaps, namespaced: true}
`))
	if err != nil {
		t.Fatal(err)
	}
	config.ServerPort = 0
	url := "http://" + recordertest.RunDaemon(t, cluster.Config(), config).Address()
	recordertest.Eventually(t, "the recorder is in sync", func() (bool, string) {
		_, stdout, _ := i.run("check --recorder-url " + url)
		return strings.Contains(stdout, "✓ kinds       2 kinds recorded; not configured: ") &&
			strings.Contains(stdout, "begins at "), stdout
	})
	wantFindings("check --recorder-url "+url, 0,
		"✓ version     kubectl-watchhistory v1.2.3, recorder unknown, running for ",
		"✓ history     kept for 14 days, begins at ", "✓ gaps        none now and within the last day\n",
		"✓ disk        ", " free on the volume\n")
	out := i.want("version --recorder-url "+url, "watchhistory-recorder unknown go1.")
	if strings.Count(out, "\n") != 2 {
		t.Errorf("version: got\n%swant two lines", out)
	}
}
