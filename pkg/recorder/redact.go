package recorder

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// maxApplied is how many last-applied configurations may lie within one another before the innermost is replaced whole.
const maxApplied = 4

// hashPrefix begins every hash that stands in a value's place; 32 hexadecimal digits follow.
const hashPrefix = "hmac-sha256:"

// redactor replaces the values of Secrets by keyed hashes: equal values have equal hashes, so that a change shows and the
// value does not. It works by leaving through only what is known to be harmless. A nil redactor leaves everything
// through.
type redactor struct{ key []byte }

func newRedactor(resource history.Resource, key []byte) *redactor {
	if resource.Group != "" || resource.Plural != "secrets" {
		return nil
	}
	return &redactor{key: key}
}

// member redacts the member of a Secret whose value comes next.
func (r *redactor) member(scan *rawjson.Scanner, key string, edits []rawjson.Edit) []rawjson.Edit {
	if r == nil {
		return edits
	}
	kind := scan.Kind()
	switch key {
	case "kind", "apiVersion", "type":
		if kind == rawjson.String {
			return edits
		}
	case "immutable":
		if kind == rawjson.Bool {
			return edits
		}
	}
	switch kind {
	case rawjson.Null:
		return edits
	case rawjson.Object:
		for range scan.Members() {
			edits = r.value(scan, key == "data", edits)
		}
		return edits
	}
	return r.value(scan, false, edits)
}

// annotations redacts the annotations of v, which come next.
func (r *redactor) annotations(scan *rawjson.Scanner, v *version, edits []rawjson.Edit) []rawjson.Edit {
	if r == nil {
		return edits
	}
	edits, readable := r.applied(scan, edits, maxApplied)
	v.opaque = v.opaque || !readable
	return edits
}

// applied redacts the annotations that may hold the Secret as it was applied: that of kubectl, and those of other tools that
// hold a document. It tells whether that of kubectl could be read.
func (r *redactor) applied(scan *rawjson.Scanner, edits []rawjson.Edit, depth int) (_ []rawjson.Edit, readable bool) {
	readable = true
	for _, key := range scan.Members() {
		kubectls := string(key) == lastApplied
		if scan.Kind() != rawjson.String {
			if kubectls || scan.Kind() != rawjson.Null {
				edits, readable = r.value(scan, false, edits), readable && !kubectls
			}
			continue
		}
		start := scan.Offset()
		text := []byte(scan.Text())
		if !kubectls && !holdsDocument(text) {
			continue
		}
		with, ok := r.configuration(text, depth-1)
		if !ok {
			with, readable = r.hash(text), readable && !kubectls
		}
		edits = append(edits, rawjson.Edit{Start: start, End: scan.Offset(), With: with})
	}
	return edits, readable
}

// holdsDocument tells whether an annotation begins like JSON or YAML, or like the base64 of JSON or of what gzip or zip made, as which
// tools keep the objects that they applied. Keys in PEM and tokens begin like that, too.
func holdsDocument(text []byte) bool {
	text = bytes.TrimSpace(text)
	return slices.ContainsFunc([]string{"{", "[", "---", "apiVersion:", "kind:", "eyJ", "ewog", "H4sI", "UEsD"}, func(begin string) bool {
		return bytes.HasPrefix(text, []byte(begin))
	})
}

// configuration redacts a Secret as it was applied, and returns it as a JSON string. What is not the JSON of an object it
// leaves to the caller to hide.
func (r *redactor) configuration(text []byte, depth int) (_ []byte, ok bool) {
	var edits []rawjson.Edit
	scan := rawjson.Scan(text)
	if scan.Kind() != rawjson.Object || depth == 0 {
		return nil, false
	}
	readable := true
	for _, key := range scan.Members() {
		if string(key) != "metadata" {
			edits = r.member(&scan, string(key), edits)
			continue
		}
		for _, key := range scan.Members() {
			switch string(key) {
			case "annotations":
				edits, ok = r.applied(&scan, edits, depth)
				readable = readable && ok
			case "name", "namespace", "generateName", "labels", "finalizers", "ownerReferences", "uid", "resourceVersion", "generation",
				"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields":
			default: // what nobody validated may stand where it does not belong
				edits = r.member(&scan, string(key), edits)
			}
		}
	}
	if scan.End() != nil || !readable {
		return nil, false
	}
	quoted, err := json.Marshal(string(rawjson.Apply(text, edits)))
	return quoted, err == nil
}

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
		if decoded, err := base64.StdEncoding.DecodeString(string(secret)); err == nil {
			secret = decoded
		}
	}
	return append(edits, rawjson.Edit{Start: start, End: scan.Offset(), With: r.hash(secret)})
}

// hash returns the keyed hash of a value as a JSON string: the first 128 bits of HMAC-SHA256.
func (r *redactor) hash(secret []byte) []byte {
	mac := hmac.New(sha256.New, r.key)
	mac.Write(secret)
	return []byte(`"` + hashPrefix + hex.EncodeToString(mac.Sum(nil)[:16]) + `"`)
}
