package watchproto

import (
	"errors"
	"fmt"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// The types of watch events.
const (
	Added    = "ADDED"
	Modified = "MODIFIED"
	Deleted  = "DELETED"
	Bookmark = "BOOKMARK"
	Error    = "ERROR"
)

// Event is one line of a watch.
type Event struct {
	Type   string
	Object []byte // JSON
	RV     string // of the object; "" if it has none
}

// ParseEvent splits a line of a watch. It does not copy: the object is a part
// of the line.
func ParseEvent(line []byte) (Event, error) {
	var e Event
	s := rawjson.Scan(line)
	for _, key := range s.Members() {
		switch string(key) {
		case "type":
			e.Type = s.Text()
		case "object":
			start := s.Offset()
			e.RV = resourceVersion(&s)
			e.Object = line[start:s.Offset():s.Offset()]
		}
	}
	if err := s.End(); err != nil {
		return Event{}, fmt.Errorf("parse watch event: %w", err)
	}
	if e.Type == "" || len(e.Object) == 0 || e.Object[0] != '{' {
		return Event{}, errors.New("watch event has no type or no object")
	}
	return e, nil
}

// resourceVersion consumes an object and returns its metadata.resourceVersion.
// Of repeated members, the last one counts, as in encoding/json.
func resourceVersion(s *rawjson.Scanner) (rv string) {
	for _, key := range s.Members() {
		if string(key) != "metadata" {
			continue
		}
		rv = ""
		for _, key := range s.Members() {
			if string(key) == "resourceVersion" {
				rv = s.Text()
			}
		}
	}
	return rv
}
