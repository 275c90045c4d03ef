package redact

import (
	"bytes"
	"errors"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/recorder/internal/leak"
)

// maxCopies bounds how many copies of an object may be nested in annotations.
// An object below the innermost one is hashed completely.
const maxCopies = 4

var errTooManyCopies = errors.New("too many nested copies")

// pathPass applies the rules of the configuration to one object, in two steps:
//
//  1. It hashes the selected values, in the object and in the copies of it that
//     annotations contain.
//  2. It hashes the strings that contain one of these values in any encoding,
//     except those that identify objects and their parts. See sweep.go.
type pathPass struct {
	*pass

	hidden [][]byte // the values that were hashed
}

// redactPaths applies the rules of the configuration.
func (p *pass) redactPaths(object []byte) ([]byte, error) {
	paths := pathPass{pass: p}
	redacted, err := paths.hashSelected(object, maxCopies)
	if err != nil {
		return nil, err
	}
	return paths.sweep(redacted)
}

// hashSelected hashes the values that the rules select in a document, and adds
// them to p.hidden. depth is how many more copies may be nested.
func (p *pathPass) hashSelected(text []byte, depth int) ([]byte, error) {
	d := p.edit(text)
	err := rawjson.Find(text, p.rules.selectors, func(scan *rawjson.Scanner, selector int) {
		start, isString := scan.Offset(), scan.Kind() == rawjson.String
		var with []byte
		// The selectors of the configuration precede the two of annotations,
		// and the first selector wins. So an annotation that a rule names is
		// hashed.
		switch {
		case scan.Kind() == rawjson.Null, p.again && skipHash(scan):
			return
		case selector == p.rules.annotationSelector():
			if isString {
				with = p.redactAnnotation([]byte(scan.Text()), depth-1)
			}
		case selector == p.rules.lastAppliedSelector() && isString:
			with = p.redactLastApplied([]byte(scan.Text()), p.copyWalk(depth-1))
		default:
			ahead := *scan
			eachScalar(&ahead, func(value []byte) { p.hidden = append(p.hidden, value) })
			d.hashNext(scan, false)
			return
		}
		if with != nil {
			d.replace(start, scan.Offset(), with)
		}
	})
	if err != nil {
		return nil, err
	}
	return d.apply(), nil
}

// copyWalk returns the walk for copies of the object. At depth 0 it fails, so
// that the copy counts as one that can't be read.
func (p *pathPass) copyWalk(depth int) walk {
	return func(text []byte) ([]byte, error) {
		if depth == 0 {
			return nil, errTooManyCopies
		}
		return p.hashSelected(text, depth)
	}
}

// redactAnnotation redacts an annotation that may contain a copy of the object:
// as JSON, or as the base64 of JSON, which may be compressed. It returns the
// string that replaces the annotation, or nil if nothing in it is selected.
func (p *pathPass) redactAnnotation(text []byte, depth int) []byte {
	if depth == 0 && (isObject(text) || isObject(leak.Unpack(text))) {
		return p.hash(text)
	}
	if with, ok := redactCopy(text, p.copyWalk(depth)); ok {
		return with
	}
	if with, _ := redactCopy(leak.Unpack(text), p.copyWalk(depth)); with != nil {
		return p.hash(text)
	}
	return nil
}

// atLeast returns the values that have at least length bytes, not counting the
// white space around them.
func atLeast(length int, values [][]byte) (long [][]byte) {
	for _, value := range values {
		if len(bytes.TrimSpace(value)) >= length {
			long = append(long, value)
		}
	}
	return long
}
