package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// Items is the document of the formats for programs. Its fields are those of the REST API; times are UTC.
type Items struct {
	Items []v1.Event `json:"items"` // never null
}

// Objects returns the document of the objects themselves, as they were: a single
// one by itself, several as a List.
func Objects(events []v1.Event) (any, error) {
	objects := make([]json.RawMessage, len(events))
	for i := range events {
		if objects[i] = events[i].ObjectChanges; len(objects[i]) == 0 {
			return nil, fmt.Errorf("revision %d of %s was recorded without its object", events[i].Revision, fullName(&events[i]))
		}
	}
	if len(objects) == 1 {
		return objects[0], nil
	}
	return list{APIVersion: "v1", Items: objects, Kind: "List"}, nil
}

// list is a v1 List, with its fields in kubectl's order.
type list struct {
	APIVersion string            `json:"apiVersion"`
	Items      []json.RawMessage `json:"items"`
	Kind       string            `json:"kind"`
	Metadata   struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
}

// JSON writes a document, [Items] or one of [Objects], indented. What could do harm in a terminal is in its escaped form, which
// means the same.
func (p *Printer) JSON(document any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "    ")
	if err := e.Encode(document); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return p.write(escapeJSON(text.String()))
}

// escapeJSON escapes what the encoder leaves as it is; line feeds stand between tokens only.
func escapeJSON(text string) string {
	hostile := hostility()
	var b strings.Builder
	for _, r := range text {
		if !hostile(r) || r == '\n' {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// YAML writes a document, [Items] or one of [Objects]. On a terminal, characters that it could obey or hide
// are in their escaped form, which means the same.
func (p *Printer) YAML(document any) error {
	text, err := json.Marshal(document)
	if err == nil {
		text, err = toYAML(text, p.opts.Terminal)
	}
	if err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	return p.write(string(text))
}

// Names writes "deployment.apps/web" for each object once, in the order in which they come first. A name is always one line.
func (p *Printer) Names(events []v1.Event) error {
	seen := map[string]bool{}
	var b strings.Builder
	for i := range events {
		name := fullName(&events[i])
		if id := events[i].Namespace + "/" + name; !seen[id] {
			seen[id] = true
			b.WriteString(p.name(name) + "\n")
		}
	}
	return p.write(b.String())
}

// name replaces what a name can't show: control characters, and on a terminal
// everything else that it could obey or hide.
func (p *Printer) name(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if p.opts.Terminal {
		return Escape(text)
	}
	return text
}
