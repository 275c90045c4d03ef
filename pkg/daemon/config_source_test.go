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

// volume is a directory as the kubelet mounts a ConfigMap. Its file is a link
// through a second link, which each update replaces.
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

// write replaces the file by one with this content.
func (v *volume) write(content string) {
	v.t.Helper()
	v.next++
	data := fmt.Sprintf("..%d", v.next)
	v.check(os.Mkdir(filepath.Join(v.dir, data), 0o700))
	v.check(os.WriteFile(filepath.Join(v.dir, data, "resources.yaml"), []byte(content), 0o600))
	v.check(os.Symlink(data, filepath.Join(v.dir, "..tmp")))
	v.check(os.Rename(filepath.Join(v.dir, "..tmp"), filepath.Join(v.dir, "..data")))
}

// remove removes the file until the next write.
func (v *volume) remove() { v.check(os.Remove(filepath.Join(v.dir, "..data"))) }

func (v *volume) check(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

// followed keeps what a source passed to the follower: the query limits of
// configurations, or errors.
type followed struct {
	mu  sync.Mutex
	all []string
}

// apply accepts every configuration, and no error.
func (f *followed) apply(c daemon.Config, err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.all = append(f.all, "error "+err.Error())
		return false
	}
	f.all = append(f.all, fmt.Sprint(c.MaxQueryLimit))
	return true
}

// drain returns what was passed since the last call.
func (f *followed) drain() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all
	f.all = nil
	return all
}

// follow follows a source in a synctest bubble, with one read each second,
// until the bubble ends.
func follow(t *testing.T, source *daemon.Source, signals <-chan os.Signal) *followed {
	t.Helper()
	if _, err := source.Load(); err != nil {
		t.Fatal(err)
	}
	f := &followed{}
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() { source.Follow(ctx, time.Second, signals, f.apply) })
	t.Cleanup(func() { cancel(); done.Wait() })
	time.Sleep(time.Millisecond) // so that reads are between the steps of the test
	return f
}

// expect compares what was passed since the last call. want are prefixes.
func (f *followed) expect(t *testing.T, step string, want ...string) {
	t.Helper()
	synctest.Wait()
	got := f.drain()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%s: got %q, want %q", step, got, want)
	}
}

func limit(n int) string { return fmt.Sprintf("maxQueryLimit: %d\n", n) }

// sourceAt returns a source with this CONFIG_PATH.
func sourceAt(path string) *daemon.Source {
	return daemon.NewSource(func(name string) string { return map[string]string{"CONFIG_PATH": path}[name] }, "")
}

func TestSource_FollowsChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVolume(t, limit(1))
		f := follow(t, sourceAt(v.path()), nil)
		time.Sleep(time.Minute)
		f.expect(t, "nothing changed")
		v.write(limit(1))
		time.Sleep(time.Minute)
		f.expect(t, "same content written again")
		v.write(limit(2))
		time.Sleep(2 * time.Second)
		f.expect(t, "limit changed", "2")
		v.write("maxQueryLimit: none\n")
		time.Sleep(time.Minute)
		f.expect(t, "mistake", "error "+v.path()+": line 1: maxQueryLimit: want a whole number")
		v.write("serverPort: x\n")
		time.Sleep(time.Minute)
		f.expect(t, "another mistake", "error "+v.path()+": line 1: serverPort: ")
		v.write(limit(2))
		time.Sleep(time.Minute)
		f.expect(t, "applied content is back", "2")
		v.remove()
		time.Sleep(time.Minute)
		f.expect(t, "file removed", "error read the configuration file of CONFIG_PATH: open "+v.path())
		v.write(limit(3))
		time.Sleep(time.Minute)
		f.expect(t, "file is back", "3")
	})
}

// TestSource_IgnoresPartialWrites writes a file in place: it is empty first,
// and then has half of its content.
func TestSource_IgnoresPartialWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "resources.yaml")
		write := func(content string) {
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(limit(1))
		signals := make(chan os.Signal)
		f := follow(t, sourceAt(path), signals)
		for i, part := range []string{"", "maxQuery", "maxQueryLimit: 2", "maxQueryLimit: 25"} {
			f.expect(t, fmt.Sprint("after part ", i))
			write(part)
			time.Sleep(time.Second)
		}
		f.expect(t, "after one read")
		time.Sleep(time.Second)
		f.expect(t, "after two reads", "25")
		write(limit(3))
		signals <- os.Interrupt
		f.expect(t, "after a signal", "3")
		time.Sleep(time.Minute)
		f.expect(t, "already applied")
	})
}

// TestSource_OnlyFallbackMayBeAbsent also checks that a fallback that was
// applied once may not disappear.
func TestSource_OnlyFallbackMayBeAbsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "resources.yaml")
		source := daemon.NewSource(func(string) string { return "" }, path)
		f := follow(t, source, nil)
		time.Sleep(time.Minute)
		f.expect(t, "no file")
		for _, step := range []struct{ content, want string }{
			{"maxQueryLimit: none\n", "error "},
			{"", "1000"},
			{limit(5), "5"},
			{"", "error read the configuration file: open "},
			{limit(5), "5"},
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
	_, err := sourceAt(filepath.Join(t.TempDir(), "absent.yaml")).Load()
	if history.CodeOf(err) != history.Invalid {
		t.Errorf("absent file of CONFIG_PATH: got error %v with code %s, want code %s",
			err, history.CodeOf(err), history.Invalid)
	}
}
