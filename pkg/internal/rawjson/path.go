package rawjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Path selects values of a document. Fields are joined by dots. [*] means every
// element of a list and every member of an object. Keys that are not plain
// words are quoted in brackets. Examples:
//
//	data.password
//	spec.containers[*].env[*].value
//	metadata.annotations["example.com/note"]
type Path struct {
	text  string
	steps []step
}

// step leads from a container to one of its members, or to all of its content.
type step struct {
	key   string
	every bool // [*]
}

// ParsePath parses a path. The path begins with a field. The error gives the
// character, from 1, at which the path is invalid.
func ParsePath(text string) (Path, error) {
	p := Path{text: text}
	for rest := "." + text; rest != ""; {
		s, n, err := parseStep(rest)
		if err != nil {
			return Path{}, fmt.Errorf("%q: %w at character %d", text, err, max(1, len(text)-len(rest)+1))
		}
		p.steps = append(p.steps, s)
		rest = rest[n:]
	}
	return p, nil
}

// MustParsePath is ParsePath for a constant path. It panics if the path is
// invalid.
func MustParsePath(text string) Path {
	p, err := ParsePath(text)
	if err != nil {
		panic(err)
	}
	return p
}

// parseStep parses the step at the start of text. It returns the length of the
// step too.
func parseStep(text string) (step, int, error) {
	quoted, bracket := strings.CutPrefix(text, "[")
	switch {
	case strings.HasPrefix(text, "[*]"):
		return step{every: true}, len("[*]"), nil
	case bracket:
		var key string
		d := json.NewDecoder(strings.NewReader(quoted))
		if !strings.HasPrefix(quoted, `"`) || d.Decode(&key) != nil {
			return step{}, 0, errors.New(`want [*] or ["a key"]`)
		}
		end := 1 + int(d.InputOffset())
		if !strings.HasPrefix(text[end:], "]") {
			return step{}, 0, errors.New(`want [*] or ["a key"]`)
		}
		return step{key: key}, end + 1, nil
	case text[0] != '.':
		return step{}, 0, errors.New("want a dot or a bracket")
	}
	key := text[1:]
	if end := strings.IndexAny(key, ".["); end >= 0 {
		key = key[:end]
	}
	if key == "" || strings.ContainsAny(key, "]*\"' \t\r\n/\\") {
		return step{}, 0, errors.New("want a field, or a key quoted in brackets,")
	}
	return step{key: key}, 1 + len(key), nil
}

// String returns the path as it was parsed.
func (p Path) String() string { return p.text }

// Field returns the key of the step at a depth, from 0. It returns "" if that
// step is [*] or the path ends before.
func (p Path) Field(depth int) string {
	if depth >= len(p.steps) {
		return ""
	}
	return p.steps[depth].key
}

// HasWildcard reports whether the path contains [*].
func (p Path) HasWildcard() bool { return p.lastWildcard() >= 0 }

// lastWildcard returns the index of the last [*], or -1.
func (p Path) lastWildcard() int {
	last := -1
	for i, s := range p.steps {
		if s.every {
			last = i
		}
	}
	return last
}
