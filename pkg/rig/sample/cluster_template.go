package sample

import (
	"bytes"
	"embed"
	"encoding/json"
	"regexp"
	"strings"
)

//go:embed templates
var files embed.FS

// template is the JSON of an object, or a part of it, with placeholders.
type template struct {
	before []string // the text before each placeholder
	names  []string // the names of the placeholders' values
	last   string   // the text after the last placeholder
}

// values are the values of placeholders, by name. A missing one is empty.
type values map[string]string

// The placeholders ${name} are in strings. These others keep a template valid
// JSON: "${=name}" means a value with its quotes or brackets, "${+name}": 0
// means any number of members, each followed by a comma, and "${,name}" means
// elements, each after a comma.
var (
	bare     = regexp.MustCompile(`"\$\{=(\w+)\}"`)
	members  = regexp.MustCompile(`"\$\{\+(\w+)\}":0,`)
	elements = regexp.MustCompile(`,"\$\{,(\w+)\}"`)
)

// read returns an embedded template, without spaces, as an API server writes
// JSON. It panics if there is none.
func read(name string) template {
	pretty, err := files.ReadFile("templates/" + name + ".json")
	if err != nil {
		panic(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, pretty); err != nil {
		panic(name + ": " + err.Error())
	}
	text := compact.Bytes()
	for _, place := range []*regexp.Regexp{bare, members, elements} {
		text = place.ReplaceAll(text, []byte("$${$1}"))
	}
	return parse(string(text))
}

// parse returns the template of a text with placeholders such as ${name}.
func parse(text string) template {
	var t template
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			t.last = text
			return t
		}
		name, after, _ := strings.Cut(rest, "}")
		t.before, t.names, text = append(t.before, before), append(t.names, name), after
	}
}

// fill returns the text with these values.
func (t template) fill(v values) []byte {
	size := len(t.last)
	for i, name := range t.names {
		size += len(t.before[i]) + len(v[name])
	}
	b := make([]byte, 0, size)
	for i, name := range t.names {
		b = append(append(b, t.before[i]...), v[name]...)
	}
	return append(b, t.last...)
}

// text is fill for parts of objects.
func (t template) text(v values) string { return string(t.fill(v)) }
