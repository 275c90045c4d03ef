package daemon

import (
	"reflect"
	"slices"
	"testing"
)

// TestFileTypes_HasEveryMapping fails if an error about an unknown field could
// not list the fields of its mapping.
func TestFileTypes_HasEveryMapping(t *testing.T) {
	var visit func(reflect.Type)
	visit = func(of reflect.Type) {
		for of.Kind() == reflect.Slice || of.Kind() == reflect.Pointer {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of.NumField() == 0 || of.Field(0).Tag.Get("yaml") == "" {
			return // a value
		}
		if !slices.Contains(fileTypes(), of) {
			t.Errorf("fileTypes: got no %s, which a configuration contains, want it", of)
		}
		for field := range of.Fields() {
			visit(field.Type)
		}
	}
	visit(reflect.TypeFor[configFile]())
}
