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

// Event is one line of a watch: its type, and its object's JSON and resourceVersion, "" where it has none.
type Event struct {
	Type   string
	Object []byte
	RV     string
}

// ParseEvent splits a line of a watch. The event's object is a part of the line.
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
		return Event{}, fmt.Errorf("watch event: %w", err)
	}
	if e.Type == "" || len(e.Object) == 0 || e.Object[0] != '{' {
		return Event{}, errors.New("watch event without a type or an object")
	}
	return e, nil
}

// resourceVersion consumes an object and returns its metadata.resourceVersion.
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
