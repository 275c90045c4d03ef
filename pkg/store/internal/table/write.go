package table

import (
	"encoding/binary"
	"fmt"
	"iter"
	"math"

	"github.com/dgraph-io/badger/v4/options"
	badger "github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"

	"github.com/watchhistory/watchhistory/pkg/internal/durable"
)

// blockSize is the length in bytes of a block before compression.
const blockSize = 16 << 10

// Write creates a table. The entries must come in ascending order of their
// keys, and those of the same key newest first. The file is synced when Write
// returns, and replaces an existing one. Without an entry Write creates no
// file, and returns false. It builds the table in memory.
func Write(path string, entries iter.Seq2[Entry, error]) (made bool, err error) {
	b := badger.NewTableBuilder(badger.Options{
		TableSize: 1 << 20, BlockSize: blockSize, BloomFalsePositive: 0.01, ChkMode: options.OnBlockRead,
		Compression: options.ZSTD, ZSTDCompressionLevel: 1,
	})
	defer b.Close()
	done := false
	defer func() {
		if !done {
			b.Finish() // ends the builder's goroutines
		}
	}()
	for e, err := range entries {
		if err != nil {
			return false, err
		}
		k := append(make([]byte, 0, len(e.Key)+version), e.Key...)
		k = binary.BigEndian.AppendUint64(k, math.MaxUint64-e.Version) // newer versions sort first
		b.Add(k, y.ValueStruct{Meta: e.Meta, UserMeta: e.UserMeta, ExpiresAt: e.ExpiresAt, Value: e.Value}, 0)
	}
	if b.Empty() {
		return false, nil
	}
	f, err := durable.Create(path)
	if err != nil {
		return false, fmt.Errorf("write table: %w", err)
	}
	defer func() { _ = f.Discard() }()
	done = true
	if _, err := f.Write(b.Finish()); err != nil {
		return false, fmt.Errorf("write table %s: %w", path, err)
	}
	if err := f.Commit(); err != nil {
		return false, fmt.Errorf("write table %s: %w", path, err)
	}
	return true, nil
}
