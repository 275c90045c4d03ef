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

// command runs a command of watchhistory-recorder on a storage directory.
func command(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := daemon.NewCommand("test", func(name string) string {
		return map[string]string{"BADGER_PATH": dir, "CONFIG_PATH": ""}[name]
	}, nil)
	var output bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&output)
	cmd.SetErr(&output)
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, output.String())
	}
}

// TestBackup_OfRunningRecorderCanBeContinued restores the backup of a running
// recorder and starts a second recorder on it. Every version must be there
// once, including those after the backup.
func TestBackup_OfRunningRecorderCanBeContinued(t *testing.T) {
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
		t.Errorf("stopped recorder: got a socket %s, want none", admin.SocketName)
	}

	dir := filepath.Join(t.TempDir(), "restored")
	command(t, dir, "restore", file)
	second := start(t, dir, cluster.Config(), nil)
	second.eventually(t, "the update after the backup is recorded", func() (bool, string) {
		got := verbs(second.events(t, "namespace=backup&resourceName=one"))
		return got == "create update", got
	})
	seen := map[string]bool{}
	for _, e := range second.events(t, "") {
		key := e.UID + " " + e.ResourceVersion + " " + e.Verb
		if seen[key] {
			t.Errorf("got %s %s/%s of resourceVersion %s twice, want it once",
				e.Verb, e.Namespace, e.ResourceName, e.ResourceVersion)
		}
		seen[key] = true
	}
	_, _ = cluster.Kubectl(context.WithoutCancel(t.Context()), "delete", "namespace", "backup", "--wait=false")
}

// checkExport exports the last hour of a running recorder, and checks that the
// object is in it.
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
		t.Errorf("got record %+v, error %v, want the creation as revision 1", rec, err)
	}
}

// TestStart_WorksWithoutSocket uses a storage path that is too long for a
// socket.
func TestStart_WorksWithoutSocket(t *testing.T) {
	noLeaks(t)
	dir := filepath.Join(t.TempDir(),
		"a-directory-of-a-long-name-that-leaves-no-room-for-the-name-of-a-socket-in-it-as-those-are-short")
	r := start(t, dir, cluster.Config(), nil)
	if n := r.log.Count("level=WARN", "admin socket not available", "is longer than 103 bytes"); n != 1 {
		t.Errorf("got %d warnings about the socket, want 1", n)
	}
}
