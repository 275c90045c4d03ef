package api

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// whole returns an object as clients see it, without what the server keeps for itself, and its annotations, nil where it
// has none. All other bytes stay as they are: numbers, the order of fields, whatever stands in strings. Only where that is no UTF-8, as
// an aggregated API server may send it, U+FFFD stands in its place: a client's parser would refuse the whole answer.
func whole(object []byte) (json.RawMessage, map[string]string, error) {
	var edits []rawjson.Edit
	var annotations map[string]string
	s := rawjson.Scan(object)
	for _, field := range s.Members() {
		if string(field) != "metadata" {
			continue
		}
		start := s.Offset()
		var kept []byte
		kept, annotations = metadata(&s, object)
		edits = append(edits, rawjson.Edit{Start: start, End: s.Offset(), With: kept})
	}
	if err := s.End(); err != nil {
		return nil, nil, fmt.Errorf("read object: %w", err)
	}
	kept := rawjson.Apply(object, edits)
	if !utf8.Valid(kept) {
		kept = bytes.ToValidUTF8(kept, []byte("\uFFFD"))
	}
	return kept, annotations, nil
}

// metadata consumes the metadata of an object, and returns what is kept of it.
func metadata(s *rawjson.Scanner, object []byte) (kept []byte, annotations map[string]string) {
	kept = append(kept, '{')
	for at, field := range s.Members() {
		switch string(field) {
		case "annotations":
			annotations = texts(s)
		default:
			s.Skip()
		}
		if serverField(string(field)) {
			continue
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		kept = append(kept, object[at:s.Offset()]...)
	}
	return append(kept, '}'), annotations
}

// serverField tells which fields of metadata are the server's own. They stand beside the object in an event, as far as they
// mean something.
func serverField(name string) bool {
	switch name {
	case "managedFields", "resourceVersion", "generation", "selfLink", "uid":
		return true
	default:
		return false
	}
}

// texts consumes an object whose values are strings.
func texts(s *rawjson.Scanner) map[string]string {
	var all map[string]string
	for _, key := range s.Members() {
		if all == nil {
			all = map[string]string{}
		}
		all[string(key)] = s.Text()
	}
	return all
}
