package backup

import (
	"encoding/base64"
	"encoding/binary"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Position is the end of a backup: a log and the time of its newest record. Its
// text is a token. The zero Position is the beginning of any log.
type Position struct {
	Log  [8]byte // identifies the log; copies of a log have the same value
	Time uint64  // in nanoseconds since 1970
}

// IsZero reports whether the position is the beginning of any log.
func (p Position) IsZero() bool { return p == Position{} }

// MarshalText returns the position's token: 22 letters, digits, minus signs and
// underscores. The token of the zero position is empty.
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
		return history.Errorf(history.Invalid, "%q is not a position of a backup", text)
	}
	copy(p.Log[:], b)
	p.Time = binary.BigEndian.Uint64(b[len(p.Log):])
	return nil
}

// String returns the position's token.
func (p Position) String() string {
	b, _ := p.MarshalText() // never fails
	return string(b)
}
