package recorder

import (
	"hash/maphash"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// ruleset are the rules for one resource. It is never written.
type ruleset struct {
	book       *rulebook // that it is a part of
	redactor   redactor
	seed       maphash.Seed
	redact     []rawjson.Selector // the last two select the last-applied configuration and all annotations; empty where there are no rules
	changes    []rawjson.Selector // the last one selects the resourceVersion; empty where there are no rules
	namespaces []string
	events     bool            // the resource is that of Events
	allowed    map[string]bool // keys of annotations whose values are stored of Secrets
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
	h := hiding{ruleset: r}
	hidden, err = h.object(object)
	return hidden, h.opaque, err
}

// hideAgain is hide for an object that may have been redacted before: hashes stay as they are.
func (r *ruleset) hideAgain(object []byte) ([]byte, error) {
	if len(r.redact) == 0 {
		return object, nil
	}
	h := hiding{ruleset: r, again: true}
	return h.object(object)
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
