package recordertest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Resident returns the resident memory of the running process, in bytes, and
// how much of it are mapped pages of its database's tables. The kernel can
// reclaim those pages.
func (r *Recorder) Resident(tb testing.TB) (all, database int64) {
	tb.Helper()
	all, database, err := resident(strconv.Itoa(r.process.Process.Pid), r.dir)
	if err != nil {
		tb.Fatal(err)
	}
	return all, database
}

// Own is [Recorder.Resident] for the test process, whose database is in dir.
func Own(dir string) (all, database int64, err error) { return resident("self", dir) }

// resident parses smaps, which has about twenty lines for each table. It does
// not allocate per line: garbage would be part of what it measures.
func resident(pid, dir string) (all, database int64, err error) {
	maps, err := os.Open("/proc/" + pid + "/smaps")
	if err != nil {
		return 0, 0, err
	}
	defer maps.Close()
	table, within := false, []byte(dir)
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		line := lines.Bytes()
		switch first, rest, _ := bytes.Cut(line, []byte(" ")); {
		case bytes.Contains(first, []byte("-")): // addresses
			// Compacted tables stay mapped as long as a reader uses them.
			file := bytes.TrimSuffix(line, []byte(" (deleted)"))
			table = bytes.Contains(file, within) && bytes.HasSuffix(file, []byte(".sst"))
		case string(first) == "Rss:":
			kilobytes, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("parse smaps line %q: %w", line, err)
			}
			if all += kilobytes << 10; table {
				database += kilobytes << 10
			}
		}
	}
	return all, database, lines.Err()
}
