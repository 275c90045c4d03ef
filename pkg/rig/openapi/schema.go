package openapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
)

// schema is a JSON Schema, as far as the document uses it.
type schema struct {
	Ref         string       `json:"$ref,omitempty"`
	Type        string       `json:"type,omitempty"`
	Format      string       `json:"format,omitempty"`
	Description string       `json:"description,omitempty"`
	Enum        []string     `json:"enum,omitempty"`
	Default     any          `json:"default,omitempty"`
	Minimum     *int         `json:"minimum,omitempty"`
	Items       *schema      `json:"items,omitempty"`
	AnyOf       []*schema    `json:"anyOf,omitempty"`
	Required    []string     `json:"required,omitempty"`
	Properties  propertyList `json:"properties,omitempty"`
	// Additional is the schema of further properties. The zero schema allows
	// every value.
	Additional *schema `json:"additionalProperties,omitempty"`
}

// propertyList has the properties of an object in the order of their fields.
type propertyList []property

type property struct {
	name   string
	schema *schema
}

// MarshalJSON implements [json.Marshaler].
func (l propertyList) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, p := range l {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(p.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(p.schema)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// schemas makes the schemas of types. Structs become components.
type schemas struct {
	source     *source
	components map[string]*schema
}

// described returns the schema of a text with a description.
func described(description string) *schema { return &schema{Type: "string", Description: description} }

// object returns the schema of an object of any form.
func object() *schema { return &schema{Type: "object", Additional: &schema{}} }

// of returns the schema of a type.
func (s *schemas) of(t reflect.Type) (*schema, error) {
	switch t {
	case reflect.TypeFor[time.Time]():
		return &schema{Type: "string", Format: "date-time"}, nil
	case reflect.TypeFor[json.RawMessage]():
		return &schema{}, nil
	case reflect.TypeFor[objectList]():
		s.components["ObjectList"] = listSchema()
		return reference("schemas", "ObjectList"), nil
	}
	zero := 0
	switch t.Kind() {
	case reflect.String:
		return &schema{Type: "string"}, nil
	case reflect.Bool:
		return &schema{Type: "boolean"}, nil
	case reflect.Float64:
		return &schema{Type: "number"}, nil
	case reflect.Int:
		return &schema{Type: "integer"}, nil
	case reflect.Uint64:
		return &schema{Type: "integer", Format: "int64", Minimum: &zero}, nil
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.Slice:
		items, err := s.of(t.Elem())
		return &schema{Type: "array", Items: items}, err
	case reflect.Map:
		if t.Elem().Kind() == reflect.Interface {
			return object(), nil
		}
		values, err := s.of(t.Elem())
		return &schema{Type: "object", Additional: values}, err
	case reflect.Struct:
		return reference("schemas", t.Name()), s.addStruct(t)
	default:
		return nil, fmt.Errorf("type %s has no schema", t)
	}
}

// addStruct adds a struct to the components.
func (s *schemas) addStruct(t reflect.Type) error {
	if s.components[t.Name()] != nil {
		return nil
	}
	c := &schema{Type: "object", Description: s.source.describe(t.Name())}
	s.components[t.Name()] = c
	return s.properties(c, t)
}

// properties adds the fields of a struct to its schema. Those of an embedded
// struct are the struct's own, as in its JSON.
func (s *schemas) properties(c *schema, t reflect.Type) error {
	for field := range t.Fields() {
		if field.Anonymous {
			if err := s.properties(c, field.Type); err != nil {
				return err
			}
			continue
		}
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		value, err := s.of(field.Type)
		if err != nil {
			return fmt.Errorf("%s.%s: %w", t.Name(), field.Name, err)
		}
		if t == reflect.TypeFor[v1.Event]() && field.Type == reflect.TypeFor[json.RawMessage]() {
			value = object()
		}
		own := *value
		own.Description = s.source.describe(t.Name() + "." + field.Name)
		c.Properties = append(c.Properties, property{name, &own})
		if !slices.Contains([]string{"omitempty", "omitzero"}, options) {
			c.Required = append(c.Required, name)
		}
	}
	return nil
}

// listSchema returns the schema of a List of the Kubernetes API.
func listSchema() *schema {
	return &schema{
		Type: "object", Description: "A List of the Kubernetes API.",
		Required: []string{"kind", "apiVersion", "metadata", "items"},
		Properties: propertyList{
			{"kind", &schema{Type: "string", Enum: []string{"List"}, Description: "Always List."}},
			{"apiVersion", &schema{Type: "string", Enum: []string{"v1"}, Description: "Always v1."}},
			{"metadata", &schema{
				Type: "object", Description: "Of the List.", Required: []string{"resourceVersion"},
				Properties: propertyList{{"resourceVersion", described("Always empty.")}},
			}},
			{"items", &schema{Type: "array", Description: "Complete objects.", Items: object()}},
		},
	}
}

// reference returns a reference to a component.
func reference(kind, name string) *schema { return &schema{Ref: "#/components/" + kind + "/" + name} }
