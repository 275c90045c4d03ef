package selector

import (
	"errors"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// variables are the variables of an expression for one version. Each is
// computed when the expression first reads it.
type variables struct {
	version Version
	values  map[string]ref.Val // of objects and changes
	read    bool               // previous and err are set
	before  *history.Record
	err     error // of a function of the version
}

// ResolveName implements [cel.Activation].
func (v *variables) ResolveName(name string) (any, bool) {
	switch name {
	case varVerb:
		return types.String(v.version.Verb.String()), true
	case varObject, varOld, varManagers, varChanged, varProblem, varNewest, varCreated:
	default:
		return nil, false
	}
	value, known := v.values[name]
	if !known {
		if v.values == nil {
			v.values = map[string]ref.Val{}
		}
		value = v.compute(name)
		v.values[name] = value
	}
	return value, true
}

// Parent implements [cel.Activation].
func (v *variables) Parent() cel.Activation { return nil }

// compute returns the value of a variable.
func (v *variables) compute(name string) ref.Val {
	native := adapter{types.DefaultTypeAdapter}
	switch name {
	case varObject:
		return native.NativeToValue(raw(v.version.Object))
	case varOld:
		if before := v.previous(); before != nil {
			return native.NativeToValue(raw(before.Object))
		}
		return types.NullValue
	case varManagers:
		names := make([]string, len(v.version.Managers))
		for i := range v.version.Managers {
			names[i] = v.version.Managers[i].Name
		}
		return types.NewStringList(native, names)
	case varProblem:
		if v.version.Problem == nil {
			return types.NewErr("no problem is known")
		}
		text, err := v.version.Problem()
		v.err = errors.Join(v.err, err)
		return types.String(text)
	case varNewest:
		return v.ask(v.version.Newest)
	case varCreated:
		return v.ask(v.version.Created)
	default:
		return types.NewStringList(native, v.changed())
	}
}

// ask returns what a function of the version returns.
func (v *variables) ask(f func() (bool, error)) ref.Val {
	if f == nil {
		return types.NewErr("no other version is known")
	}
	is, err := f()
	v.err = errors.Join(v.err, err)
	return types.Bool(is)
}

// previous returns the previous version, or nil.
func (v *variables) previous() *history.Record {
	if !v.read {
		v.read = true
		before, err := v.version.Previous()
		v.before, v.err = before, errors.Join(v.err, err)
	}
	return v.before
}

// changed returns the paths of what differs from the previous version, without
// fields that the API server changes in every version and that answers omit.
func (v *variables) changed() []string {
	before := v.previous()
	if before == nil {
		return nil
	}
	var paths []string
	for _, c := range summary.Compare(before.Object, v.version.Object).Changes() {
		if len(c.Path) == 2 && c.Path.Below("metadata") && isServerField(c.Path[1].Field) {
			continue
		}
		paths = append(paths, c.Path.String())
	}
	return paths
}

// isServerField reports whether the API server maintains a field of metadata
// for itself.
func isServerField(name string) bool {
	switch name {
	case "managedFields", "resourceVersion", "generation", "selfLink":
		return true
	default:
		return false
	}
}

// raw is a JSON value that is decoded when an expression reads it. Expressions
// read few of an object's fields, so most of an object is only walked over.
type raw []byte

// adapter converts values to those of CEL. It decodes one level of a raw value.
type adapter struct{ types.Adapter }

// NativeToValue implements [types.Adapter].
func (a adapter) NativeToValue(value any) ref.Val {
	data, isRaw := value.(raw)
	if !isRaw {
		return a.Adapter.NativeToValue(value)
	}
	scan := rawjson.ScanValid(data)
	switch scan.Kind() {
	case rawjson.Object:
		members := map[string]any{}
		for _, key := range scan.Members() {
			members[string(key)] = raw(scan.Skip())
		}
		return types.NewStringInterfaceMap(a, members)
	case rawjson.Array:
		elements := []any{}
		for range scan.Elements() {
			elements = append(elements, raw(scan.Skip()))
		}
		return types.NewDynamicList(a, elements)
	case rawjson.String:
		return types.String(scan.Text())
	case rawjson.Number:
		return number(string(scan.Skip()))
	case rawjson.Bool:
		return types.Bool(string(scan.Skip()) == "true")
	default:
		return types.NullValue
	}
}

// number returns a whole number as an int if it fits into 64 bits, and any
// other number as a double, as the API server does.
func number(text string) ref.Val {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && !strings.ContainsAny(text, ".eE") {
		return types.Int(n)
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil && n == 0 {
		return types.NullValue // not reached: the document is valid
	}
	return types.Double(n)
}

// sizes estimates the sizes of values for the cost of an expression. Objects
// have no schema, so the numbers are those of large but real objects. The limit
// of the evaluation applies to all others.
type sizes struct{}

// The assumed sizes.
const (
	assumedItems = 100 // of a list, or fields of an object
	assumedText  = 256 // bytes of a text
)

// EstimateSize implements [cost.Estimator].
func (sizes) EstimateSize(of cost.AstNode) *cost.SizeEstimate {
	if of.Type().Kind() == types.StringKind {
		return &cost.SizeEstimate{Max: assumedText}
	}
	return &cost.SizeEstimate{Max: assumedItems}
}

// EstimateCallCost implements [cost.Estimator]. CEL's own estimates are used.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}
