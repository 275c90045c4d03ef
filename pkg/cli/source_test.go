package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// export writes everything that a recording contains to a file, at the
// recorder's time, and returns its name.
func (r *recording) export(t *testing.T) string {
	t.Helper()
	return r.exportOf(t, history.AllNamespaces, "")
}

// exportOf is export for the objects of one scope. watched is the only
// namespace that was recorded, or "".
func (r *recording) exportOf(t *testing.T, scope history.NamespaceScope, watched string) string {
	t.Helper()
	r.setClock(r.recorderNow())
	name := filepath.Join(t.TempDir(), "story.whx")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	extent := history.Extent{Start: r.now.Add(-365 * 24 * time.Hour), End: r.recorderNow(), Namespace: scope}
	err = r.log.Excerpt(t.Context(), extent, func(e *history.Excerpt) error {
		e.Watched = watched
		_, err := archive.Write(file, e, "test", r.now, nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// scriptCommands returns the commands of the scripts that ask the recorder of a
// variable. Streams have no end.
func scriptCommands(t *testing.T, variable string) (commands [][]string) {
	t.Helper()
	scripts, err := filepath.Glob("testdata/script/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile(`'(?:[^']|'')*'|\S+`)
	for _, script := range scripts {
		text, err := os.ReadFile(script)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimPrefix(strings.TrimSpace(line), "! ")
			call, ok := strings.CutPrefix(line, "exec watchhistory ")
			before, after, asks := strings.Cut(call+" ", " --recorder-url "+variable+" ")
			if !ok || !asks {
				continue
			}
			var args []string
			for _, arg := range quoted.FindAllString(before+" "+after, -1) {
				if strings.HasPrefix(arg, "'") {
					arg = strings.ReplaceAll(strings.Trim(arg, "'"), "''", "'")
				}
				args = append(args, arg)
			}
			commands = append(commands, args)
		}
	}
	return commands
}

// TestSources_GiveSameAnswers runs the commands of the scripts with a recorder
// and with a file of the same history. Both must print the same.
func TestSources_GiveSameAnswers(t *testing.T) {
	story, missed := newRecording(t), newRecording(t)
	missed.now = story.now
	story.still, missed.still = true, true
	story.writeStory()
	missed.writeStoryWithGaps()
	config := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(config, []byte(kubeconfig), 0o600); err != nil {
		t.Fatal(err)
	}
	// With a recorder, a cluster that can't be reached is reported too.
	unreachable := regexp.MustCompile(`(?m)^Warning: (discovery failed|the server no longer serves).*\n`)
	noType := regexp.MustCompile(`the recorder has no resource type ("\w+"), and discovery failed: .*`)
	part := regexp.MustCompile(`part-\d+`) // of a file that is being written
	compared := 0
	commands := map[string][][]string{"$RECORDER": nil, "$MISSED": nil}
	for variable := range commands {
		commands[variable] = scriptCommands(t, variable)
	}
	t.Chdir(t.TempDir()) // some commands write files
	for variable, r := range map[string]*recording{"$RECORDER": story, "$MISSED": missed} {
		file := r.export(t)
		ask := func(args []string, source ...string) (code int, out, errOut string) {
			var stdout bytes.Buffer
			args = append(append([]string{"--kubeconfig", config}, source...), args...)
			code, errOut = run(t.Context(), r, &stdout, args...)
			errOut = unreachable.ReplaceAllString(errOut, "")
			errOut = part.ReplaceAllString(errOut, "part")
			errOut = noType.ReplaceAllString(errOut, "the file has no resource type $1")
			return code, stdout.String(), strings.ReplaceAll(errOut, source[1], "SOURCE")
		}
		for _, args := range commands[variable] {
			call := strings.Join(args, " ")
			if slices.ContainsFunc(args, func(arg string) bool {
				return slices.Contains([]string{"__complete", "-f", "-w", "--watch", "version"}, arg)
			}) {
				continue
			}
			code, out, errOut := ask(args, "--recorder-url", r.url)
			fileCode, fileOut, fileErrOut := ask(args, "--filename", file)
			fileOut = strings.ReplaceAll(fileOut, " -f "+file, "")
			fileErrOut = strings.ReplaceAll(fileErrOut, " -f SOURCE", "")
			if fileCode != code || fileOut != out || fileErrOut != errOut {
				t.Errorf("%s\nof a recorder: %d\n%s%sof a file: %d\n%s%s", call, code, out, errOut,
					fileCode, fileOut, fileErrOut)
			}
			compared++
		}
	}
	if compared < 100 {
		t.Errorf("got %d commands, want at least 100", compared)
	}
}

// TestFile_OfOneNamespace asks a file of one namespace about others.
func TestFile_OfOneNamespace(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	t.Chdir(t.TempDir())
	export, watched := r.exportOf(t, history.ScopeOf("shop"), ""), r.exportOf(t, history.AllNamespaces, "shop")
	for _, args := range []string{
		"get", "", "why", "state", "diff --from 1h", "report", "tree deploy/web", "restore deploy/web#1",
		"history deploy/web", "related deploy/web", "blame deploy/web", "show deploy/web#1",
	} {
		for _, file := range []string{export, watched} {
			code, errOut := run(t.Context(), r, io.Discard, append(strings.Fields(args), "-n", "other", "-f", file)...)
			want := "error: " + file + " has only namespace shop\n-n shop selects it.\n"
			if code != 1 || errOut != want {
				t.Errorf("%s: got exit code %d and %q, want 1 and %q", args, code, errOut, want)
			}
		}
	}
	for _, args := range []string{"get", "", "why", "state", "diff --from 1h", "report -o report.md"} {
		for file, want := range map[string]string{
			export:  export + " has only namespace shop.\n",
			watched: watched + " has only namespace shop, and cluster-scoped objects.\n",
		} {
			code, errOut := run(t.Context(), r, io.Discard, append(strings.Fields(args), "-A", "-f", file)...)
			if code != 0 || !strings.Contains(errOut, want) {
				t.Errorf("%s -A: got exit code %d and %q, want 0 and %q", args, code, errOut, want)
			}
			code, errOut = run(t.Context(), r, io.Discard, append(strings.Fields(args), "-f", file)...)
			if code != 0 || strings.Contains(errOut, "has only") {
				t.Errorf("%s: got exit code %d and %q, want 0 and no note about namespaces", args, code, errOut)
			}
		}
	}
	text, err := os.ReadFile("report.md")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "has only") {
		t.Errorf("got the report of the namespace\n%s\nwant no note about namespaces", text)
	}
	for _, file := range []string{export, watched} {
		var out strings.Builder
		code, errOut := run(t.Context(), r, &out, "report", "-A", "-f", file)
		_, section, _ := strings.Cut(out.String(), "## What is not recorded\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if code != 0 || !strings.Contains(section, " has only namespace shop") {
			t.Errorf("report -A: got exit code %d, %q and the section %q, want the namespace", code, errOut, section)
		}
	}
	code, errOut := run(t.Context(), r, io.Discard, "history", "node/node-1", "-f", export)
	want := "error: no history of nodes \"node-1\": " + export + " has only namespace shop\n"
	if code != 1 || errOut != want {
		t.Errorf("history of a node: got exit code %d and %q, want 1 and %q", code, errOut, want)
	}
	for _, file := range []string{watched, r.export(t)} {
		code, errOut := run(t.Context(), r, io.Discard, "related", "node/node-1", "-f", file)
		if code != 0 || strings.Contains(errOut, "give one with -n") {
			t.Errorf("related of a node: got exit code %d and %q, want no hint at namespaces", code, errOut)
		}
	}
}

// TestFile_HintsWork runs the commands that answers of a file print.
func TestFile_HintsWork(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	settings := func(verb history.Verb) *history.Record {
		return &history.Record{
			Ref: ref("", "configmaps", "shop", "gone", "uid-gone"), Kind: "ConfigMap", Verb: verb,
			Object: []byte(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"gone","namespace":"shop"}}`),
		}
	}
	r.write(6*time.Minute, settings(history.Create))
	r.write(5*time.Minute, settings(history.Delete))
	for _, name := range []string{"a story.whx", `$a "story".whx`} {
		t.Chdir(t.TempDir())
		if err := os.Rename(r.export(t), name); err != nil {
			t.Fatal(err)
		}
		for args, want := range map[string]string{
			"-n shop":                               "restore cm/gone",
			"get -n shop --since 645s --until 545s": "get --flat -n shop",
			"get -A --since 645s --until 545s":      "get --flat -A",
			"history deploy/none -n shop":           "get deployments.apps -A",
			"why cm/gone -n shop":                   "why configmaps/gone#-2",
			"state deploy/web -n shop --at 156h":    "history deployments.apps/web",
			"restore deploy/web -n shop --at 100d":  "history deployments.apps/web",
			"restore cm/gone -n shop --at 1m":       "restore cm/gone",
		} {
			var out bytes.Buffer
			_, errOut := run(t.Context(), r, &out, append(strings.Fields(args), "-f", name)...)
			hint := regexp.MustCompile(`cli\.test (` + want + `.* -f (?:'[^']*'|"[^"]*"|[^\s'"]+))`).
				FindStringSubmatch(out.String() + errOut)
			if hint == nil {
				t.Errorf("%s: got\n%s%swant the command %s with the file", args, out.String(), errOut, want)
				continue
			}
			line := hint[1]
			if strings.HasPrefix(want, "restore") {
				line += " --dry-run=client"
			}
			cmd := exec.CommandContext(t.Context(), "sh", "-c", "watchhistory "+line)
			cmd.Env = append(os.Environ(), "STORY_NOW="+r.now.Format(time.RFC3339))
			if text, err := cmd.CombinedOutput(); err != nil || len(text) == 0 {
				t.Errorf("%s: %s: got %v and %q, want an answer", args, line, err, text)
			}
		}
	}
}

// TestFront_WithoutChanges compares the notes of pages without a root change.
func TestFront_WithoutChanges(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	pod := &history.Record{
		Ref: ref("", "pods", "shop", "before", "uid-before"), Kind: "Pod", Verb: history.Create, Initial: true,
		Class: history.Consequence, Object: []byte(`{"kind":"Pod","metadata":{"name":"before","namespace":"shop"}}`),
	}
	r.write(200*time.Second, pod)
	scheduled := *pod
	scheduled.Verb, scheduled.Initial, scheduled.Managers = history.Update, false, by("kube-scheduler")
	scheduled.Object = []byte(`{"kind":"Pod","metadata":{"name":"before","namespace":"shop"},"spec":{"nodeName":"a"}}`)
	r.write(190*time.Second, &scheduled)
	for window, want := range map[string]string{
		"195s 150s": "1 version that follows from earlier changes",
		"210s 195s": "1 object that existed when recording began",
		"210s 150s": "1 version that follows from earlier changes and 1 object that existed when recording began",
	} {
		since, until, _ := strings.Cut(window, " ")
		for flag, in := range map[string]string{"-n shop": " in shop namespace", "-A": ""} {
			args := append(strings.Fields(flag), "--since", since, "--until", until, "--recorder-url", r.url)
			code, errOut := run(t.Context(), r, io.Discard, args...)
			want := "No changes found" + in + ", only " + want + ": 'cli.test get --flat " + flag + "' shows them.\n"
			if code != 0 || errOut != want {
				t.Errorf("%s: got exit code %d and %q, want %q", args, code, errOut, want)
			}
		}
	}
}

// TestCategories_OfFiles checks that categories of definitions in a file select
// their types, and that a type of that name takes precedence.
func TestCategories_OfFiles(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	if err := r.log.Register(t.Context(), history.Resource{
		Group: "apiextensions.k8s.io", Version: "v1", Plural: "customresourcedefinitions",
		Kind: "CustomResourceDefinition", ShortNames: []string{"crd"},
	}); err != nil {
		t.Fatal(err)
	}
	r.write(7*time.Minute, &history.Record{
		Ref:  ref("apiextensions.k8s.io", "customresourcedefinitions", "", "wolves.toys.example", "uid-crd"),
		Kind: "CustomResourceDefinition", Verb: history.Create,
		Object: []byte(`{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition",` +
			`"metadata":{"name":"wolves.toys.example"},"spec":{"group":"toys.example","scope":"Namespaced",` +
			`"names":{"plural":"wolves","kind":"Wolf","categories":["all","canines","pods"]}}}`),
	})
	file := r.export(t)
	const workloads = "deployment.apps/web\nreplicaset.apps/web-7d9f\npod/web-7d9f-x2k1p\n"
	for args, want := range map[string]string{
		"canines":           "wolf.toys.example/grey\n",
		"all":               workloads + "wolf.toys.example/grey\n",
		"pods":              "pod/web-7d9f-x2k1p\n",
		"api-extensions -A": "customresourcedefinition.apiextensions.k8s.io/wolves.toys.example\n",
	} {
		for _, source := range []string{"-f " + file, "--server http://127.0.0.1:1 --recorder-url " + r.url} {
			var out bytes.Buffer
			line := "get " + args + " --flat --since 13m -n shop -o name " + source
			code, stderr := run(t.Context(), r, &out, strings.Fields(line)...)
			if code != 0 || out.String() != want {
				t.Errorf("%s: got exit code %d and\n%s%s\nwant\n%s", line, code, out.String(), stderr, want)
			}
		}
	}
}

// A recording without an end is read up to its last mark. What follows and
// can't be read is reported.
func TestFile_WithoutEnd(t *testing.T) {
	r := newRecording(t)
	r.writeStory()
	var file bytes.Buffer
	journal, err := archive.NewJournal(&file, archive.Header{Start: r.now.Add(-365 * 24 * time.Hour), Created: r.now})
	if err != nil {
		t.Fatal(err)
	}
	var parts []int // the sizes of the file
	for _, extent := range []history.Extent{
		{Start: r.now.Add(-365 * 24 * time.Hour), End: r.now.Add(-13 * time.Minute)},
		{Start: r.now.Add(-13 * time.Minute), End: r.now},
	} {
		if err := r.log.Excerpt(t.Context(), extent, journal.Append); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, file.Len())
	}
	damaged := bytes.Clone(file.Bytes())
	damaged[parts[0]+50] ^= 1
	for name, tt := range map[string]struct {
		file []byte
		want string
	}{
		"killed":    {file.Bytes(), "The recording was interrupted, or is running: the file ends at "},
		"truncated": {file.Bytes()[:parts[1]-3], "Z. The last "},
		"damaged":   {damaged, fmt.Sprintf("Z. The last %d bytes are damaged or incomplete.\n", parts[1]-parts[0])},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run.whx")
			if err := os.WriteFile(path, tt.file, 0o600); err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			code, stderr := run(t.Context(), r, &out, "get", "-A", "-f", path)
			complete := name == "killed"
			if code != 0 || !strings.Contains(stderr, tt.want) || complete && strings.Contains(stderr, "bytes") {
				t.Errorf("got exit code %d and %q, want 0 and %q", code, stderr, tt.want)
			}
		})
	}
}
