package openapi

import v1 "github.com/watchhistory/watchhistory/pkg/api/v1"

// oneNamespace is the key of [v1.ParamNamespace] for endpoints that accept only
// one namespace.
const oneNamespace = "one-namespace"

// parameterName returns the name of the parameter with this key.
func parameterName(key string) string {
	if key == oneNamespace {
		return v1.ParamNamespace
	}
	return key
}

// parameter adds a parameter to the components, and returns a reference to it.
// place is the prefix of its constant: "Path" or "Param".
func (b *builder) parameter(d *document, place, key string) *schema {
	name := parameterName(key)
	text := b.source.describe(b.source.constant(place, name))
	b.require(text, "parameter %s", name)
	p := &parameter{Name: name, In: "query", Description: text, Schema: &schema{Type: "string"}}
	component := key
	if place == "Path" {
		p.In, p.Required, component = "path", true, "path-"+key
		d.Components.Parameters[component] = p
		return reference("parameters", component)
	}
	several := func(repeated bool, items *schema) {
		p.Style, p.Explode, p.Schema = "form", &repeated, &schema{Type: "array", Items: items}
	}
	one := 1
	switch key {
	case oneNamespace:
		p.Description = `Selects objects in this namespace; "-" selects cluster-scoped objects.`
	case v1.ParamStart, v1.ParamEnd, v1.ParamFrom:
		p.Schema.Format = "date-time"
	case v1.ParamNamespace, v1.ParamVerb, v1.ParamManager, v1.ParamReason, v1.ParamType, v1.ParamWriter:
		several(true, &schema{Type: "string"})
	case v1.ParamResourceType:
		several(false, &schema{Type: "string"})
	case v1.ParamRevision:
		several(false, &schema{Type: "integer", Format: "int64", Minimum: &one})
	case v1.ParamDepth:
		p.Schema.Type, p.Schema.Minimum, p.Schema.Default = "integer", &one, 1
	case v1.ParamConsequences:
		zero := 0
		p.Schema.Type, p.Schema.Minimum, p.Schema.Default = "integer", &zero, 0
	case v1.ParamLimit:
		p.Schema.Type = "integer"
	case v1.ParamSummary, v1.ParamDescendants, v1.ParamStrip, v1.ParamNoise, v1.ParamVersions,
		v1.ParamProblem, v1.ParamWatch, v1.ParamFold, v1.ParamOutcome, v1.ParamPrevious,
		v1.ParamCount:
		p.Schema.Type, p.Schema.Default = "boolean", false
	case v1.ParamOrder:
		p.Schema.Enum, p.Schema.Default = []string{v1.OrderAscending, v1.OrderDescending}, v1.OrderAscending
	case v1.ParamClass:
		several(true, &schema{Type: "string", Enum: []string{v1.ClassRoot, v1.ClassOnset, v1.ClassConsequence}})
	case v1.ParamEmpty:
		p.Schema.Enum, p.Schema.Default = []string{v1.EmptyNotFound, v1.EmptyOK}, v1.EmptyNotFound
	case v1.ParamAt, v1.ParamTo:
		p.Schema.Default = v1.Now
	}
	d.Components.Parameters[component] = p
	return reference("parameters", component)
}
