package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"hash"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

const (
	// hashPrefix begins every hash that replaces a value.
	hashPrefix = "hmac-sha256:"
	// hashDigits is the number of hexadecimal digits after the prefix.
	hashDigits = 32

	// keyPurpose begins the message from which the key of an object's hashes is
	// derived.
	keyPurpose = "watchhistory hashes of an object\x00"
)

// hasher computes the hashes of one version of an object, with a key that no
// other object has. Equal values have equal hashes in all versions of the
// object, so a change is visible while the value is not. A guess can't be
// tested in another object: see docs/design/0019-hashes-are-keyed-by-object.md.
//
// The key is derived at the first hash. So a version in which nothing is hashed
// costs nothing.
type hasher struct {
	redactor *Redactor
	object   []byte // the version, before it is redacted

	id         Identity
	err        error // that identity returned
	identified bool  // id and err are set

	mac hash.Hash         // with the object's key; nil before the first hash
	sum [sha256.Size]byte // buffer
}

// identity returns the object's identity. It reads the object once.
func (h *hasher) identity() (Identity, error) {
	if !h.identified {
		h.id, h.err = identify(h.object)
		h.identified = true
	}
	return h.id, h.err
}

// hash returns the keyed hash of a value as a JSON string: the first 128 bits
// of its HMAC-SHA256. If the object can't be identified, it sets h.err, and the
// hash must not be stored.
func (h *hasher) hash(value []byte) []byte {
	if h.mac == nil {
		id, _ := h.identity()
		h.mac = hmac.New(sha256.New, h.redactor.deriveKey(id))
	}
	h.mac.Reset()
	h.mac.Write(value)
	text := make([]byte, 0, len(hashPrefix)+hashDigits+2)
	text = append(text, `"`+hashPrefix...)
	text = hex.AppendEncode(text, h.mac.Sum(h.sum[:0])[:hashDigits/2])
	return append(text, '"')
}

// deriveKey derives the key of an object's hashes from the redaction key.
//
// The UID distinguishes the objects of the API server. An aggregated API server
// may return objects with the UID of another one, or with none, so the resource
// and the name are included. The length of each part precedes it, so that two
// identities never yield the same message.
func (r *Redactor) deriveKey(id Identity) []byte {
	message := []byte(keyPurpose)
	for _, part := range []string{r.resource.Group, r.resource.Resource, id.Namespace, id.Name, id.UID} {
		message = binary.AppendUvarint(message, uint64(len(part)))
		message = append(message, part...)
	}
	r.keys.Reset()
	r.keys.Write(message)
	return r.keys.Sum(nil)
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
	*hasher

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
