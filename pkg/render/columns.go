package render

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/util/jsonpath"
)

// Columns are the columns of -o custom-columns.
type Columns struct {
	titles []string
	paths  []*Path
}

// Path selects values of a document by a JSONPath. It is not safe for
// concurrent use.
type Path struct{ parsed *jsonpath.JSONPath }

// ParsePath parses a JSONPath. As in kubectl, its braces and its first dot may
// be missing: "metadata.name", ".metadata.name" and "{.metadata.name}" are the
// same.
func ParsePath(text string) (*Path, error) {
	inner := strings.TrimSpace(text)
	if within, found := strings.CutPrefix(inner, "{"); found {
		if within, found = strings.CutSuffix(within, "}"); !found {
			return nil, fmt.Errorf("JSONPath %q has no closing brace", text)
		}
		inner = within
	}
	if inner == "" || strings.ContainsAny(inner, "{}") {
		return nil, fmt.Errorf("want one JSONPath, as in .metadata.name, got %q", text)
	}
	if !strings.ContainsAny(inner[:1], ".[$@") {
		inner = "." + inner
	}
	parsed := jsonpath.New("path").AllowMissingKeys(true)
	if err := parsed.Parse("{" + inner + "}"); err != nil {
		return nil, fmt.Errorf("JSONPath %q: %w", text, err)
	}
	return &Path{parsed}, nil
}

// Values returns the values at the path of a document in the form of package
// encoding/json, except that whole numbers are int64.
func (p *Path) Values(document any) ([]any, error) {
	found, err := p.parsed.FindResults(document)
	if err != nil {
		return nil, err
	}
	var values []any
	for _, list := range found {
		for _, v := range list {
			if value := v.Interface(); value != nil {
				values = append(values, value)
			}
		}
	}
	return values, nil
}

// ParseColumns parses "HEADER:JSONPATH,HEADER:JSONPATH". Commas in brackets and
// quotes don't separate columns.
func ParseColumns(spec string) (*Columns, error) {
	c := &Columns{}
	depth, start, quote := 0, 0, rune(0)
	for i, r := range spec + "," {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '\'' || r == '"':
			quote = r
		case r == '[' || r == '(' || r == '{':
			depth++
		case r == ']' || r == ')' || r == '}':
			depth--
		case r == ',' && depth <= 0:
			if err := c.add(spec[start:i]); err != nil {
				return nil, err
			}
			start = i + 1
		}
	}
	if start <= len(spec) {
		return nil, fmt.Errorf("%q: a bracket or a quote is not closed", spec[start:])
	}
	return c, nil
}

// add adds a column "HEADER:JSONPATH".
func (c *Columns) add(column string) error {
	title, path, found := strings.Cut(strings.TrimSpace(column), ":")
	if !found || title == "" || path == "" {
		return fmt.Errorf("want HEADER:JSONPATH, as in NAME:.resourceName, got %q", column)
	}
	return c.addParsed(title, path)
}

func (c *Columns) addParsed(title, path string) error {
	parsed, err := ParsePath(path)
	if err != nil {
		return err
	}
	c.titles, c.paths = append(c.titles, cell(title)), append(c.paths, parsed)
	return nil
}

// ParseColumnsFile parses the contents of a file: the headers in its first
// line, and the JSONPaths in its second one, both separated by spaces.
func ParseColumnsFile(text string) (*Columns, error) {
	lines := strings.Split(strings.TrimRight(text, "\r\n"), "\n")
	if len(lines) != 2 {
		return nil, fmt.Errorf("want a line with headers and one with JSONPaths, got %d lines", len(lines))
	}
	titles, paths := strings.Fields(lines[0]), strings.Fields(lines[1])
	if len(titles) != len(paths) || len(titles) == 0 {
		return nil, fmt.Errorf("want a JSONPath for each header, got %d headers and %d JSONPaths",
			len(titles), len(paths))
	}
	c := &Columns{}
	for i := range titles {
		if err := c.addParsed(titles[i], paths[i]); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// none is in a column without a value.
const none = "<none>"

// Columns writes a table with a row for each item of a document, or for the
// document if it has no items. A second call continues the table. Nothing is
// cut.
func (p *Printer) Columns(c *Columns, document any) error {
	value, err := Generic(document)
	if err != nil {
		return err
	}
	items := []any{value}
	if object, ok := value.(map[string]any); ok {
		if list, ok := object["items"].([]any); ok {
			items = list
		}
	}
	var rows [][]field
	for _, item := range items {
		row := make([]field, 0, len(c.paths))
		for i, path := range c.paths {
			values, err := path.Values(item)
			if err != nil {
				return fmt.Errorf("column %s: %w", c.titles[i], err)
			}
			row = append(row, field{text: joined(values)})
		}
		rows = append(rows, row)
	}
	if len(c.paths) == 1 { // a row with a single field has no header
		if p.widths == nil && !p.opts.NoHeaders && len(rows) > 0 {
			rows = append([][]field{plain(c.titles[0])}, rows...)
			p.widths = make([]int, 1)
		}
		return p.table(nil, rows)
	}
	width := p.opts.Width
	p.opts.Width = 0
	defer func() { p.opts.Width = width }()
	return p.table(c.titles, rows)
}

// joined returns values as the text of a cell. Lists and objects are JSON.
func joined(values []any) string {
	var texts []string
	for _, value := range values {
		switch value.(type) {
		case map[string]any, []any:
			if text, err := json.Marshal(value); err == nil {
				texts = append(texts, string(text))
			}
		default:
			texts = append(texts, fmt.Sprint(value))
		}
	}
	if len(texts) == 0 {
		return none
	}
	return cell(strings.Join(texts, ","))
}

// Generic returns a document as maps, lists and scalars, as JSON has them.
// Whole numbers are int64.
func Generic(document any) (any, error) {
	body, err := json.Marshal(document)
	if err != nil {
		return nil, fmt.Errorf("read a document: %w", err)
	}
	var value any
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		object := map[string]any{}
		err, value = utiljson.Unmarshal(body, &object), object
	} else {
		err = utiljson.Unmarshal(body, &value)
	}
	return value, errors.Join(err)
}
