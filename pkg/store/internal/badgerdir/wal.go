package badgerdir

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
)

// The format of Badger's WAL: a header, then entries. Two flags of an entry
// mark its place in a transaction.
const (
	walHeader = 20
	walInTxn  = 1 << 6
	// walMaxKey and walMaxValue exceed the largest entry of the store, in
	// bytes.
	walMaxKey, walMaxValue = 1 << 16, 16 << 20
)

// isWAL reports whether a file is a WAL.
func isWAL(name string) bool { return filepath.Ext(name) == ".mem" }

// quarantineWAL renames the WALs that are newer than a damaged one to *.lost.
// The damaged one is kept: Badger reads it up to the damage.
//
// Badger would continue with the newer ones. Then the database would lack
// transactions in between, but would contain checkpoints that cover them.
// Without the newer WALs the database has its state of an earlier moment, and
// recording resumes from the checkpoints of that moment.
func quarantineWAL(dir string, logger *slog.Logger) error {
	wals, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return fmt.Errorf("list write-ahead logs: %w", err)
	}
	slices.Sort(wals) // by age: their numbers have five digits
	for i, path := range wals {
		_, intact, err := endOfWAL(path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if intact {
			continue
		}
		for _, newer := range wals[i+1:] {
			if err := os.Rename(newer, newer+".lost"); err != nil {
				return fmt.Errorf("quarantine write-ahead log: %w", err)
			}
		}
		logger.Warn("write-ahead log damaged, newer logs quarantined", "path", path)
		break
	}
	return nil
}

// endOfWAL returns the offset at which the last complete transaction of a WAL
// ends. intact reports whether nothing but zeros follows.
func endOfWAL(path string) (end int64, intact bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	at, err := f.Seek(walHeader, io.SeekStart)
	if err != nil {
		return 0, false, err
	}
	r, end := bufio.NewReaderSize(f, 64<<10), at
	for {
		flags, n, err := readWALEntry(r)
		switch {
		case errors.Is(err, io.EOF):
			return end, at == end, nil
		case errors.Is(err, errCorruptEntry):
			return end, false, nil
		case err != nil:
			return 0, false, err
		}
		if at += n; flags&walInTxn == 0 {
			end = at
		}
	}
}

// errCorruptEntry is the error of a WAL entry that is incomplete, or whose
// checksum does not match.
var errCorruptEntry = errors.New("corrupt entry")

// readWALEntry reads an entry. It returns the entry's flags and its length in
// bytes. The error is [io.EOF] at the end of the entries.
func readWALEntry(r *bufio.Reader) (flags byte, size int64, err error) {
	// Badger allocates a WAL with zeros. No entry begins with so many of them.
	if next, err := r.Peek(6); len(next) == 0 || err == nil && [6]byte(next) == [6]byte{} {
		return 0, 0, io.EOF
	}
	head := make([]byte, 0, 2+3*binary.MaxVarintLen64)
	var numbers [3]uint64 // lengths of the key and the value, and the expiry
	for range 2 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, 0, corruptUnlessIO(err)
		}
		head = append(head, b)
	}
	for i := range numbers {
		if numbers[i], err = binary.ReadUvarint(r); err != nil {
			return 0, 0, corruptUnlessIO(err)
		}
		head = binary.AppendUvarint(head, numbers[i])
	}
	if numbers[0] > walMaxKey || numbers[1] > walMaxValue {
		return 0, 0, errCorruptEntry
	}
	b := make([]byte, numbers[0]+numbers[1]+crc32.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, 0, corruptUnlessIO(err)
	}
	data, sum := b[:len(b)-crc32.Size], binary.BigEndian.Uint32(b[len(b)-crc32.Size:])
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	if crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, data) != sum {
		return 0, 0, errCorruptEntry
	}
	return head[0], int64(len(head) + len(b)), nil
}

// corruptUnlessIO returns an error of reading the file as it is. Any other
// error, such as an unexpected end, becomes [errCorruptEntry].
func corruptUnlessIO(err error) error {
	if perr := (*os.PathError)(nil); errors.As(err, &perr) {
		return err
	}
	return errCorruptEntry
}
