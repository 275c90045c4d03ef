package store

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// setField returns a filter with one field set to a non-zero value.
func setField(t *testing.T, name string) *history.Filter {
	t.Helper()
	f := &history.Filter{}
	v := reflect.ValueOf(f).Elem().FieldByName(name)
	switch v.Kind() {
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(1)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	case reflect.Struct:
		v.Set(reflect.ValueOf(moment(1)))
	default:
		t.Fatalf("history.Filter.%s: got no sample value of type %s, want one in setField", name, v.Type())
	}
	return f
}

// Every field of a filter must be selected or decided by an index, or be listed
// in recordFields, but not both. Otherwise Count would count records that the
// filter excludes.
func TestIndexes_CoverAllFilterFields(t *testing.T) {
	var indexed filterFields
	for _, x := range indexes {
		indexed |= x.selects | x.decides
	}
	if both := indexed & recordFields; both != 0 {
		t.Errorf("recordFields: got %b, which indexes select or decide, want none of them", both)
	}
	covered := indexed | recordFields
	var seen filterFields
	for _, field := range reflect.VisibleFields(reflect.TypeFor[history.Filter]()) {
		set := fieldsOf(setField(t, field.Name))
		if set == 0 || set&(set-1) != 0 || seen.has(set) {
			t.Errorf("fieldsOf a filter with %s: got %b, want one bit that no other field has", field.Name, set)
		}
		if !covered.has(set) {
			t.Errorf("%s is not in the coverage of any index: got %b, want one of %b", field.Name, set, covered)
		}
		seen |= set
	}
	if got, want := fieldsOf(&history.Filter{}), filterFields(0); got != want {
		t.Errorf("fieldsOf the zero filter: got %b, want %b", got, want)
	}
}

// A plan without a hash would read an index of hashes under the zero hash.
func TestIndexes_HashVersionsAndFilters(t *testing.T) {
	for _, x := range indexes {
		if got, want := x.hashOf != nil, x.hashes != nil; got != want {
			t.Errorf("%s: got hashOf set: %t, want as hashes: %t", x.name, got, want)
		}
		if x.baselineKey != nil && x.hashes == nil {
			t.Errorf("%s: got entries for baselines without hashes, want hashes", x.name)
		}
	}
}

// The repair copies the metadata of an entry from one index to another one. So
// the keys of all indexes with metadata must have the same fields.
func TestIndexes_KeysWithMetadataAreComplete(t *testing.T) {
	e := key.Entry{TS: key.Start(1) + 2, Object: 3, Resource: 4, Namespace: 5, Verb: 6}
	for _, class := range metadataClasses() {
		got, err := key.Decode(e.In(class))
		want := e
		want.Class = class
		if err != nil || got != want {
			t.Errorf("class %c: got %+v, error %v, want %+v", class, got, err, want)
		}
	}
}

// A new class is a change of the format: older databases have no such keys. So
// the number must be raised, and the new keys added here and to the docs.
func TestIndexes_BelongToFormat(t *testing.T) {
	want := map[int]string{1: "orwkgt", 2: "orwckgt"}[format]
	got := ""
	for _, x := range indexes {
		got += string(rune(x.class))
	}
	if got != want {
		t.Errorf("classes of format %d: got %q, want %q", format, got, want)
	}
	page, err := os.ReadFile("../../docs/storage-format.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range got {
		if row := fmt.Sprintf("\n| `v` day² `%c` ", class); !strings.Contains(string(page), row) {
			t.Errorf("docs/storage-format.md: got no row that begins with %q, want one", row[1:])
		}
	}
	if head := fmt.Sprintf("\nformat **%d** ", format); !strings.Contains(string(page), head) {
		t.Errorf("docs/storage-format.md: got no %q, want it to describe the current format", head[1:])
	}
}

// An index that selects a field by hash must not claim to decide it.
func TestIndexes_HashesDecideNothing(t *testing.T) {
	for _, x := range indexes {
		if x.hashes != nil && x.decides.has(x.selects) {
			t.Errorf("%s: got %b as decided, want none of the selected %b", x.name, x.decides, x.selects)
		}
	}
}

func TestIndexFor_PrefersNarrowIndexes(t *testing.T) {
	for _, c := range []struct {
		set  filterFields
		want key.Class
	}{
		{0, key.ByTime},
		{fieldStart | fieldVerbs | fieldManagers, key.ByTime},
		{fieldResources | fieldVerbs, key.ByResource},
		{fieldNamespace | fieldResources, key.ByNamespace},
		{fieldOwner | fieldNamespace | fieldResources, key.ByOwner},
		{fieldRegarding | fieldOwner, key.ByTarget},
		{fieldName | fieldRegarding | fieldOwner, key.Record},
		{fieldUID | fieldNamespace, key.Record},
		{fieldClasses | fieldNamespace | fieldResources, key.ByRoot},
		{fieldClasses | fieldOwner, key.ByOwner},
	} {
		if got := indexFor(c.set, true).class; got != c.want {
			t.Errorf("index for %b: got %c, want %c", c.set, got, c.want)
		}
	}
	if got, want := indexFor(fieldClasses|fieldNamespace, false).class, key.ByNamespace; got != want {
		t.Errorf("index for root changes that are not indexed: got %c, want %c", got, want)
	}
}
