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

// template is an object's JSON, or a part of it, with places for values in between: the text before each place and the name of
// the place's value, and the text behind them all.
type template struct {
	before, names []string
	last          string
}

// values fill a template's places, by name. One without a value stays empty.
type values map[string]string

// What is no text is written so that a template is JSON all the same: "${=name}" stands for a value with its quotes or brackets,
// "${+name}": 0 for members with a comma behind each, which may be none, and "${,name}" for elements with a comma in front.
var (
	bare     = regexp.MustCompile(`"\$\{=(\w+)\}"`)
	members  = regexp.MustCompile(`"\$\{\+(\w+)\}":0,`)
	elements = regexp.MustCompile(`,"\$\{,(\w+)\}"`)
)

// read returns a template of the package's own, as an API server writes JSON: without spaces. It panics where there is none.
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

// parse returns the template of a text with places such as ${name}.
func parse(text string) template {
	var t template
	for {
		before, rest, found := strings.Cut(text, "${")
		if !found {
			t.last = text
			return t
		}
		name, behind, _ := strings.Cut(rest, "}")
		t.before, t.names, text = append(t.before, before), append(t.names, name), behind
	}
}

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

// text fills a template of a part.
func (t template) text(v values) string { return string(t.fill(v)) }
