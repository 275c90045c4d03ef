package openapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Checker compares answers with a document. It is safe for concurrent use.
type Checker struct {
	paths    map[string]map[string]*checked // by path and status
	notFound *jsonschema.Schema             // of errors on other paths, and of other methods
}

// checked is an answer of the document in a form that answers are compared
// with.
type checked struct {
	headers  map[string]*jsonschema.Schema // by canonical name
	required []string                      // canonical names
	bodies   map[string]*jsonschema.Schema // by media type
}

// encodedAnswer is an answer as the document has it.
type encodedAnswer struct {
	Ref     string `json:"$ref"`
	Headers map[string]struct {
		Ref      string `json:"$ref"`
		Required bool
		Schema   any
	}
	Content map[string]struct{ Schema any }
}

// schemaURL is the address of the document's schemas for the validator.
const schemaURL = "mem:///schemas.json"

// NewChecker returns a checker for the document in a file.
//
// It is stricter than the document: an answer must not have fields and headers
// that the document does not name. Clients have to accept them.
func NewChecker(file string) (*Checker, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var d struct {
		Paths map[string]struct {
			Get struct {
				Responses map[string]encodedAnswer
			}
		}
		Components struct {
			Schemas   map[string]any
			Headers   map[string]struct{ Schema any }
			Responses map[string]encodedAnswer
		}
	}
	if err := json.Unmarshal(data, &d); err != nil {
		return nil, fmt.Errorf("decode %s: %w", file, err)
	}
	s := newSet(d.Components.Schemas)
	c := &Checker{paths: map[string]map[string]*checked{}}
	for path, item := range d.Paths {
		c.paths[path] = map[string]*checked{}
		for status, r := range item.Get.Responses {
			if r.Ref != "" {
				r = d.Components.Responses[strings.TrimPrefix(r.Ref, "#/components/responses/")]
			}
			a := &checked{headers: map[string]*jsonschema.Schema{}, bodies: map[string]*jsonschema.Schema{}}
			for name, h := range r.Headers {
				if h.Ref != "" {
					h.Schema = d.Components.Headers[strings.TrimPrefix(h.Ref, "#/components/headers/")].Schema
				}
				a.headers[http.CanonicalHeaderKey(name)] = s.add(h.Schema)
				if h.Required {
					a.required = append(a.required, http.CanonicalHeaderKey(name))
				}
			}
			for media, content := range r.Content {
				a.bodies[media] = s.add(content.Schema)
			}
			c.paths[path][status] = a
		}
	}
	c.notFound = s.add(map[string]any{"$ref": "#/components/schemas/ErrorBody"})
	return c, errors.Join(s.problems...)
}

// set compiles schemas that refer to the document's components. Equal ones are
// compiled once.
type set struct {
	definitions any
	compiled    map[string]*jsonschema.Schema // by their JSON
	problems    []error
}

func newSet(components map[string]any) *set {
	return &set{definitions: strict(components), compiled: map[string]*jsonschema.Schema{}}
}

// add compiles a schema. Its references are those of the document.
func (s *set) add(of any) *jsonschema.Schema {
	root, ok := strict(of).(map[string]any)
	if !ok {
		s.problems = append(s.problems, fmt.Errorf("got %v, want a schema", of))
		return nil
	}
	key, err := json.Marshal(root)
	if compiled := s.compiled[string(key)]; compiled != nil && err == nil {
		return compiled
	}
	root["$defs"] = s.definitions
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err == nil {
		err = compiler.AddResource(schemaURL, root)
	}
	if err != nil {
		s.problems = append(s.problems, err)
		return nil
	}
	compiled, err := compiler.Compile(schemaURL)
	if err != nil {
		s.problems = append(s.problems, err)
	}
	s.compiled[string(key)] = compiled
	return compiled
}

