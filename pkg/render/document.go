package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
)

// Items is the document of -o json and -o yaml: records as the REST API returns
// them. Times are in UTC.
type Items struct {
	Items []v1.Event `json:"items"` // never null
}

// Objects returns the recorded objects as a document that kubectl can apply:
// one object without a List, several as a v1 List. It fails if a record has no
// object.
func Objects(events []v1.Event) (any, error) {
	objects := make([]json.RawMessage, len(events))
	for i := range events {
		if objects[i] = events[i].ObjectChanges; len(objects[i]) == 0 {
			return nil, fmt.Errorf("read revision %d of %s: it was recorded without its object",
				events[i].Revision, fullName(&events[i]))
		}
	}
	if len(objects) == 1 {
		return objects[0], nil
	}
	return list{APIVersion: "v1", Items: objects, Kind: "List"}, nil
}

// list is a v1 List with its fields in the order of kubectl.
type list struct {
	APIVersion string            `json:"apiVersion"`
	Items      []json.RawMessage `json:"items"`
	Kind       string            `json:"kind"`
	Metadata   struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
}

// JSON writes a document, [Items] or one of [Objects], as indented JSON. Unsafe
// characters are written as JSON escapes, which have the same meaning.
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

// JSONLine writes a document as JSON on one line, with the same escapes as
// [Printer.JSON].
func (p *Printer) JSONLine(document any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return p.write(escapeJSON(text.String()))
}

// escapeJSON escapes the unsafe characters that the encoder does not escape.
// Line feeds are kept: they occur only between tokens.
func escapeJSON(text string) string {
	unsafe := printable.Unsafe()
	var b strings.Builder
	for _, r := range text {
		if !unsafe(r) || r == '\n' {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// YAML writes a document, [Items] or one of [Objects], as YAML. On a terminal,
// unsafe characters are written as YAML escapes, which have the same meaning.
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

// YAMLDocument writes one of several documents as YAML. All but the first have
// a separator before them.
func (p *Printer) YAMLDocument(document any) error {
	if p.headed {
		if err := p.write("---\n"); err != nil {
			return err
		}
	}
	p.headed = true
	return p.YAML(document)
}

// Names writes a line like "deployment.apps/web" for each object, once, in the
// order of their first records.
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

// name returns an object's name without control characters and, on a terminal,
// without unsafe ones.
func (p *Printer) name(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if p.opts.Terminal {
		return printable.Text(text)
	}
	return text
}
