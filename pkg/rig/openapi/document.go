package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// The objects of an OpenAPI document, as far as the document uses them. The
// fields have the names and the order of the document.
type (
	document struct {
		OpenAPI      string                           `json:"openapi"`
		Info         info                             `json:"info"`
		ExternalDocs link                             `json:"externalDocs"`
		Servers      []link                           `json:"servers"`
		Security     []map[string][]string            `json:"security"`
		Paths        map[string]map[string]*operation `json:"paths"`
		Components   components                       `json:"components"`
	}
	info struct {
		Title       string  `json:"title"`
		Version     string  `json:"version"`
		Description string  `json:"description"`
		License     license `json:"license"`
	}
	license struct {
		Name       string `json:"name"`
		Identifier string `json:"identifier"`
	}
	link struct {
		URL         string `json:"url"`
		Description string `json:"description"`
	}
	operation struct {
		ID          string               `json:"operationId"`
		Summary     string               `json:"summary"`
		Description string               `json:"description,omitempty"`
		Tags        []string             `json:"tags"`
		Parameters  []*schema            `json:"parameters,omitempty"` // references
		Responses   map[string]*response `json:"responses"`
	}
	response struct {
		Ref         string                `json:"$ref,omitempty"`
		Description string                `json:"description,omitempty"`
		Headers     map[string]*header    `json:"headers,omitempty"`
		Content     map[string]*mediaType `json:"content,omitempty"`
	}
	header struct {
		Ref         string  `json:"$ref,omitempty"`
		Description string  `json:"description,omitempty"`
		Required    bool    `json:"required,omitempty"`
		Schema      *schema `json:"schema,omitempty"`
	}
	mediaType struct {
		Schema  *schema `json:"schema"`
		Example any     `json:"example,omitempty"`
	}
	parameter struct {
		Name        string  `json:"name"`
		In          string  `json:"in"`
		Description string  `json:"description"`
		Required    bool    `json:"required,omitempty"`
		Style       string  `json:"style,omitempty"`
		Explode     *bool   `json:"explode,omitempty"`
		Schema      *schema `json:"schema"`
	}
	components struct {
		Schemas         map[string]*schema        `json:"schemas"`
		Parameters      map[string]*parameter     `json:"parameters"`
		Headers         map[string]*header        `json:"headers"`
		Responses       map[string]*response      `json:"responses"`
		SecuritySchemes map[string]securityScheme `json:"securitySchemes"`
	}
	securityScheme struct {
		Type        string `json:"type"`
		Scheme      string `json:"scheme"`
		Description string `json:"description"`
	}
)

// introduction is the description of the whole API. The format is Markdown.
const introduction = `The API is read-only: every GET is also answered as a HEAD, and all other methods with 405. ` +
	`Unknown parameters are ignored, and an empty value means that the parameter is absent. Fields, headers, ` +
	`parameters and values may be added, and existing ones are not changed. A recorder with a secure listener ` +
	`identifies its callers: by a bearer token, a client certificate or the front proxy of the cluster. It answers ` +
	`with what they may read in the cluster.`

// The media types.
const (
	plainType = "text/plain"
	jsonType  = v1.ContentType
	linesType = v1.StreamContentType
)

// Example is a real answer.
type Example struct {
	Path   string // of the endpoint, with the names of its parameters
	Status int
	Type   string // a media type without parameters
	Body   string
}

// Paths returns the paths of all endpoints. Some of them are templates.
func Paths() (paths []string) {
	for _, e := range endpoints() {
		paths = append(paths, e.path)
	}
	return paths
}

// Parameters returns the query parameters of an endpoint.
func Parameters(path string) (names []string) {
	for _, e := range endpoints() {
		if e.path != path {
			continue
		}
		for _, key := range e.parameters {
			names = append(names, parameterName(key))
		}
	}
	return names
}

