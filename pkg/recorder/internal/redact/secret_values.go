package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// shortestPart is the length in bytes from which a part of a value counts as a
// value of its own. Shorter parts are common words.
const shortestPart = 8

// identify returns the identity of an object.
func identify(object []byte) (id Identity, _ error) {
	scan := rawjson.Scan(object)
	for _, key := range scan.Members() {
		if string(key) == "metadata" {
			for _, key := range scan.Members() {
				id.read(&scan, string(key))
			}
		}
	}
	return id, scan.End()
}

// read reads a field of the metadata if it belongs to the identity.
func (id *Identity) read(scan *rawjson.Scanner, field string) {
	switch field {
	case "name":
		id.Name = scan.Text()
	case "namespace":
		id.Namespace = scan.Text()
	case "uid":
		id.UID = scan.Text()
	case "resourceVersion":
		id.RV = scan.Text()
	}
}

// collector collects the values of a Secret: its own, and those of the copies
// that its annotations contain.
type collector struct {
	id     Identity
	values [][]byte
}

// secretValues returns the identity of a Secret, and its values.
func secretValues(object []byte) (Identity, [][]byte, error) {
	var c collector
	scan := rawjson.Scan(object)
	for _, key := range scan.Members() {
		switch string(key) {
		case "metadata":
			c.metadata(&scan)
		case "data":
			c.data(&scan)
		case "kind", "apiVersion", "type", "immutable":
		default:
			eachScalar(&scan, c.add)
		}
	}
	return c.id, c.values, scan.End()
}

// metadata reads the identity and the annotations of the metadata, which comes
// next.
func (c *collector) metadata(scan *rawjson.Scanner) {
	for _, key := range scan.Members() {
		if string(key) != "annotations" {
			c.id.read(scan, string(key))
			continue
		}
		for range scan.Members() {
			c.annotation(peekText(scan))
		}
	}
}

// annotation adds the values of the copy of a Secret that an annotation
// contains as JSON. They may be older than those of the Secret.
func (c *collector) annotation(text string) {
	scan := rawjson.Scan([]byte(text))
	if scan.Kind() != rawjson.Object {
		return
	}
	for _, key := range scan.Members() {
		switch string(key) {
		case "data":
			c.data(&scan)
		case "stringData":
			eachScalar(&scan, c.add)
		}
	}
}

// data adds the values of data, which comes next.
func (c *collector) data(scan *rawjson.Scanner) {
	eachScalar(scan, func(value []byte) { c.add(decodeData(value)) })
}

// add adds a value. If the value is an encoding or a document, its content is
// added too.
func (c *collector) add(value []byte) {
	value = bytes.TrimSpace(value)
	c.values = append(c.values, value)
	if len(value) < shortestPart {
		return
	}
	// A label may contain the decoded value while data contains its encoding.
	unpadded := string(bytes.TrimRight(value, "="))
	for _, decode := range []func(string) ([]byte, error){
		base64.RawStdEncoding.DecodeString, base64.RawURLEncoding.DecodeString, hex.DecodeString,
	} {
		if decoded, err := decode(unpadded); err == nil {
			c.part(decoded)
		}
	}
	if value[0] == '{' || value[0] == '[' {
		scan := rawjson.Scan(value)
		eachScalar(&scan, c.part)
	}
}

// part adds a part of a value unless it is too short.
func (c *collector) part(value []byte) {
	if len(value) >= shortestPart {
		c.values = append(c.values, value)
	}
}

// decodeData decodes a value of a Secret's data from base64. A value that is
// not base64 is returned as it is.
func decodeData(value []byte) []byte {
	if decoded, err := base64.StdEncoding.DecodeString(string(value)); err == nil {
		return decoded
	}
	return value
}

// eachScalar consumes the value that comes next and calls add for each string
// and number in it.
func eachScalar(scan *rawjson.Scanner, add func([]byte)) {
	switch scan.Kind() {
	case rawjson.String:
		add([]byte(scan.Text()))
	case rawjson.Number:
		add(scan.Skip())
	case rawjson.Object:
		for range scan.Members() {
			eachScalar(scan, add)
		}
	case rawjson.Array:
		for range scan.Elements() {
			eachScalar(scan, add)
		}
	}
}
