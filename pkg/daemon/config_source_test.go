package daemon_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/watchhistory/watchhistory/pkg/daemon"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// volume is a directory as the kubelet mounts a ConfigMap: its file is a link through another one, which is swapped.
type volume struct {
	t    *testing.T
	dir  string
	next int
}

func newVolume(t *testing.T, content string) *volume {
	t.Helper()
	v := &volume{t: t, dir: t.TempDir()}
	v.write(content)
	v.check(os.Symlink("..data/resources.yaml", v.path()))
	return v
}

func (v *volume) path() string { return filepath.Join(v.dir, "resources.yaml") }

// write swaps the file for one with this content.
func (v *volume) write(content string) {
	v.t.Helper()
	v.next++
	data := fmt.Sprintf("..%d", v.next)
	v.check(os.Mkdir(filepath.Join(v.dir, data), 0o700))
	v.check(os.WriteFile(filepath.Join(v.dir, data, "resources.yaml"), []byte(content), 0o600))
	v.check(os.Symlink(data, filepath.Join(v.dir, "..tmp")))
	v.check(os.Rename(filepath.Join(v.dir, "..tmp"), filepath.Join(v.dir, "..data")))
}

// remove takes the file away; the next write brings it back.
func (v *volume) remove() { v.check(os.Remove(filepath.Join(v.dir, "..data"))) }

func (v *volume) check(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// followed is what a source's follower was told: the limits of configurations, or errors.
type followed struct {
	mu  sync.Mutex
	all []string
}

func (f *followed) take(c daemon.Config, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		f.all = append(f.all, "error "+err.Error())
	default:
		f.all = append(f.all, fmt.Sprint(c.MaxQueryLimit))
	}
	return err == nil
}

// told returns what was told since it was last asked.
func (f *followed) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all
	f.all = nil
	return all
}

// follow follows a source in a bubble, with a look each second, until the bubble's test ends.
func follow(t *testing.T, source *daemon.Source, signals <-chan os.Signal) *followed {
	t.Helper()
	if _, err := source.Load(); err != nil {
		t.Fatal(err)
	}
	f := &followed{}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { source.Follow(ctx, time.Second, signals, f.take) })
	t.Cleanup(func() { cancel(); done.Wait() })
	time.Sleep(time.Millisecond) // looks come between the test's steps
	return f
}

func (f *followed) expect(t *testing.T, step string, want ...string) {
	t.Helper()
	synctest.Wait()
	got := f.told()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%s: told %q, want %q", step, got, want)
	}
}

func limit(n int) string { return fmt.Sprintf("maxQueryLimit: %d\n", n) }

func at(path string) *daemon.Source {
	return daemon.NewSource(func(name string) string { return map[string]string{"CONFIG_PATH": path}[name] }, "")
}

func TestChangesOfTheFileAreFollowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t, limit(1))
		f := follow(t, at(v.path()), nil)
		time.Sleep(time.Minute)
		f.expect(t, "nothing changed")
		v.write(limit(1))
		time.Sleep(time.Minute)
		f.expect(t, "the same was written")
		v.write(limit(2))
		time.Sleep(2 * time.Second)
		f.expect(t, "another limit", "2")
		v.write("maxQueryLimit: none\n")
		time.Sleep(time.Minute)
		f.expect(t, "a mistake", "error "+v.path()+": line 1: maxQueryLimit: want a whole number")
		v.write("serverPort: x\n")
		time.Sleep(time.Minute)
		f.expect(t, "another mistake", "error "+v.path()+": line 1: serverPort: ")
		v.write(limit(2))
		time.Sleep(time.Minute)
		f.expect(t, "what is in force comes back", "2")
		v.remove()
		time.Sleep(time.Minute)
		f.expect(t, "the file is gone", "error read the configuration that CONFIG_PATH names: open "+v.path())
		v.write(limit(3))
		time.Sleep(time.Minute)
		f.expect(t, "the file is back", "3")
	})
}

// A file that is written in place is empty at first, and then has half of its rules.
func TestAFileThatIsBeingWrittenIsNotTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "resources.yaml")
		write := func(content string) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(limit(1))
		signals := make(chan os.Signal)
		f := follow(t, at(path), signals)
		for i, part := range []string{"", "maxQuery", "maxQueryLimit: 2", "maxQueryLimit: 25"} {
			f.expect(t, fmt.Sprint("after part ", i))
			write(part)
			time.Sleep(time.Second)
		}
		f.expect(t, "one look")
		time.Sleep(time.Second)
		f.expect(t, "two looks", "25")
		write(limit(3))
		signals <- os.Interrupt
		f.expect(t, "who signals has written all of it", "3")
		time.Sleep(time.Minute)
		f.expect(t, "it was taken up already")
	})
}

func TestOnlyTheDefaultFileMayAppearAndGoAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "resources.yaml")
		source := daemon.NewSource(func(string) string { return "" }, path)
		f := follow(t, source, nil)
		time.Sleep(time.Minute)
		f.expect(t, "there is none")
		for _, step := range []struct{ content, want string }{
			{"maxQueryLimit: none\n", "error "}, {"", "1000"}, {limit(5), "5"}, {"", "error read the configuration: open "}, {limit(5), "5"},
		} {
			if err := os.WriteFile(path, []byte(step.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if step.content == "" {
				_ = os.Remove(path)
			}
			time.Sleep(time.Minute)
			f.expect(t, step.content, step.want)
		}
	})
	_, err := at(filepath.Join(t.TempDir(), "absent.yaml")).Load()
	if history.CodeOf(err) != history.Invalid {
		t.Errorf("a file that was asked for may be absent: %v", err)
	}
}
