package store

import (
	"reflect"
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
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
	default: // a time.Time
		v.Set(reflect.ValueOf(moment(1)))
	}
	return f
}

// Every field of a filter must be selected or decided by an index, or be listed
// in recordFields. Otherwise Count would count records that the filter
// excludes.
func TestIndexes_CoverAllFilterFields(t *testing.T) {
	covered := recordFields
	for _, x := range indexes {
		covered |= x.selects | x.decides
	}
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
		{fieldStart | fieldVerbs | fieldManager, key.ByTime},
		{fieldResources | fieldVerbs, key.ByResource},
		{fieldNamespace | fieldResources, key.ByNamespace},
		{fieldOwner | fieldNamespace | fieldResources, key.ByOwner},
		{fieldRegarding | fieldOwner, key.ByTarget},
		{fieldName | fieldRegarding | fieldOwner, key.Record},
		{fieldUID | fieldNamespace, key.Record},
	} {
		if got := indexFor(c.set).class; got != c.want {
			t.Errorf("index for %b: got %c, want %c", c.set, got, c.want)
		}
	}
}
