package recorder

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"hash/maphash"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// ruleset are the rules for one resource. It is never written.
type ruleset struct {
	book       *rulebook // that it is a part of
	redactor   redactor
	seed       maphash.Seed
	redact     []rawjson.Selector // the last one selects the last-applied configuration; empty where there are no rules
	changes    []rawjson.Selector // the last one selects the resourceVersion; empty where there are no rules
	namespaces []string
}

// mustSelect returns the selector of a path that is written in this package.
func mustSelect(text string) rawjson.Selector {
	path, err := rawjson.ParsePath(text)
	if err != nil {
		panic(err)
	}
	return rawjson.Selector{Path: path}
}

// hide replaces what is to be redacted. opaque tells that a last-applied configuration had to be hashed as a whole.
func (r *ruleset) hide(object []byte) (hidden []byte, opaque bool, err error) {
	if len(r.redact) == 0 {
		return object, false, nil
	}
	return r.replace(object, maxApplied, false)
}

// hideAgain is hide for an object that may have been redacted before: hashes stay as they are.
func (r *ruleset) hideAgain(object []byte) ([]byte, error) {
	if len(r.redact) == 0 {
		return object, nil
	}
	hidden, _, err := r.replace(object, maxApplied, true)
	return hidden, err
}

func (r *ruleset) replace(object []byte, depth int, again bool) (_ []byte, opaque bool, err error) {
	var edits []rawjson.Edit
	err = rawjson.Find(object, r.redact, func(scan *rawjson.Scanner, selector int) {
		switch start := scan.Offset(); {
		case scan.Kind() == rawjson.Null:
		case selector == len(r.redact)-1 && scan.Kind() == rawjson.String:
			with, readable := r.applied(scan, depth-1, again)
			opaque = opaque || !readable
			if with != nil {
				edits = append(edits, rawjson.Edit{Start: start, End: scan.Offset(), With: with})
			}
		case again && hashed(scan):
		default:
			edits = r.redactor.value(scan, false, edits)
		}
	})
	if err != nil {
		return nil, false, err
	}
	return rawjson.Apply(object, edits), opaque, nil
}

// applied redacts the last-applied configuration that comes next, and returns what to write in its place: nil where
// nothing in it is to be hidden.
func (r *ruleset) applied(scan *rawjson.Scanner, depth int, again bool) (with []byte, readable bool) {
	text := []byte(scan.Text())
	if again && isHash(string(text)) {
		return nil, true
	}
	inner := rawjson.Scan(text)
	if depth == 0 || inner.Kind() != rawjson.Object {
		return r.redactor.hash(text), false
	}
	hidden, opaque, err := r.replace(text, depth, again)
	switch {
	case err != nil:
		return r.redactor.hash(text), false
	case bytes.Equal(hidden, text):
		return nil, true
	}
	quoted, err := json.Marshal(string(hidden))
	if err != nil {
		return r.redactor.hash(text), false
	}
	return quoted, !opaque
}

// hashed tells whether the value that comes next is a hash, and consumes it if it is.
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

// ignores tells whether the versions of objects in a namespace are left out.
func (r *ruleset) ignores(namespace string) bool {
	return namespace != "" && slices.Contains(r.namespaces, namespace)
}

// content hashes what of an object counts as a change; 0 where all of it does. Where a field comes or goes, that counts.
func (r *ruleset) content(object []byte) uint64 {
	if len(r.changes) == 0 {
		return 0
	}
	var h maphash.Hash
	h.SetSeed(r.seed)
	for _, s := range r.changes {
		_, _ = h.WriteString(s.String() + "\n")
	}
	from := 0
	err := rawjson.Find(object, r.changes, func(scan *rawjson.Scanner, _ int) {
		_, _ = h.Write(object[from:scan.Offset()])
		scan.Skip()
		from = scan.Offset()
	})
	if err != nil {
		return 0
	}
	_, _ = h.Write(object[from:])
	return max(h.Sum64(), 1)
}
