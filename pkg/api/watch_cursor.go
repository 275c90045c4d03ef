package api

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// cursors are the cursors of streams.
//
// The position of a heartbeat is the time of the newest record of the whole
// log. A caller who may read a part of the log must not see when others changed
// something. So their cursors are encrypted, each with a nonce of its own. They
// can't use others: the answer would show whether a time is after the newest
// record.
type cursors struct{ seal cipher.AEAD }

// newCursors derives the key of the cursors from another one, which may be nil.
func newCursors(key []byte) *cursors {
	const size = 32
	if len(key) == 0 {
		key = make([]byte, size)
		_, _ = rand.Read(key) // never fails
	}
	// The functions below fail only for keys and lengths that are not used.
	derived, _ := hkdf.Key(sha256.New, key, nil, "watchhistory cursor", size)
	block, _ := aes.NewCipher(derived)
	seal, _ := cipher.NewGCM(block)
	return &cursors{seal}
}

// hidden returns a position as text that only this recorder can read.
func (c *cursors) hidden(at history.Cursor) string {
	nonce := make([]byte, c.seal.NonceSize(), c.seal.NonceSize()+8+c.seal.Overhead())
	_, _ = rand.Read(nonce) // never fails
	plain := binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))
	return base64.RawURLEncoding.EncodeToString(c.seal.Seal(nonce, nonce, plain, nil))
}

// parse is the inverse of hidden, and for callers who are not restricted also
// of [history.Cursor.String]. An empty text is the zero cursor.
func (c *cursors) parse(text string, restricted bool) (history.Cursor, error) {
	size := c.seal.NonceSize()
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if text == "" || !restricted && (err != nil || len(sealed) <= size) {
		return cursor(text)
	}
	var plain []byte
	if err == nil && len(sealed) > size {
		plain, err = c.seal.Open(nil, sealed[:size], sealed[size:], nil)
	}
	if err != nil || len(plain) != 8 {
		return history.Cursor{}, invalid(v1.ParamCursor, text, "want one from a stream of this recorder")
	}
	return history.Cursor{Time: time.Unix(0, int64(binary.BigEndian.Uint64(plain))).UTC()}, nil
}
