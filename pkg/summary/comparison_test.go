package summary_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/diff"
	"github.com/watchhistory/watchhistory/pkg/summary"
)

// whole decodes an object completely.
func whole(t *testing.T, object []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var into map[string]any
	if err := d.Decode(&into); err != nil {
		t.Fatalf("%s: %v", object, err)
	}
	return into
}

// document returns a random value. Objects have few different keys, so that two
// versions share some.
func document(r *rand.Rand, depth int) any {
	switch n := r.IntN(10); {
	case depth == 0 || n < 4:
		return []any{nil, true, "", "a\"é", 7, 1.5, "7", map[string]any{}, []any{}}[r.IntN(9)]
	case n < 8:
		object := map[string]any{}
		for range r.IntN(5) {
			object[fmt.Sprintf("k%d", r.IntN(6))] = document(r, depth-1)
		}
		return object
	default:
		list := []any{}
		for i := range r.IntN(4) {
			list = append(list, map[string]any{"name": fmt.Sprint(i), "v": document(r, depth-1)})
		}
		return list
	}
}

// mutate returns the value with some of its content changed, sometimes to the
// same.
func mutate(r *rand.Rand, value any) any {
	object, ok := value.(map[string]any)
	if !ok || r.IntN(8) == 0 {
		return document(r, 2)
	}
	changed := map[string]any{}
	for key, inside := range object {
		switch r.IntN(6) {
		case 0:
		case 1, 2:
			changed[key] = mutate(r, inside)
		default:
			changed[key] = inside
		}
	}
	if r.IntN(4) == 0 {
		changed[fmt.Sprintf("k%d", r.IntN(9))] = document(r, 1)
	}
	return changed
}

// spell encodes a value with its members in random order and with random white
// space.
func spell(r *rand.Rand, value any) string {
	object, ok := value.(map[string]any)
	if !ok {
		text, _ := json.Marshal(value) // can't fail for a value of document
		return string(text)
	}
	var parts []string
	for key, inside := range object {
		parts = append(parts, fmt.Sprintf(`"%s":%s%s`, key, strings.Repeat(" ", r.IntN(2)), spell(r, inside)))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// Only equal bytes are left out of a comparison, so its changes are those of
// the whole objects.
func TestCompare_FindsSameChangesAsDiff(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	found, decoded := 0, 0
	for range 5000 {
		object := map[string]any{"metadata": document(r, 8), "spec": document(r, 8), "status": document(r, 8)}
		next, ok := mutate(r, object).(map[string]any)
		if !ok {
			continue
		}
		old, now := []byte(spell(r, object)), []byte(spell(r, next))
		want := diff.Objects(whole(t, old), whole(t, now))
		c := summary.Compare(old, now)
		if d := cmp.Diff(want, diff.Objects(c.Old, c.New)); d != "" {
			t.Fatalf("seed %d\nold %s\nnew %s\nchanges (-want +got):\n%s", seed, old, now, d)
		}
		found += len(want)
		decoded += len(c.Old)
	}
	if found < 5000 || decoded > 3*5000-1000 {
		t.Errorf("got %d changes and %d decoded members, want at least %d and at most %d",
			found, decoded, 5000, 3*5000-1000)
	}
}

func TestCompare_DecodesOnlyDifferences(t *testing.T) {
	old := `{"kind":"A","metadata":{"labels":{"a":"1","b":"2"},"name":"x"},` +
		`"spec":{"l":[{"name":"a"},{"name":"b"}],"same":[1]},"gone":1}`
	now := `{"kind":"A","new":null,"metadata":{"labels":{"a":"1","b":"3"},"name":"x"},` +
		`"spec":{"same":[1],"l":[{"name":"a"},{"name":"c"}]}}`
	c := summary.Compare([]byte(old), []byte(now))
	list := func(last string) any {
		return []any{map[string]any{"name": "a"}, map[string]any{"name": last}}
	}
	if d := cmp.Diff(map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"b": "2"}},
		"spec":     map[string]any{"l": list("b")}, "gone": json.Number("1"),
	}, c.Old); d != "" {
		t.Errorf("Old (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]any{
		"metadata": map[string]any{"labels": map[string]any{"b": "3"}},
		"spec":     map[string]any{"l": list("c")}, "new": nil,
	}, c.New); d != "" {
		t.Errorf("New (-want +got):\n%s", d)
	}
}

func TestCompare_ValuesOtherThanObjects(t *testing.T) {
	for _, text := range []string{"", "null", "[]", "7", `{"a":`, `{"a":1}x`} {
		if c := summary.Compare([]byte(text), []byte(text+" ")); len(c.Old)+len(c.New) > 0 {
			t.Errorf("%q: got %v and %v, want no members", text, c.Old, c.New)
		}
	}
}