// strict returns a copy of a schema that forbids further properties of objects
// whose properties are known, with references to definitions of the same
// document.
func strict(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v)+1)
		for key, value := range v {
			out[key] = strict(value)
		}
		if ref, ok := v["$ref"].(string); ok {
			out["$ref"] = strings.Replace(ref, "#/components/schemas/", "#/$defs/", 1)
		}
		if _, known := v["properties"].(map[string]any); known && v["additionalProperties"] == nil {
			out["additionalProperties"] = false
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = strict(v[i])
		}
		return out
	default:
		return v
	}
}

// Answer is an answer to a request.
type Answer struct {
	Method string
	Path   string // as it was requested, without a query
	Status int
	Header http.Header
	Body   []byte
}

// Check returns an error if the document does not describe the answer.
func (c *Checker) Check(a Answer) error {
	if err := c.check(a); err != nil {
		return fmt.Errorf("%s %s: got %d with %v and %.300q, want an answer of the OpenAPI document: %w",
			a.Method, a.Path, a.Status, a.Header, a.Body, err)
	}
	return nil
}

func (c *Checker) check(a Answer) error {
	answers := c.paths[template(a.Path, c.paths)]
	if answers == nil || a.Method != http.MethodGet && a.Method != http.MethodHead {
		if a.Status < http.StatusBadRequest {
			return errors.New("neither the path nor the method is described")
		}
		return validateJSON(c.notFound, a.Body)
	}
	want := answers[strconv.Itoa(a.Status)]
	if want == nil {
		return fmt.Errorf("got status %d, want one of %v", a.Status, slices.Sorted(maps.Keys(answers)))
	}
	if err := want.checkHeaders(a.Header); err != nil {
		return err
	}
	if a.Method == http.MethodHead {
		return nil
	}
	return want.checkBody(a.Header, a.Body)
}

// template returns the path of the document that describes a path, or "".
func template[V any](path string, paths map[string]V) string {
	path = "/" + strings.TrimLeft(path, "/")
	if _, literal := paths[path]; literal {
		return path
	}
	for candidate := range paths {
		if prefix, _, ok := strings.Cut(candidate, "{"); ok && strings.HasPrefix(path, prefix) {
			return candidate
		}
	}
	return ""
}

// undescribed are headers of the connection and of the representation, which
// OpenAPI does not describe with the other headers.
var undescribed = []string{ //nolint:gochecknoglobals // constant
	"Content-Type", "Content-Length", "Date", "Connection", "Transfer-Encoding",
}

// checkHeaders checks the headers of an answer.
func (c *checked) checkHeaders(got http.Header) error {
	for name, values := range got {
		if slices.Contains(undescribed, name) {
			continue
		}
		want, known := c.headers[name]
		if !known {
			return fmt.Errorf("header %s is not described", name)
		}
		if err := validateText(want, strings.Join(values, ", ")); err != nil {
			return fmt.Errorf("header %s: %w", name, err)
		}
	}
	for _, name := range c.required {
		if got.Get(name) == "" {
			return fmt.Errorf("got no header %s, which is required", name)
		}
	}
	return nil
}

// checkBody checks the body of an answer.
func (c *checked) checkBody(header http.Header, body []byte) error {
	if len(c.bodies) == 0 {
		if len(body) > 0 {
			return errors.New("want no body")
		}
		return nil
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("Content-Type: %w", err)
	}
	want, known := c.bodies[media]
	if !known {
		return fmt.Errorf("got type %s, want one of %v", media, slices.Sorted(maps.Keys(c.bodies)))
	}
	if header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return err
		}
		if body, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	switch media {
	case jsonType:
		return validateJSON(want, body)
	case linesType:
		for line := range bytes.Lines(body) {
			if err := validateJSON(want, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// validateJSON validates a JSON document.
func validateJSON(s *jsonschema.Schema, body []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the body is not JSON: %w", err)
	}
	return s.Validate(value)
}

// validateText validates the value of a header, which is a text, a number or a
// boolean.
func validateText(s *jsonschema.Schema, text string) error {
	err := s.Validate(text)
	if err == nil {
		return nil
	}
	if value, invalid := jsonschema.UnmarshalJSON(strings.NewReader(text)); invalid == nil {
		return s.Validate(value)
	}
	return err
}
