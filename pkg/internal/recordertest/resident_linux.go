package recordertest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

// Resident returns what the running process has resident, in bytes, and how much of that are pages of its database's tables, which
// are mapped: the kernel keeps those as long as nobody needs the room.
func (r *Recorder) Resident(tb testing.TB) (all, database int64) {
	tb.Helper()
	all, database, err := resident(strconv.Itoa(r.process.Process.Pid), r.dir)
	if err != nil {
		tb.Fatal(err)
	}
	return all, database
}

// Own is [Recorder.Resident] for the test's own process, which has a database in a directory.
func Own(dir string) (all, database int64, err error) { return resident("self", dir) }

func resident(pid, dir string) (all, database int64, err error) {
	maps, err := os.ReadFile("/proc/" + pid + "/smaps")
	if err != nil {
		return 0, 0, err
	}
	table := false
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) > 4 && strings.Contains(words[0], "-"):
			// Tables that were compacted stay mapped for as long as somebody reads them.
			file := strings.TrimSuffix(lines.Text(), " (deleted)")
			table = strings.Contains(file, dir) && strings.HasSuffix(file, ".sst")
		case len(words) == 3 && words[0] == "Rss:":
			var kilobytes int64
			if _, err := fmt.Sscan(words[1], &kilobytes); err != nil {
				return 0, 0, fmt.Errorf("%s: %w", lines.Text(), err)
			}
			if all += kilobytes << 10; table {
				database += kilobytes << 10
			}
		}
	}
	return all, database, nil
}
