package rawjson_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// selector parses a path, and after a space the pattern of a name.
func selector(t *testing.T, text string) rawjson.Selector {
	t.Helper()
	path, names, _ := strings.Cut(text, " ")
	p, err := rawjson.ParsePath(path)
	if err != nil {
		t.Fatal(err)
	}
	s := rawjson.Selector{Path: p}
	if names != "" {
		s.Names = append(s.Names, regexp.MustCompile(names))
	}
	return s
}

func TestFind_Selects(t *testing.T) {
	const env = `{"spec":{"c":[{"env":[{"name":"A","value":"1"},{"name":"DB_PASS","value":"2"},` +
		`{"value":"3"},{"name":4,"value":"5"},"6"]},7]}}`
	tests := []struct {
		name, data string
		paths      []string
		want       []string
	}{
		{"field", `{"data":{"a":1,"b":2}}`, []string{"data.b"}, []string{"2"}},
		{"repeated key", `{"data":{"a":1,"a":[2]}}`, []string{"data.a"}, []string{"1", "[2]"}},
		{"escaped key", `{"d\u0061ta":{"a":1}}`, []string{"data.a"}, []string{"1"}},
		{"quoted key", `{"data":{"a.b":1,"a":{"b":2}}}`, []string{`data["a.b"]`}, []string{"1"}},
		{"every member", `{"data":{"a":1,"b":{"c":2}},"a":3}`, []string{"data[*]"}, []string{"1", `{"c":2}`}},
		{"every element", `{"a":[1,[2],{"b":3}]}`, []string{"a[*]"}, []string{"1", "[2]", `{"b":3}`}},
		{"through lists", env, []string{"spec.c[*].env[*].value"}, []string{`"1"`, `"2"`, `"3"`, `"5"`}},
		{
			"by name, or by a name that can't be read", env,
			[]string{"spec.c[*].env[*].value PASS$"},
			[]string{`"2"`, `"5"`},
		},
		{"by key", `{"data":{"password":"x","user":"y"}}`, []string{"data[*] (?i)PASS"}, []string{`"x"`}},
		{
			"by the key of the last wildcard", `{"x":{"a":{"k":{"v":1}},"k":{"b":{"v":2}}}}`,
			[]string{"x[*][*].v k"},
			[]string{"1"},
		},
		{"another kind on the path", `{"data":"a","spec":["b"]}`, []string{"data.a", "spec.b"}, nil},
		{"the whole before its parts", `{"data":{"a":1}}`, []string{"data.a", "data"}, []string{`{"a":1}`}},
		{"two paths", `{"b":2,"a":1}`, []string{"a", "b"}, []string{"2", "1"}},
		{"a string", `"data"`, []string{"data"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var selectors []rawjson.Selector
			for _, p := range tt.paths {
				selectors = append(selectors, selector(t, p))
			}
			for _, consume := range []bool{true, false} {
				var got []string
				err := rawjson.Find([]byte(tt.data), selectors, func(scan *rawjson.Scanner, _ int) {
					before := *scan
					got = append(got, string(before.Skip()))
					if consume {
						scan.Skip()
					}
				})
				if err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("got %q, %v; want %q", got, err, tt.want)
				}
			}
		})
	}
}

func TestFind_RejectsInvalidJSON(t *testing.T) {
	for _, data := range []string{``, `{"data":{"a":1}`, `{"data":{"a":}}`, `{} {}`, `{"b":[1,]}`, `nul`} {
		err := rawjson.Find([]byte(data), []rawjson.Selector{selector(t, "data.a")}, func(*rawjson.Scanner, int) {})
		if err == nil {
			t.Errorf("%s: got no error, want one", data)
		}
	}
}

func TestParsePath_RejectsInvalidPaths(t *testing.T) {
	for text, want := range map[string]string{
		"":            `"": want a field`,
		".a":          "at character 1",
		"a.":          "want a field",
		"a..b":        "want a field",
		"*":           "want a field",
		"a.*":         "want a field",
		"a[":          `want [*] or ["a key"] at character 2`,
		"a[0]":        `want [*] or ["a key"]`,
		`a["b"`:       `want [*] or ["a key"]`,
		`a["b]`:       `want [*] or ["a key"]`,
		"a[*]b":       "want a dot or a bracket at character 5",
		"a b":         "want a field",
		"/data/a":     "want a field",
		`$["a"]["b"]`: "",
	} {
		p, err := rawjson.ParsePath(text)
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: got error %v, want %q", text, err, want)
		case err == nil && p.String() != text:
			t.Errorf("got path %q, want %q", p, text)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	f.Add(`metadata.annotations["a.b"][*].c`)
	f.Fuzz(func(t *testing.T, text string) {
		p, err := rawjson.ParsePath(text)
		if err == nil && (p.String() != text || p.Field(0) == "" && !strings.HasPrefix(text, "[")) {
			t.Errorf("got path %q with field %q, want %q", p, p.Field(0), text)
		}
	})
}
