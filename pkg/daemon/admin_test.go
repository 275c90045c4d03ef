package daemon_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/admin"
	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// command runs a command of the recorder's command line over a storage directory.
func command(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := daemon.NewCommand("test", func(name string) string {
		return map[string]string{"BADGER_PATH": dir, "CONFIG_PATH": ""}[name]
	}, nil)
	var said bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&said)
	cmd.SetErr(&said)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, said.String())
	}
}

// TestABackupOfARunningRecorderIsGoneOnWith backs up a recorder that runs, and lets another one go on from the backup: what the
// first has recorded is there once, and what happened since is recorded.
func TestABackupOfARunningRecorderIsGoneOnWith(t *testing.T) {
	noLeaks(t)
	kubectl(t, "create", "namespace", "backup")
	first := start(t, t.TempDir(), cluster.Config(), nil)
	kubectl(t, "create", "configmap", "one", "-n", "backup")
	first.eventually(t, "the creation is recorded", func() (bool, string) {
		got := verbs(first.events(t, "namespace=backup&resourceName=one"))
		return got == "create", got
	})
	file := filepath.Join(t.TempDir(), "history.whb")
	command(t, first.dir, "backup", file)
	command(t, first.dir, "verify")
	checkExport(t, first.dir)
	kubectl(t, "patch", "configmap", "one", "-n", "backup", "-p", `{"data":{"a":"2"}}`)
	first.stop(t)
	if _, err := os.Lstat(filepath.Join(first.dir, admin.SocketName)); err == nil {
		t.Error("the socket outlives the recorder")
	}

	dir := filepath.Join(t.TempDir(), "restored")
	command(t, dir, "restore", file)
	second := start(t, dir, cluster.Config(), nil)
	second.eventually(t, "what happened since the backup is recorded", func() (bool, string) {
		got := verbs(second.events(t, "namespace=backup&resourceName=one"))
		return got == "create update", got
	})
	seen := map[string]bool{}
	for _, e := range second.events(t, "") {
		key := e.UID + " " + e.ResourceVersion + " " + e.Verb
		if seen[key] {
			t.Errorf("recorded twice: %s %s/%s, %s", e.Verb, e.Namespace, e.ResourceName, e.ResourceVersion)
		}
		seen[key] = true
	}
	_, _ = cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "namespace", "backup", "--wait=false")
}

// checkExport exports a running recorder's last hour, and looks for the object in it.
func checkExport(t *testing.T, dir string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hour.whx")
	command(t, dir, "export", file, "--start", "1h", "--namespace", "backup", "--resource", "cm")
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := archive.Open(t.Context(), f, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	rec, err := r.Latest(t.Context(), history.ObjectRef{Resource: "configmaps", Namespace: "backup", Name: "one"})
	if err != nil || rec.Verb != history.Create || rec.Revision != 1 {
		t.Errorf("%+v, %v", rec, err)
	}
}

// TestAStorageDirectoryTooDeepForASocketIsRecordedInto checks that a recorder does without its socket.
func TestAStorageDirectoryTooDeepForASocketIsRecordedInto(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(t.TempDir(), "a-directory-of-a-long-name-that-leaves-no-room-for-the-name-of-a-socket-in-it-as-those-are-short")
	r := start(t, dir, cluster.Config(), nil)
	if n := r.log.count("level=WARN", "for want of a socket", "shorter relative path"); n != 1 {
		t.Errorf("it is said %d times that there is no socket", n)
	}
}