// Build returns the document as JSON. dir is the directory of package v1. It
// returns an error if a name has no comment there, or if an example belongs to
// no answer.
func Build(dir string, examples []Example) ([]byte, error) {
	from, err := readSource(dir)
	if err != nil {
		return nil, err
	}
	b := builder{source: from, schemas: schemas{source: from, components: map[string]*schema{}}}
	d := b.document()
	for _, e := range examples {
		b.addExample(d, e)
	}
	for name, component := range d.Components.Schemas {
		for _, p := range component.Properties {
			b.require(p.schema.Description, "field %s of %s", p.name, name)
		}
		b.require(component.Description, "type %s", name)
	}
	if len(b.problems) > 0 {
		slices.Sort(b.problems)
		return nil, fmt.Errorf("make the OpenAPI document: %s", strings.Join(b.problems, "; "))
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(d)
	return out.Bytes(), err
}

// builder makes a document.
type builder struct {
	source   *source
	schemas  schemas
	problems []string
}

// require adds a problem if a description is missing.
func (b *builder) require(description, format string, args ...any) {
	if description == "" {
		b.problems = append(b.problems, fmt.Sprintf(format, args...)+" has no comment in package v1")
	}
}

// document returns the document without examples.
func (b *builder) document() *document {
	d := &document{
		OpenAPI: "3.1.0",
		Info: info{
			Title: "watchhistory recorder", Version: "v1", Description: introduction,
			License: license{Name: "Apache License 2.0", Identifier: "Apache-2.0"},
		},
		ExternalDocs: link{
			"https://github.com/watchhistory/watchhistory/blob/main/docs/api.md", "The API with examples and reasons.",
		},
		Servers:  []link{{"/", "The server of this document."}},
		Security: []map[string][]string{{}, {"bearer": {}}},
		Paths:    map[string]map[string]*operation{},
		Components: components{
			Schemas: b.schemas.components, Parameters: map[string]*parameter{}, Headers: map[string]*header{},
			Responses: map[string]*response{},
			SecuritySchemes: map[string]securityScheme{"bearer": {
				"http", "bearer", "A token of the cluster, on the secure listener.",
			}},
		},
	}
	for _, e := range endpoints() {
		d.Paths[e.path] = map[string]*operation{"get": b.operation(d, &e)}
	}
	return d
}

// operation returns the GET of an endpoint, and adds its components.
func (b *builder) operation(d *document, e *endpoint) *operation {
	name := b.source.constant("Path", e.path)
	text := b.source.describe(name)
	b.require(text, "path %s", e.path)
	summary, rest, _ := strings.Cut(text, ". ")
	o := &operation{
		ID: e.id, Summary: strings.TrimSuffix(summary, "."), Description: rest, Tags: []string{tag(e.path)},
		Responses: map[string]*response{},
	}
	for _, m := range regexp.MustCompile(`\{(\w+)\}`).FindAllStringSubmatch(e.path, -1) {
		o.Parameters = append(o.Parameters, b.parameter(d, "Path", m[1]))
	}
	for _, key := range e.parameters {
		o.Parameters = append(o.Parameters, b.parameter(d, "Param", key))
	}
	for _, a := range e.answers {
		r := b.response(d, &a)
		if a.shared != "" {
			d.Components.Responses[a.shared] = r
			r = &response{Ref: "#/components/responses/" + a.shared}
		}
		o.Responses[strconv.Itoa(a.status)] = r
	}
	return o
}

// tag returns the group of a path.
func tag(path string) string {
	if strings.HasPrefix(path, "/api/") {
		return "history"
	}
	return "operation"
}

// response returns an answer, and adds its components.
func (b *builder) response(d *document, a *answer) *response {
	r := &response{Description: a.text, Headers: map[string]*header{}, Content: map[string]*mediaType{}}
	if a.plain {
		r.Content[plainType] = &mediaType{Schema: &schema{Type: "string"}}
	}
	for media, of := range map[string]reflect.Type{jsonType: a.json, linesType: a.lines} {
		if of == nil {
			continue
		}
		body, err := b.schemas.of(of)
		if err != nil {
			b.problems = append(b.problems, err.Error())
		}
		if media == jsonType && a.folded != nil {
			folded, err := b.schemas.of(a.folded)
			if err != nil {
				b.problems = append(b.problems, err.Error())
			}
			body = &schema{AnyOf: []*schema{body, folded}}
		}
		r.Content[media] = &mediaType{Schema: body}
	}
	for _, name := range a.optional {
		r.Headers[name] = &header{Ref: "#/components/headers/" + name}
		b.addHeader(d, name)
	}
	for _, name := range a.required {
		b.addHeader(d, name)
		own := *d.Components.Headers[name]
		own.Required = true
		r.Headers[name] = &own
	}
	return r
}

// addHeader adds a header to the components.
func (b *builder) addHeader(d *document, name string) {
	text, ok := headerTexts()[name]
	if !ok {
		text = b.source.describe(b.source.constant("Header", name))
	}
	b.require(text, "header %s", name)
	d.Components.Headers[name] = &header{Description: text, Schema: headerSchema(name)}
}

// headerSchema returns the schema of a header's value.
func headerSchema(name string) *schema {
	zero := 0
	switch name {
	case v1.TotalCountHeader, v1.GapsHeader, retryHeader:
		return &schema{Type: "integer", Minimum: &zero}
	case v1.HasMoreHeader:
		return &schema{Type: "boolean"}
	case v1.SinceTrimmedHeader:
		return &schema{Type: "boolean"}
	case v1.TotalCountRelationHeader:
		return &schema{Type: "string", Enum: []string{v1.AtLeast}}
	case v1.SinceHeader, v1.AtHeader:
		return &schema{Type: "string", Format: "date-time"}
	default:
		return &schema{Type: "string"}
	}
}

// addExample adds a real answer to the document.
func (b *builder) addExample(d *document, e Example) {
	missing := fmt.Sprintf("example of %s with status %d and %s: no such answer", e.Path, e.Status, e.Type)
	o := d.Paths[e.Path]["get"]
	if o == nil || o.Responses[strconv.Itoa(e.Status)] == nil {
		b.problems = append(b.problems, missing)
		return
	}
	content := o.Responses[strconv.Itoa(e.Status)].Content[e.Type]
	switch {
	case content == nil:
		b.problems = append(b.problems, missing)
	case e.Type == jsonType:
		content.Example = json.RawMessage(e.Body)
	default:
		content.Example = e.Body
	}
}
