package diff_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

// origins returns the leaves of the first version as PATH@VERSION. Versions are
// numbered from the newest one, 0.
func origins(t *testing.T, versions ...string) []string {
	t.Helper()
	decoded := make([]map[string]any, len(versions))
	for i, text := range versions {
		if err := json.Unmarshal([]byte(text), &decoded[i]); err != nil {
			t.Fatal(err)
		}
	}
	skip := func(p diff.Path) bool { return p.Below("status") }
	o := diff.NewOrigins(decoded[0], skip)
	for i, previous := range decoded[1:] {
		o.Back(i, previous)
	}
	open := 0
	for _, l := range o.Leaves() {
		if l.Origin < 0 {
			open++
		}
	}
	if open != o.Open() {
		t.Errorf("Open: got %d, want %d", o.Open(), open)
	}
	o.Close(len(decoded) - 1)
	if o.Open() != 0 {
		t.Errorf("Open after Close: got %d, want 0", o.Open())
	}
	var got []string
	for _, l := range o.Leaves() {
		got = append(got, fmt.Sprintf("%s@%d", l.Path, l.Origin))
	}
	return got
}

func TestOrigins_AttributesLeaves(t *testing.T) {
	for name, tt := range map[string]struct{ versions, want []string }{
		"fields": {
			[]string{`{"a":1,"b":2,"status":3}`, `{"a":1,"b":1}`, `{"a":0,"b":1}`},
			[]string{"a@1", "b@0"},
		},
		"a value that returns": {
			[]string{`{"a":1}`, `{"a":2}`, `{"a":1}`},
			[]string{"a@0"},
		},
		"an object that was added": {
			[]string{`{"a":{"b":1,"c":{}}}`, `{"a":{"b":1}}`, `{}`},
			[]string{"a.b@1", "a.c@0"},
		},
		"a scalar that became an object": {
			[]string{`{"a":{"b":1}}`, `{"a":"x"}`},
			[]string{"a.b@0"},
		},
		"nothing": {[]string{`{}`, `{"a":1}`}, nil},
		"items with keys": {
			[]string{
				`{"l":[{"name":"x","v":1},{"name":"y","v":2}]}`,
				`{"l":[{"name":"new"},{"name":"y","v":2},{"name":"x","v":0}]}`,
				`{"l":[{"name":"x","v":0}]}`,
			},
			[]string{"l[name=x].v@0", "l[name=y].v@1"},
		},
		"items that are keys": {
			[]string{`{"p":[{"containerPort":80,"protocol":"TCP"}],"s":[{"name":"a"}]}`, `{"s":[{"name":"a"}]}`},
			[]string{"p[containerPort=80,protocol=TCP]@0", "s[name=a]@1"},
		},
		"items without keys": {
			[]string{`{"l":["z","a","b"]}`, `{"l":["a","b"]}`, `{"l":["a"]}`},
			[]string{"l[0]@0", "l[1]@2", "l[2]@1"},
		},
		"rules without keys": {
			[]string{
				`{"l":[{"host":"new"},{"host":"a","paths":["/"]}]}`,
				`{"l":[{"host":"a","paths":["/"]}]}`,
				`{"l":[{"host":"a","paths":["/x"]}]}`,
			},
			[]string{"l[0].host@0", "l[1].host@2", "l[1].paths[0]@1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := origins(t, tt.versions...); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %s, want %s", strings.Join(got, " "), strings.Join(tt.want, " "))
			}
		})
	}
}

// TestOrigins_MatchValues checks histories of random objects with keys: the
// leaf has its value in all versions from its origin on, and not before.
func TestOrigins_MatchValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a reproducible test
	for range 200 {
		var versions []string
		for range 6 {
			var items []string
			for _, name := range random.Perm(4)[:2] {
				items = append(items, fmt.Sprintf(`{"name":"n%d","v":%d}`, name, random.IntN(2)))
			}
			versions = append(versions, fmt.Sprintf(`{"a":%d,"l":[%s]}`, random.IntN(2), strings.Join(items, ",")))
		}
		for _, leaf := range origins(t, versions...) {
			path, at, _ := strings.Cut(leaf, "@")
			want := len(versions) - 1
			for i := 1; i < len(versions); i++ {
				if valueOf(t, versions[i], path) != valueOf(t, versions[0], path) {
					want = i - 1
					break
				}
			}
			if at != fmt.Sprint(want) {
				t.Fatalf("got %s, want version %d of\n%s", leaf, want, strings.Join(versions, "\n"))
			}
		}
	}
}

// valueOf returns the value at a path of the objects of
// TestOrigins_MatchValues, or nil.
func valueOf(t *testing.T, text, path string) any {
	t.Helper()
	var object struct {
		A any
		L []struct {
			Name string
			V    any
		}
	}
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	if path == "a" {
		return object.A
	}
	for _, item := range object.L {
		if path == "l[name="+item.Name+"].v" {
			return item.V
		}
	}
	return nil
}
