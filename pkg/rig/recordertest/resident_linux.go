package recordertest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
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

// resident makes no garbage of what it reads, twenty lines for each table: that would be a part of what it measures.
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
			// Tables that were compacted stay mapped for as long as somebody reads them.
			file := bytes.TrimSuffix(line, []byte(" (deleted)"))
			table = bytes.Contains(file, within) && bytes.HasSuffix(file, []byte(".sst"))
		case string(first) == "Rss:":
			kilobytes, err := strconv.ParseInt(string(bytes.TrimSuffix(bytes.TrimSpace(rest), []byte(" kB"))), 10, 64)
			if err != nil {
				return 0, 0, fmt.Errorf("%s: %w", line, err)
			}
			if all += kilobytes << 10; table {
				database += kilobytes << 10
			}
		}
	}
	return all, database, lines.Err()
}
