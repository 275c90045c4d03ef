package store

import (
	"fmt"
	"os"
	"path/filepath"
)

// The sizes of memtables, in bytes. Badger builds a table of each in a buffer that grows by doubling and is kept, one of up to eight,
// for builders of which most need a quarter of it: of 8 MB where the memtable had no more than 3.7 MB, and of 16 MB where it had. Much
// smaller they can't be: a transaction takes 15 % of a memtable, and has to take a part of a body (maxPart) with what goes with it.
const (
	usualMemtable   = 3 << 20
	earlierMemtable = 4 << 20 // what earlier recorders had
)

// mostMemtables is how many there are at a time: one is written to, two wait.
const mostMemtables = 3

// memtableSize returns how large memtables are to be for a database. Badger reads what an earlier process left in a write-ahead log
// into a memtable, and ends the process where that is too small. A log is as long as two memtables, until Badger cuts off what it
// did not need: one of any other length may have been an earlier recorder's. The next process has usual memtables again.
func memtableSize(dir string) (int64, error) {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return 0, fmt.Errorf("look for write-ahead logs: %w", err)
	}
	for _, path := range logs {
		st, err := os.Stat(path)
		if err != nil {
			return 0, fmt.Errorf("look at a write-ahead log: %w", err)
		}
		if st.Size() != 2*usualMemtable {
			return earlierMemtable, nil
		}
	}
	return usualMemtable, nil
}
