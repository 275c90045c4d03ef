package cli

import (
	"cmp"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/resource"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// The formats with columns of the user.
const (
	customColumns     = "custom-columns"
	customColumnsFile = "custom-columns-file"
)

// parseColumns parses the columns of --output. It reports false if the format
// has none.
func (o *output) parseColumns() (found bool, err error) {
	format, spec, given := strings.Cut(o.format, "=")
	if format != customColumns && format != customColumnsFile {
		return false, nil
	}
	if !given || spec == "" {
		return true, withAdvice("As in: -o custom-columns=TIME:.timestamp,NAME:.resourceName",
			"--output %s has no columns", format)
	}
	if format == customColumnsFile {
		text, err := os.ReadFile(spec)
		if err != nil {
			return true, invalidf("--output %s: %v", format, err)
		}
		if o.columns, err = render.ParseColumnsFile(string(text)); err != nil {
			return true, invalidf("--output %s: %s: %v", format, spec, err)
		}
		return true, nil
	}
	if o.columns, err = render.ParseColumns(spec); err != nil {
		return true, invalidf("--output %s: %v", format, err)
	}
	return true, nil
}

// writeColumns writes a document as a table with the columns of the user. It
// continues the table of an earlier call.
func (o *output) writeColumns(env *Environment, document any) error {
	if o.columnPrinter == nil {
		o.columnPrinter = o.printer(env, false, false)
	}
	if err := o.columnPrinter.Columns(o.columns, document); err != nil {
		return invalidf("--output %s: %v", o.format, err)
	}
	return nil
}

// addSortFlag adds --sort-by.
func (o *output) addSortFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.sortBy, "sort-by", "",
		"Sort records by this JSONPath of -o json, as in .resourceName or {.objectChanges.spec.replicas}.")
}

// parseSort parses --sort-by.
func (o *output) parseSort() (err error) {
	if o.sortBy == "" {
		return nil
	}
	if o.sortPath, err = render.ParsePath(o.sortBy); err != nil {
		return invalidf("--sort-by: %v", err)
	}
	return nil
}

// sorted returns events in the order of --sort-by. Those without the field are
// first, and those with the same value keep their order. Without the flag, it
// returns events.
func (o *output) sorted(events []v1.Event) ([]v1.Event, error) {
	if o.sortPath == nil || len(events) == 0 {
		return events, nil
	}
	keys, order := make([]any, len(events)), make([]int, len(events))
	found := false
	for i := range events {
		order[i] = i
		document, err := render.Generic(&events[i])
		if err != nil {
			return nil, err
		}
		values, err := o.sortPath.Values(document)
		if err != nil {
			return nil, invalidf("--sort-by %s: %v", o.sortBy, err)
		}
		if len(values) > 0 {
			keys[i], found = values[0], true
		}
	}
	if !found {
		return nil, withAdvice("-o json shows the fields.", "--sort-by %s: no record has this field", o.sortBy)
	}
	slices.SortStableFunc(order, func(a, b int) int { return compareValues(keys[a], keys[b]) })
	all := make([]v1.Event, len(events))
	for i, from := range order {
		all[i] = events[from]
	}
	return all, nil
}

// compareValues orders values of JSON: none, numbers and quantities, other
// texts, and all others by their kind only.
func compareValues(a, b any) int {
	numberA, isNumberA := quantity(a)
	numberB, isNumberB := quantity(b)
	textA, isTextA := a.(string)
	textB, isTextB := b.(string)
	switch {
	case a == nil || b == nil:
		return order(a != nil, b != nil)
	case isNumberA && isNumberB:
		return numberA.Cmp(numberB)
	case isNumberA || isNumberB:
		return order(isNumberB, isNumberA)
	case isTextA && isTextB:
		return strings.Compare(textA, textB)
	default:
		return order(isTextB, isTextA)
	}
}

// order orders false before true.
func order(a, b bool) int {
	number := map[bool]int{true: 1}
	return cmp.Compare(number[a], number[b])
}

// quantity returns a number, or a text such as "512Mi", as a quantity.
func quantity(value any) (resource.Quantity, bool) {
	switch v := value.(type) {
	case int64:
		return *resource.NewQuantity(v, resource.DecimalSI), true
	case float64:
		return *resource.NewMilliQuantity(int64(v*1000), resource.DecimalSI), true
	case string:
		q, err := resource.ParseQuantity(v)
		return q, err == nil
	default:
		return resource.Quantity{}, false
	}
}
