package backup

import (
	"encoding/binary"

	"github.com/watchhistory/watchhistory/pkg/internal/container"
)

// AppendEntry appends an encoded entry. expires is in seconds since 1970; 0
// means never.
func AppendEntry(b, k, v []byte, expires uint64) []byte {
	b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
	b = binary.AppendUvarint(b, expires)
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// NextEntry decodes the first entry of b, and returns the rest. The results
// share memory with b.
func NextEntry(b []byte) (k, v []byte, expires uint64, rest []byte, err error) {
	var ok1, ok2 bool
	if k, b, ok1 = field(b); !ok1 || len(k) == 0 {
		return nil, nil, 0, nil, readError(container.ErrCorrupt)
	}
	expires, n := binary.Uvarint(b)
	if n <= 0 {
		return nil, nil, 0, nil, readError(container.ErrCorrupt)
	}
	if v, b, ok2 = field(b[n:]); !ok2 {
		return nil, nil, 0, nil, readError(container.ErrCorrupt)
	}
	return k, v, expires, b, nil
}

// field decodes a field with its length before it.
func field(b []byte) (f, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size:][:n], b[size:][n:], true
}
