package rawjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Path selects values of a document: fields are joined by dots, [*] stands for every element of a list and for every
// member of a mapping, and a key that is no plain word is quoted in brackets. Examples are data.password,
// spec.containers[*].env[*].value and metadata.annotations["example.com/note"].
type Path struct {
	text  string
	steps []step
}

// step goes from a container to one of its members, or to all that it holds.
type step struct {
	key   string
	every bool
}

// ParsePath reads a path. It begins with a field.
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

// parseStep reads the step that text begins with, and its length.
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
		return step{}, 0, errors.New("want a field, the others quoted in brackets,")
	}
	return step{key: key}, 1 + len(key), nil
}

// String returns the path as it was written.
func (p Path) String() string { return p.text }

// Field returns the field that the path goes through at this depth, from 0; "" where that is no field or the path ends
// before.
func (p Path) Field(depth int) string {
	if depth >= len(p.steps) {
		return ""
	}
	return p.steps[depth].key
}

// Wild tells whether the path has a [*].
func (p Path) Wild() bool { return p.named() >= 0 }

// named returns which step is the last [*], or -1.
func (p Path) named() int {
	last := -1
	for i, s := range p.steps {
		if s.every {
			last = i
		}
	}
	return last
}
