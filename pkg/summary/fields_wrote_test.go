package summary_test

import (
	"slices"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/summary"
)

func TestWrote(t *testing.T) {
	const (
		before = `{"apiVersion":"v1","metadata":{"labels":{"a":"1","gone":"1"},"finalizers":["x","gone"]},` +
			`"spec":{"n":1,"same":2,"null":null,` +
			`"map":{"m":"1"},"args":["a","b"],"ports":[{"port":80,"name":"web"},{"port":81,"name":"gone"}],` +
			`"kind":"scalar"},"twice":[{"k":"a"},{"k":"a"}],` +
			`"atomic":{"map":{"m":{"x":1}},"list":[{"a":1,"b":1},{"a":2}],"less":[1,2],"moved":[1,2],` +
			`"lost":[{"a":1,"b":{"c":1,"d":[1,2]}}],"spelled":[1,{"a":null}]}}`
		now = `{"apiVersion":"v1","metadata":{"labels":{"a":"2","new":"1"},"finalizers":["x","y"],` +
			`"annotations":{"c":"1"}},"spec":{"n":1.0,"same":2,"null":{},` +
			`"map":{"m":"2"},"args":["a"],"ports":[{"port":80,"name":"api"},{"port":82,"name":"new"}],"kind":{}},` +
			`"twice":[{"k":"a","v":1},{"k":"a"}],` +
			`"atomic":{"map":{"m":{"x":2}},"list":[{"a":1,"b":2},{"a":2}],"less":[2],"moved":[2,1],` +
			`"lost":[{"a":1,"b":{"d":[2]}}],"spelled":[1.0,{"a":{}}]}}`
		others = `{"f:metadata":{"f:labels":{".":{},"f:other":{}}},"f:spec":{"f:map":{"f:other":{}},"f:args":{}},` +
			`"f:atomic":{".":{}},"f:twice":{"k:{\"k\":\"b\"}":{}}}`
	)
	for _, tt := range []struct {
		name, fields string
		want         bool
	}{
		{"a changed scalar", `{"f:metadata":{"f:labels":{"f:a":{}}}}`, true},
		{"an added field", `{"f:metadata":{"f:labels":{".":{},"f:new":{}}}}`, true},
		{"an added object", `{"f:metadata":{"f:annotations":{".":{},"f:c":{}}}}`, true},
		{"only the existence of an added object", `{"f:metadata":{"f:annotations":{}}}`, true},
		{"a removed field", `{"f:metadata":{"f:labels":{"f:gone":{}}}}`, false},
		{"the existence of an object that others wrote to", `{"f:metadata":{"f:labels":{}}}`, false},
		{"the existence of an object, and an unchanged field", `{"f:spec":{".":{},"f:same":{}}}`, false},
		{"a value with members of others", `{"f:spec":{"f:map":{}}}`, false},
		{"an atomic object, or one that a scale wrote into", `{"f:atomic":{"f:map":{}}}`, false},
		{"an atomic list with another item", `{"f:atomic":{"f:list":{}}}`, true},
		{"a list that lost an item", `{"f:spec":{"f:args":{}},"f:atomic":{"f:less":{}}}`, false},
		{"a list with an item that lost a field", `{"f:atomic":{"f:lost":{}}}`, false},
		{"a list with other spellings", `{"f:atomic":{"f:spelled":{}}}`, false},
		{"a list in another order", `{"f:atomic":{"f:moved":{}}}`, false},
		{"a list with items of others", `{"f:twice":{}}`, false},
		{"another spelling of a number", `{"f:spec":{"f:n":{}}}`, false},
		{"an object in place of a scalar", `{"f:spec":{"f:kind":{}}}`, true},
		{"an empty object in place of null", `{"f:spec":{"f:null":{}}}`, false},
		{"an added item of a set", `{"f:metadata":{"f:finalizers":{"v:\"y\"":{}}}}`, true},
		{"an item of a set that moved up", `{"f:metadata":{"f:finalizers":{"v:\"x\"":{}}}}`, false},
		{"a removed item of a set", `{"f:metadata":{"f:finalizers":{"v:\"gone\"":{}}}}`, false},
		{"an item's field", `{"f:spec":{"f:ports":{"k:{\"port\":80}":{"f:name":{}}}}}`, true},
		{"an item's key", `{"f:spec":{"f:ports":{"k:{\"port\":80}":{".":{},"f:port":{}}}}}`, false},
		{"an added item", `{"f:spec":{"f:ports":{"k:{\"port\":82}":{".":{},"f:port":{}}}}}`, true},
		{"a removed item", `{"f:spec":{"f:ports":{"k:{\"port\":81}":{".":{},"f:port":{}}}}}`, false},
		{"one of two items with the same key", `{"f:twice":{"k:{\"k\":\"a\"}":{"f:v":{}}}}`, false},
		{"a field inside of a scalar", `{"f:metadata":{"f:labels":{"f:a":{"f:b":{}}}}}`, false},
		{"nothing", `{}`, false},
		{"no fields", ``, false},
		{"no JSON", `{"f:metadata":{"f:labels":{"f:a":{}}}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := summary.Compare([]byte(before), []byte(now))
			got := c.Wrote([]byte(tt.fields), slices.Values([][]byte{[]byte(others)}))
			if got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// Fields that can't be read may belong to items of the list.
func TestWrote_OthersMayOwnListItems(t *testing.T) {
	c := summary.Compare([]byte(`{"l":[1]}`), []byte(`{"l":[1,2]}`))
	for _, tt := range []struct {
		others [][]byte
		want   bool
	}{
		{nil, true},
		{[][]byte{[]byte(`{"f:m":{}}`)}, true},
		{[][]byte{summary.AnyFields()}, false},
		{[][]byte{[]byte(`{"f:l":{"v:2":{}}}`)}, false},
	} {
		if got := c.Wrote([]byte(`{"f:l":{}}`), slices.Values(tt.others)); got != tt.want {
			t.Errorf("others %q: got %t, want %t", tt.others, got, tt.want)
		}
	}
}

func TestWrote_OtherAPIVersionProvesNothing(t *testing.T) {
	c := summary.Compare([]byte(`{"apiVersion":"v1beta1","a":1}`), []byte(`{"apiVersion":"v1","a":2}`))
	if c.Wrote([]byte(`{"f:a":{}}`), slices.Values[[][]byte](nil)) {
		t.Error("got true, want false")
	}
}

func TestScaled(t *testing.T) {
	const before = `{"metadata":{"generation":1},"spec":{"replicas":1,"paused":false},"status":{"replicas":1}}`
	for name, tt := range map[string]struct {
		now  string
		want string // the new number; empty if it is not scaled
	}{
		"only replicas": {
			`{"metadata":{"generation":2},"spec":{"replicas":0,"paused":false},"status":{"replicas":1}}`, "0",
		},
		"another field": {
			`{"metadata":{"generation":2},"spec":{"replicas":0,"paused":true},"status":{"replicas":1}}`, "",
		},
		"removed": {`{"metadata":{"generation":2},"spec":{"paused":false},"status":{"replicas":1}}`, ""},
		"not at all": {
			`{"metadata":{"generation":2},"spec":{"replicas":1,"paused":false},"status":{"replicas":1}}`, "",
		},
		"only the status's": {
			`{"metadata":{"generation":2},"spec":{"replicas":1,"paused":false},"status":{"replicas":2}}`, "",
		},
	} {
		if got, ok := summary.Compare([]byte(before), []byte(tt.now)).Scaled(); ok && got != tt.want ||
			ok != (tt.want != "") {
			t.Errorf("%s: got %q, %t, want %q", name, got, ok, tt.want)
		}
	}
}

// If a value is owned without its members, other managers may own those.
func TestOwned_InsideOnlyWithoutOtherWriters(t *testing.T) {
	c := summary.Compare([]byte(`{"spec":{"m":{"a":1,"b":1}}}`), []byte(`{"spec":{"m":{"a":2,"b":1}}}`))
	for fields, want := range map[string][2]int{
		`{"f:spec":{"f:m":{}}}`: {1, 0}, `{"f:spec":{"f:m":{"f:a":{}}}}`: {1, 1},
	} {
		if got := [2]int{len(c.Owned([]byte(fields), true)), len(c.Owned([]byte(fields), false))}; got != want {
			t.Errorf("%s: got %d changes with inside and %d without, want %v", fields, got[0], got[1], want)
		}
	}
}
