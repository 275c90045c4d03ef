package daemon

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// layout maps the values of a YAML document to their places. So an error can
// name the line and the path of a field, such as redact[0].paths.
//
// It does not follow aliases. An error in an aliased value is reported at the
// line of the alias, or at that of its anchor.
type layout struct {
	places []place        // of all values, in the order of the document
	byPath map[string]int // indexes into places
}

// place is where a value is.
type place struct {
	path  string
	key   *yaml.Node // nil if the value is in a list or is the root
	value *yaml.Node
}

// newLayout returns the layout of a document.
func newLayout(root *yaml.Node) *layout {
	l := &layout{byPath: map[string]int{}}
	l.walk(place{value: root})
	return l
}

// walk adds a value and everything in it.
func (l *layout) walk(p place) {
	if _, ok := l.byPath[p.path]; !ok { // a repeated key is an error of the decoder
		l.byPath[p.path] = len(l.places)
	}
	l.places = append(l.places, p)
	switch p.value.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(p.value.Content); i += 2 {
			key, value := p.value.Content[i], p.value.Content[i+1]
			path := strings.TrimPrefix(p.path+"."+key.Value, ".")
			l.walk(place{path: path, key: key, value: value})
		}
	case yaml.SequenceNode:
		for i, value := range p.value.Content {
			l.walk(place{path: item(p.path, i), value: value})
		}
	}
}

// checkValues returns an error for two kinds of mistakes that the decoder
// accepts:
//
//   - A key that is not text. The decoder would skip null, merge << and decode
//     binary keys and aliases.
//   - A field or an item without a value. The decoder would keep the default,
//     but the value was probably forgotten.
func (l *layout) checkValues() error {
	for _, p := range l.places {
		if p.key != nil && (p.key.Kind != yaml.ScalarNode || p.key.Tag != strTag) {
			return errorAt(p.key.Line, p.path, "unknown field")
		}
		if p.value.Tag == nullTag {
			return errorAt(p.value.Line, p.path, "is empty")
		}
	}
	return nil
}

// item returns the path of an item of a list.
func item(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// line returns the line of the value with this path. The line of a value that
// was not given is that of the mapping or list around it.
func (l *layout) line(path string) int {
	for {
		if i, ok := l.byPath[path]; ok {
			return l.places[i].value.Line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

// errorf returns an error about the value with this path.
func (l *layout) errorf(path, format string, args ...any) error {
	return errorAt(l.line(path), path, fmt.Sprintf(format, args...))
}

// errorAt returns an error of one line. A key of the file may contain newlines.
func errorAt(line int, path, text string) error {
	if path != "" {
		text = path + ": " + text
	}
	return history.Errorf(history.Invalid, "line %d: %s", line, strings.ReplaceAll(text, "\n", " "))
}

// decodeError adds the line and the path to an error of the decoder.
func (l *layout) decodeError(err error) error {
	if value, ok := errors.AsType[*valueError](err); ok {
		i := slices.IndexFunc(l.places, func(p place) bool {
			return p.value.Line == value.node.Line && p.value.Column == value.node.Column
		})
		if i < 0 {
			return errorAt(value.node.Line, "", value.text)
		}
		return errorAt(value.node.Line, l.places[i].path, value.text)
	}
	if types, ok := errors.AsType[*yaml.TypeError](err); ok {
		return l.typeError(types.Errors[0])
	}
	return history.Errorf(history.Invalid, "%s", strings.TrimPrefix(err.Error(), "yaml: "))
}

// typeError rewrites a message of [yaml.TypeError], which names Go types and no
// path. A message of an unknown form is returned as it is.
func (l *layout) typeError(message string) error {
	match := func(pattern string) []string { return regexp.MustCompile(pattern).FindStringSubmatch(message) }
	// `line 2: field plurals not found in type daemon.resourceEntry`
	if m := match(`(?s)^line (\d+): field (.*) not found in type (\S+)$`); m != nil {
		line := atoi(m[1])
		return errorAt(line, l.keyPath(line, m[2]), "unknown field, want one of "+strings.Join(knownFields(m[3]), ", "))
	}
	// `line 2: mapping key "serverPort" already defined at line 1`
	if m := match(`^line (\d+): mapping key (".*") already defined at line (\d+)$`); m != nil {
		line := atoi(m[1])
		key, err := strconv.Unquote(m[2])
		if err == nil {
			return errorAt(line, l.keyPath(line, key), "is already set on line "+m[3])
		}
	}
	// "line 1: cannot unmarshal !!str `pods` into []daemon.resourceEntry"
	if m := match(`(?s)^line (\d+): cannot unmarshal (\S+).* into (\S+)$`); m != nil {
		line, want := atoi(m[1]), "want text"
		switch {
		case strings.HasPrefix(m[3], "[]"):
			want = "want a list"
		case knownFields(m[3]) != nil:
			want = "want a mapping of fields"
		}
		return errorAt(line, l.valuePath(line, m[2], fieldsOfType(m[3])), want)
	}
	return history.Errorf(history.Invalid, "%s", strings.ReplaceAll(message, "\n", " "))
}

// keyPath returns the path of the last field with this name on the line.
func (l *layout) keyPath(line int, key string) string {
	for _, p := range slices.Backward(l.places) {
		if p.key != nil && p.key.Line == line && p.key.Value == key {
			return p.path
		}
	}
	return key
}

// valuePath returns the path of the first value on the line that has this tag
// and is in one of the fields. If there is none, it is the root.
func (l *layout) valuePath(line int, tag string, fields []string) string {
	for _, p := range l.places {
		field := p.path[strings.LastIndexByte(p.path, '.')+1:]
		field, _, _ = strings.Cut(field, "[")
		if p.value.Line == line && p.value.ShortTag() == tag && slices.Contains(fields, field) {
			return p.path
		}
	}
	return ""
}

// fileTypes returns the types of mappings that a configuration consists of.
func fileTypes() []reflect.Type {
	return []reflect.Type{
		reflect.TypeFor[configFile](), reflect.TypeFor[resourceEntry](),
		reflect.TypeFor[redactEntry](), reflect.TypeFor[ignoreEntry](), reflect.TypeFor[anonymousEntry](),
		reflect.TypeFor[symptomEntry](),
	}
}

// knownFields returns the names of the fields of a type of mapping, sorted.
func knownFields(typeName string) (fields []string) {
	for _, t := range fileTypes() {
		if t.String() != typeName {
			continue
		}
		for f := range t.Fields() {
			fields = append(fields, f.Tag.Get("yaml"))
		}
	}
	slices.Sort(fields)
	return fields
}

// fieldsOfType returns the names of the fields, in any mapping, that have this
// type or are a list of it or a pointer to it.
func fieldsOfType(typeName string) (fields []string) {
	for _, t := range fileTypes() {
		for f := range t.Fields() {
			if slices.Contains([]string{typeName, "[]" + typeName, "*" + typeName}, f.Type.String()) {
				fields = append(fields, f.Tag.Get("yaml"))
			}
		}
	}
	return fields
}

// atoi converts digits.
func atoi(digits string) int {
	n, _ := strconv.Atoi(digits) // 0 if it is out of range
	return n
}
