package recorder

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// hashPrefix begins every hash that stands in a value's place; 32 hexadecimal digits follow.
const hashPrefix = "hmac-sha256:"

// redactor replaces values by keyed hashes: equal values have equal hashes, so
// that a change shows and the value does not.
type redactor struct{ key []byte }

// value replaces the value that comes next. Base64 is decoded first, so that the same value has the same hash in data
// and in stringData.
func (r *redactor) value(scan *rawjson.Scanner, encoded bool, edits []rawjson.Edit) []rawjson.Edit {
	start, kind := scan.Offset(), scan.Kind()
	var secret []byte
	if kind == rawjson.String {
		secret = []byte(scan.Text())
	} else {
		secret = scan.Skip()
	}
	if encoded && kind == rawjson.String {
		secret = decodeData(secret)
	}
	return append(edits, rawjson.Edit{Start: start, End: scan.Offset(), With: r.hash(secret)})
}

// decodeData returns what a value in a Secret's data stands for.
func decodeData(value []byte) []byte {
	if decoded, err := base64.StdEncoding.DecodeString(string(value)); err == nil {
		return decoded
	}
	return value
}

// hash returns the keyed hash of a value as a JSON string: the first 128 bits of HMAC-SHA256.
func (r *redactor) hash(secret []byte) []byte {
	mac := hmac.New(sha256.New, r.key)
	mac.Write(secret)
	return []byte(`"` + hashPrefix + hex.EncodeToString(mac.Sum(nil)[:16]) + `"`)
}

// hashed reports whether the value that comes next is a hash, and consumes it if it is.
func hashed(scan *rawjson.Scanner) bool {
	if scan.Kind() != rawjson.String {
		return false
	}
	ahead := *scan
	if !isHash(ahead.Text()) {
		return false
	}
	scan.Skip()
	return true
}

func isHash(text string) bool {
	digits, ok := bytes.CutPrefix([]byte(text), []byte(hashPrefix))
	_, err := hex.DecodeString(string(digits))
	return ok && err == nil && len(digits) == 32
}

// hashesIn returns the hashes that stand in an object as it was recorded.
func hashesIn(object []byte) map[string]bool {
	const length = len(hashPrefix) + 32
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

// literal returns the string literal that begins at an offset of a document.
func literal(document []byte, at int) []byte {
	scan := rawjson.Scan(document[at:])
	return scan.Skip()
}

// quote returns a text as a JSON string.
func quote(text []byte) ([]byte, bool) {
	quoted, err := json.Marshal(string(text))
	return quoted, err == nil
}
