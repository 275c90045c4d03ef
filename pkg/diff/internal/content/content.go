// Package content finds the structure of the texts that ConfigMaps contain.
//
// It owns the formats: JSON, YAML, and lines of keys and values such as those
// of .properties, .env and .ini files. Scalars keep their spelling, because
// ".30" and "0.3" are two texts to the program that reads them.
//
// Invariant: the work is bounded by the size of the text. YAML aliases are not
// followed.
package content

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxBytes is the size of the largest text that is read.
const MaxBytes = 64 << 10

// maxDepth bounds how deeply maps and lists are nested.
const maxDepth = 32

// Decode returns the structure of a text. Its values are map[string]any, []any,
// string, json.Number, bool and nil; all scalars of formats other than JSON are
// strings or nil. ok is false if the text has no structure that Decode can
// find, or is too large.
func Decode(text string) (structure map[string]any, ok bool) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || len(text) > MaxBytes {
		return nil, false
	}
	if trimmed[0] == '{' || trimmed[0] == '[' {
		if structure, ok = root(fromJSON(trimmed)); ok {
			return structure, true
		}
	}
	if structure, ok = root(fromYAML(text)); ok {
		return structure, true
	}
	return fromLines(text)
}

// root returns a decoded value as an object. The items of a list at the root
// are its only member. A scalar has no structure.
func root(value any, ok bool) (map[string]any, bool) {
	if !ok {
		return nil, false
	}
	switch value := value.(type) {
	case map[string]any:
		return value, true
	case []any:
		return map[string]any{"items": value}, true
	default:
		return nil, false
	}
}

// fromJSON decodes JSON. ok is false if the text is anything else.
func fromJSON(text string) (value any, ok bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if d.Decode(&value) != nil {
		return nil, false
	}
	_, err := d.Token()
	return value, errors.Is(err, io.EOF) && isShallow(value, maxDepth)
}

// isShallow reports whether a value is nested at most depth times.
func isShallow(value any, depth int) bool {
	if depth < 0 {
		return false
	}
	switch value := value.(type) {
	case map[string]any:
		for _, inside := range value {
			if !isShallow(inside, depth-1) {
				return false
			}
		}
	case []any:
		for _, inside := range value {
			if !isShallow(inside, depth-1) {
				return false
			}
		}
	}
	return true
}

// fromYAML decodes one YAML document. ok is false if the text is anything else.
func fromYAML(text string) (value any, ok bool) {
	// A text without these characters has neither a map nor a list.
	if !strings.Contains(text, ":") && !strings.Contains(text, "- ") || opensMany(text) {
		return nil, false
	}
	d := yaml.NewDecoder(strings.NewReader(text))
	var document, next yaml.Node
	if d.Decode(&document) != nil || !errors.Is(d.Decode(&next), io.EOF) || len(document.Content) != 1 {
		return nil, false
	}
	return fromNode(document.Content[0], maxDepth)
}

// opensMany reports whether a text has many more opening than closing brackets
// at some place. The YAML parser needs much time for them.
func opensMany(text string) bool {
	open := 0
	for i := range len(text) {
		switch text[i] {
		case '{', '[':
			if open++; open > 4*maxDepth {
				return true
			}
		case '}', ']':
			open = max(open-1, 0)
		}
	}
	return false
}

// fromNode returns the value of a YAML node.
func fromNode(n *yaml.Node, depth int) (value any, ok bool) {
	if depth < 0 {
		return nil, false
	}
	switch n.Kind {
	case yaml.MappingNode:
		object := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Kind == yaml.MappingNode || n.Content[i].Kind == yaml.SequenceNode {
				return nil, false
			}
			if object[n.Content[i].Value], ok = fromNode(n.Content[i+1], depth-1); !ok {
				return nil, false
			}
		}
		return object, true
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			if list[i], ok = fromNode(item, depth-1); !ok {
				return nil, false
			}
		}
		return list, true
	case yaml.AliasNode:
		return "*" + n.Value, true
	case yaml.ScalarNode:
		if n.Tag == "!!null" && n.Value == "" {
			return nil, true
		}
		return n.Value, true
	default:
		return nil, false
	}
}

// fromLines reads lines of keys and values. A line such as "[section]" begins a
// section. ok is false if a line is anything else.
func fromLines(text string) (object map[string]any, ok bool) {
	object = map[string]any{}
	prefix := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.ContainsAny(line[:1], "#;!"):
			continue
		case line[0] == '[' && line[len(line)-1] == ']' && len(line) > 2:
			prefix = strings.Trim(line, "[]") + "."
			continue
		}
		at := strings.IndexAny(line, "=:")
		if at < 1 {
			return nil, false
		}
		key := strings.TrimSpace(strings.TrimPrefix(line[:at], "export "))
		if key == "" || strings.ContainsAny(key, " \t{}()<>\"'") {
			return nil, false
		}
		object[prefix+key] = strings.TrimSpace(line[at+1:])
	}
	if len(object) == 0 {
		return nil, false
	}
	return object, true
}
