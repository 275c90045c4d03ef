package store

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"io"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Position is how far a backup goes: a log, and the time of the newest record in it. As text it is a token.
type Position struct {
	Log  [8]byte // tells logs apart; copies of one are equal
	Time uint64  // in nanoseconds since 1970
}

// IsZero tells whether the position is the beginning of whatever log.
func (p Position) IsZero() bool { return p == Position{} }

// MarshalText returns the position's token: 22 letters, digits, minus and underscore; "" for the zero position.
func (p Position) MarshalText() ([]byte, error) {
	if p.IsZero() {
		return nil, nil
	}
	return base64.RawURLEncoding.AppendEncode(nil, binary.BigEndian.AppendUint64(p.Log[:], p.Time)), nil
}

// UnmarshalText is the inverse of [Position.MarshalText].
func (p *Position) UnmarshalText(text []byte) error {
	*p = Position{}
	if len(text) == 0 {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().AppendDecode(nil, text)
	if err != nil || len(b) != len(p.Log)+8 {
		return history.Errorf(history.Invalid, "%q is no position of a backup", text)
	}
	copy(p.Log[:], b)
	p.Time = binary.BigEndian.Uint64(b[len(p.Log):])
	return nil
}

// String returns the position's token.
func (p Position) String() string {
	b, _ := p.MarshalText() // it never fails
	return string(b)
}

// ReachedBy returns the position that a backup reaches, of which it reads the beginning only. What is no backup is a
// [history.Invalid] error.
func ReachedBy(backup io.Reader) (Position, error) {
	in, err := openBackup(backup)
	if err != nil {
		return Position{}, err
	}
	defer in.r.Close()
	return in.To, nil
}

// id returns what tells the log from others. The key that it is made of can't be told from it.
func (s *Store) id() (id [8]byte) {
	sum := sha256.Sum256(append([]byte("watchhistory log\x00"), s.redaction...))
	copy(id[:], sum[:])
	return id
}
