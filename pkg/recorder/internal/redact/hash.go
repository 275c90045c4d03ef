package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

const (
	// hashPrefix begins every hash that replaces a value.
	hashPrefix = "hmac-sha256:"
	// hashDigits is the number of hexadecimal digits after the prefix.
	hashDigits = 32
)

// hasher computes keyed hashes. Equal values have equal hashes, so a change is
// visible while the value is not.
type hasher struct{ key []byte }

// hash returns the keyed hash of a value as a JSON string: the first 128 bits
// of its HMAC-SHA256.
func (h hasher) hash(value []byte) []byte {
	mac := hmac.New(sha256.New, h.key)
	mac.Write(value)
	return []byte(`"` + hashPrefix + hex.EncodeToString(mac.Sum(nil)[:hashDigits/2]) + `"`)
}

// isHash reports whether a text is a hash of this package.
func isHash(text string) bool {
	digits, ok := bytes.CutPrefix([]byte(text), []byte(hashPrefix))
	_, err := hex.DecodeString(string(digits))
	return ok && err == nil && len(digits) == hashDigits
}

// hashesIn returns the hashes that a recorded object contains.
func hashesIn(object []byte) map[string]bool {
	const length = len(hashPrefix) + hashDigits
	all := map[string]bool{}
	for {
		at := bytes.Index(object, []byte(hashPrefix))
		if at < 0 || len(object) < at+length {
			return all
		}
		all[string(object[at:at+length])] = true
		object = object[at+length:]
	}
}

// document is a JSON document with the edits that redact it. The edits are in
// the order of their offsets.
type document struct {
	hasher

	text       []byte
	keepHashes bool // hashes of an earlier redaction are not hashed again
	edits      []rawjson.Edit
}

// replace adds the edit that replaces the bytes from start to end by with.
func (d *document) replace(start, end int, with []byte) {
	d.edits = append(d.edits, rawjson.Edit{Start: start, End: end, With: with})
}

// hashNext hashes the value that comes next.
//
// If isData is set, a string is decoded from base64 first. So a value has the
// same hash in a Secret's data and in its stringData.
func (d *document) hashNext(scan *rawjson.Scanner, isData bool) {
	if d.keepHashes && skipHash(scan) {
		return
	}
	start := scan.Offset()
	var value []byte
	switch {
	case scan.Kind() != rawjson.String:
		value = scan.Skip()
	case isData:
		value = decodeData([]byte(scan.Text()))
	default:
		value = []byte(scan.Text())
	}
	d.replace(start, scan.Offset(), d.hash(value))
}

// hashKey hashes the key of the member that begins at an offset. The key
// consists of the prefix, which stays, and the name, which is hashed.
func (d *document) hashKey(at int, prefix string, name []byte) {
	with := d.hash(name)
	if prefix != "" {
		with = append([]byte(`"`+prefix), with[1:]...)
	}
	scan := rawjson.Scan(d.text[at:])
	d.replace(at, at+len(scan.Skip()), with)
}

// apply returns the document with the edits made.
func (d *document) apply() []byte { return rawjson.Apply(d.text, d.edits) }

// skipHash consumes the value that comes next if it is a hash, and reports
// whether it was.
func skipHash(scan *rawjson.Scanner) bool {
	if !isHash(peekText(scan)) {
		return false
	}
	scan.Skip()
	return true
}

// peekText returns the string that comes next without consuming it. It returns
// "" for any other value.
func peekText(scan *rawjson.Scanner) string {
	ahead := *scan
	if ahead.Kind() != rawjson.String {
		return ""
	}
	return ahead.Text()
}

// quote returns a text as a JSON string.
func quote(text []byte) ([]byte, bool) {
	quoted, err := json.Marshal(string(text))
	return quoted, err == nil
}
