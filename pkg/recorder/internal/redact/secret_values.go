package recorder

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// shortestPart is the length in bytes from which a part of a value counts as a
// value of its own. Shorter ones are words that occur everywhere.
const shortestPart = 8

// identity is what an object is known by.
type identity struct {
	objectKey

	uid, rv string
}

// identify returns what identifies an object.
func identify(object []byte) (id identity, _ error) {
	scan := rawjson.Scan(object)
	for _, key := range scan.Members() {
		if string(key) == "metadata" {
			for _, key := range scan.Members() {
				id.field(&scan, string(key))
			}
		}
	}
	return id, scan.End()
}

// field takes over a field of the metadata if it is a part of the identity.
func (id *identity) field(scan *rawjson.Scanner, name string) {
	switch name {
	case "name":
		id.name = scan.Text()
	case "namespace":
		id.namespace = scan.Text()
	case "uid":
		id.uid = scan.Text()
	case "resourceVersion":
		id.rv = scan.Text()
	}
}

// collector finds the values of a Secret: those that it has, and those that
// copies of it in its annotations have.
type collector struct {
	id     identity
	values [][]byte
}

// collect returns what identifies a Secret, and its values.
func collect(object []byte) (identity, [][]byte, error) {
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
			leaves(&scan, c.add)
		}
	}
	return c.id, c.values, scan.End()
}

func (c *collector) metadata(scan *rawjson.Scanner) {
	for _, key := range scan.Members() {
		if string(key) != "annotations" {
			c.id.field(scan, string(key))
			continue
		}
		for range scan.Members() {
			c.copied(textAhead(scan))
		}
	}
}

// copied adds the values of a Secret that an annotation holds as JSON. They may
// be older than those of the Secret.
func (c *collector) copied(annotation string) {
	scan := rawjson.Scan([]byte(annotation))
	if scan.Kind() != rawjson.Object {
		return
	}
	for _, key := range scan.Members() {
		switch string(key) {
		case "data":
			c.data(&scan)
		case "stringData":
			leaves(&scan, c.add)
		}
	}
}

// data adds the values in data, which comes next.
func (c *collector) data(scan *rawjson.Scanner) {
	leaves(scan, func(value []byte) { c.add(decodeData(value)) })
}

// add adds a value, and what it stands for if it is an encoding or a document.
func (c *collector) add(value []byte) {
	value = bytes.TrimSpace(value)
	c.values = append(c.values, value)
	if len(value) < shortestPart {
		return
	}
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
		leaves(&scan, c.part)
	}
}

// part adds a part of a value.
func (c *collector) part(value []byte) {
	if len(value) >= shortestPart {
		c.values = append(c.values, value)
	}
}

// leaves calls add for each string and number in the value that comes next.
func leaves(scan *rawjson.Scanner, add func([]byte)) {
	switch scan.Kind() {
	case rawjson.String:
		add([]byte(scan.Text()))
	case rawjson.Number:
		add(scan.Skip())
	case rawjson.Object:
		for range scan.Members() {
			leaves(scan, add)
		}
	case rawjson.Array:
		for range scan.Elements() {
			leaves(scan, add)
		}
	}
}
