package store

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

// What Badger writes into a write-ahead log: a header, then entries, each with how it belongs to a transaction.
const (
	logHeader = 20
	logInTxn  = 1 << 6
	logEndTxn = 1 << 7
	// logMaxKey and logMaxValue are more than an entry of this store has, in bytes.
	logMaxKey, logMaxValue = 1 << 16, 16 << 20
)

// cutLogs sets the write-ahead logs aside that are newer than one that is damaged. Badger reads a log up to what is damaged in it,
// and goes on with the next: the log would lack what it had in between, and have a checkpoint that covers it. Without the
// newer ones it is what it was at a moment in the past, checkpoints included, so that recording goes on from there. The
// directory must be locked.
func cutLogs(dir string, log *slog.Logger) error {
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil {
		return fmt.Errorf("look for write-ahead logs: %w", err)
	}
	slices.Sort(logs) // which is their order: their numbers have five digits
	for i, path := range logs {
		_, sound, err := endOfLog(path)
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if sound {
			continue
		}
		log.Warn("a write-ahead log is damaged, and what came after that is to be recorded again", "path", path)
		for _, newer := range logs[i+1:] {
			if err := os.Rename(newer, newer+".lost"); err != nil {
				return fmt.Errorf("set a write-ahead log aside: %w", err)
			}
		}
		break
	}
	return nil
}

// endOfLog returns where the last whole transaction of a write-ahead log ends, and whether nothing comes after it: only zeros, or the
// end of the file.
func endOfLog(path string) (end int64, sound bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	at, err := f.Seek(logHeader, io.SeekStart)
	if err != nil {
		return 0, false, err
	}
	r, end := bufio.NewReaderSize(f, 64<<10), at
	for {
		meta, n, err := logEntry(r)
		switch {
		case errors.Is(err, io.EOF):
			return end, at == end, nil
		case errors.Is(err, errTorn):
			return end, false, nil
		case err != nil:
			return 0, false, err
		}
		if at += n; meta&logInTxn == 0 {
			end = at
		}
	}
}

// errTorn says that an entry of a write-ahead log is not what was written.
var errTorn = errors.New("torn")

// logEntry reads an entry and returns how it belongs to a transaction, and its length in bytes. The end is [io.EOF].
func logEntry(r *bufio.Reader) (meta byte, size int64, err error) {
	if next, err := r.Peek(6); len(next) == 0 || err == nil && [6]byte(next) == [6]byte{} {
		return 0, 0, io.EOF
	}
	head := make([]byte, 0, 2+3*binary.MaxVarintLen64)
	var numbers [3]uint64 // lengths of key and value, and the expiry
	for range 2 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, 0, cutShort(err)
		}
		head = append(head, b)
	}
	for i := range numbers {
		if numbers[i], err = binary.ReadUvarint(r); err != nil {
			return 0, 0, cutShort(err)
		}
		head = binary.AppendUvarint(head, numbers[i])
	}
	if numbers[0] > logMaxKey || numbers[1] > logMaxValue {
		return 0, 0, errTorn
	}
	b := make([]byte, numbers[0]+numbers[1]+crc32.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, 0, cutShort(err)
	}
	data, sum := b[:len(b)-crc32.Size], binary.BigEndian.Uint32(b[len(b)-crc32.Size:])
	table := crc32.MakeTable(crc32.Castagnoli)
	if crc32.Update(crc32.Checksum(head, table), table, data) != sum {
		return 0, 0, errTorn
	}
	return head[0], int64(len(head) + len(b)), nil
}

// cutShort makes of an end in the middle of an entry, or of a number that is none, that the entry is torn.
func cutShort(err error) error {
	if perr := (*os.PathError)(nil); errors.As(err, &perr) {
		return err
	}
	return errTorn
}
