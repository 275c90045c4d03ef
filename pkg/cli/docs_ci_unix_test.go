//go:build unix

package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/watchhistory/watchhistory/pkg/rig/clustertest"
)

// TestDocs_PipelinesWork runs the commands of the workflows in docs/ci.md, in
// the shells of GitHub and GitLab, against a real API server.
func TestDocs_PipelinesWork(t *testing.T) {
	github, gitlab := documentedWorkflows(t)
	for _, tt := range []struct {
		name     string
		workflow ciWorkflow
		e2e      string // the script of the user
		code     int    // of the test
		stderr   string // of the test contains it
		report   []string
	}{
		{
			name: "GitHub success", workflow: github, e2e: "kubectl -n e2e create configmap passed",
			report: []string{"End-to-end test", "configmap/passed"},
		},
		{
			name: "GitHub crash loop", workflow: github, e2e: crashLoop,
			code: 3, stderr: "✗ --fail-on problem.contains", report: []string{"crasher", "CrashLoopBackOff"},
		},
		{
			name: "GitLab failure", workflow: gitlab, e2e: "kubectl -n e2e create configmap failed; exit 7",
			code: 7, report: []string{"End-to-end test", "configmap/failed"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			job := newCIJob(t, clustertest.New(t, clustertest.Options{}), tt.e2e) // each job has a cluster
			if code, stderr := job.run(t, tt.workflow.test); code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Fatalf("test: got exit code %d, want %d; stderr, want it to contain %q:\n%s",
					code, tt.code, tt.stderr, stderr)
			}
			if code, stderr := job.run(t, tt.workflow.after); code != 0 {
				t.Fatalf("after the test: got exit code %d, want 0; stderr:\n%s", code, stderr)
			}
			for _, path := range tt.workflow.artifacts {
				if info, err := os.Stat(filepath.Join(job.dir, path)); err != nil || info.Size() == 0 {
					t.Errorf("artifact %s: got %v, want a file that is not empty", path, err)
				}
			}
			text, err := os.ReadFile(filepath.Join(job.dir, tt.workflow.summary))
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.report {
				if !strings.Contains(string(text), want) {
					t.Errorf("report: want it to contain %q, got:\n%s", want, text)
				}
			}
		})
	}
}

// crashLoop creates a pod that a kubelet would report to be in a crash loop.
const crashLoop = `
kubectl -n e2e apply -f - <<POD
apiVersion: v1
kind: Pod
metadata: {name: crasher}
spec: {automountServiceAccountToken: false, containers: [{name: app, image: app:1}]}
POD
kubectl -n e2e patch pod crasher --subresource status -p '{"status": {"phase": "Running", "containerStatuses": [
  {"name": "app", "image": "app:1", "imageID": "", "ready": false, "restartCount": 5,
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 2m40s restarting failed container"}}}]}}'
`

// ciWorkflow has the commands of a workflow.
type ciWorkflow struct {
	test, after string   // scripts
	artifacts   []string // files of the job
	summary     string   // the file of the report in Markdown
}

// documentedWorkflows returns the workflows of docs/ci.md.
func documentedWorkflows(t *testing.T) (github, gitlab ciWorkflow) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "ci.md"))
	if err != nil {
		t.Fatal(err)
	}
	document := func(heading string, into any) {
		t.Helper()
		block := regexp.MustCompile("(?s)## " + heading + "\n\n```yaml\n(.*?)```").FindSubmatch(text)
		if block == nil {
			t.Fatalf("docs/ci.md: no YAML after the heading %s", heading)
		}
		if err := yaml.Unmarshal(block[1], into); err != nil {
			t.Fatalf("docs/ci.md: %s: %v", heading, err)
		}
	}
	var onGitHub struct {
		Jobs map[string]struct {
			Steps []struct {
				Name, Run string
				With      map[string]any
			}
		}
	}
	document("GitHub Actions", &onGitHub)
	github.summary = "summary.md"
	for _, step := range onGitHub.Jobs["e2e"].Steps {
		switch step.Name {
		case "Test":
			github.test = step.Run
		case "Report":
			github.after = step.Run
		case "Keep the recording":
			github.artifacts = strings.Fields(fmt.Sprint(step.With["path"]))
		}
	}
	var onGitLab map[string]struct {
		Script      []string
		AfterScript []string `json:"after_script"`
		Artifacts   struct{ Paths []string }
	}
	document("GitLab", &onGitLab)
	job := onGitLab["e2e"]
	gitlab = ciWorkflow{
		test: strings.Join(job.Script, "\n"), after: strings.Join(job.AfterScript, "\n"),
		artifacts: job.Artifacts.Paths, summary: "e2e.md",
	}
	for _, w := range []ciWorkflow{github, gitlab} {
		if !strings.Contains(w.test, "record") || !strings.Contains(w.after, "report") || len(w.artifacts) < 2 {
			t.Fatalf("docs/ci.md: got %+v, want a test, a report and artifacts", w)
		}
	}
	return github, gitlab
}

// ciJob is the directory and the environment of a job.
type ciJob struct {
	dir string
	env []string
}

// newCIJob returns a job with kubectl, the plugin and the script of the user.
func newCIJob(t *testing.T, cluster *clustertest.Cluster, e2e string) ciJob {
	t.Helper()
	dir, bin := t.TempDir(), t.TempDir()
	plugin, err := exec.LookPath("watchhistory")
	if err != nil {
		t.Fatal(err)
	}
	kubectl := fmt.Sprintf("[ \"$1\" != watchhistory ] || { shift; exec '%s' \"$@\"; }\nexec '%s' kubectl \"$@\"\n",
		plugin, cluster.Binary)
	for path, script := range map[string]string{
		filepath.Join(bin, "kubectl"): kubectl, filepath.Join(dir, "run-e2e.sh"): "set -e\n" + e2e,
	} {
		//nolint:gosec // the file is a script
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return ciJob{dir: dir, env: append(os.Environ(),
		"PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+cluster.Kubeconfig,
		"KUBECACHEDIR="+t.TempDir(), "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary.md"), "CI=true")}
}

// run runs a script as GitHub and GitLab do, and returns its exit code and
// stderr.
func (j ciJob) run(t *testing.T, script string) (code int, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-o", "pipefail", "-c", script)
	cmd.Dir, cmd.Env = j.dir, slices.Clone(j.env)
	var errOut strings.Builder
	cmd.Stderr = &errOut
	err := cmd.Run()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return failed.ExitCode(), errOut.String()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0, errOut.String()
}
