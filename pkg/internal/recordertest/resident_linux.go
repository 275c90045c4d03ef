package recordertest

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Resident returns what the running process has resident, in bytes, and how much of that are pages of its database's tables, which
// are mapped: the kernel keeps those as long as nobody needs the room.
func (r *Recorder) Resident(tb testing.TB) (all, database int64) {
	tb.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", r.process.Process.Pid))
	if err != nil {
		tb.Fatal(err)
	}
	table := false
	for lines := bufio.NewScanner(bytes.NewReader(maps)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) > 4 && strings.Contains(words[0], "-"):
			table = strings.HasPrefix(words[len(words)-1], r.dir) && strings.HasSuffix(words[len(words)-1], ".sst")
		case len(words) == 3 && words[0] == "Rss:":
			var kilobytes int64
			if _, err := fmt.Sscan(words[1], &kilobytes); err != nil {
				tb.Fatalf("%s: %v", lines.Text(), err)
			}
			if all += kilobytes << 10; table {
				database += kilobytes << 10
			}
		}
	}
	return all, database
}
