package content_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/diff/internal/content"
)

type object = map[string]any

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       object // nil: no structure
	}{
		{"JSON", ` {"a": 1.0, "b": [true, null, "x"]} `, object{
			"a": json.Number("1.0"), "b": []any{true, nil, "x"},
		}},
		{"a list", `[1, 2]`, object{"items": []any{json.Number("1"), json.Number("2")}}},
		{"YAML", "# x\na: .30\nb:\n  - c: \"1\"\n  - ~\nd:\n", object{
			"a": ".30", "b": []any{object{"c": "1"}, "~"}, "d": nil,
		}},
		{"a YAML list", "- a\n- b\n", object{"items": []any{"a", "b"}}},
		{"flow style", "{a: b}", object{"a": "b"}},
		{"aliases", "a: &x 1\nb: *x\n<<: *x\n", object{"a": "1", "b": "*x", "<<": "*x"}},
		{"properties", "# x\n! y\n; z\n\na.b = 1=2\nexport C=\nd:e\n", object{"a.b": "1=2", "C": "", "d": "e"}},
		{"sections", "a=1\n[s]\na = 2\n[t.u]\na=\"3\"", object{"a": "1", "s.a": "2", "t.u.a": `"3"`}},
		{"URL", "url=http://a:80/\n", object{"url": "http://a:80/"}},
		{"several documents", "a: 1\n---\na: 2\n", nil},
		{"a word", "word", nil},
		{"words", "some words: and more\nother words", nil},
		{"a map as a key", "{a: b}: c", nil},
		{"nginx", "http {\n  listen 80;\n}\n", nil},
		{"certificate", "-----BEGIN CERTIFICATE-----\nMIIB=\n-----END CERTIFICATE-----\n", nil},
		{"empty", " \n", nil},
		{"only comments", "# a\n", nil},
		{"no key", "=a\n", nil},
		{"large", "a: " + strings.Repeat("x", content.MaxBytes), nil},
		{"deep JSON", `{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}", nil},
		{"deep YAML", strings.Repeat("- ", 100) + "a", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, ok := content.Decode(tt.text)
			if d := cmp.Diff(tt.want, got); d != "" || ok != (tt.want != nil) {
				t.Errorf("got %t, structure (-want +got):\n%s", ok, d)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"a":[1]}`, "a: &x [b, *x]\nc: |\n  d\n", "a=b\n[c]\nd:e", "- - a\n-\tb", "? a\n: b",
		"{a: {b: [c]}}", "a: !!x b",
		"%YAML 1.1\n---\na: b\n...\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if structure, ok := content.Decode(text); ok != (structure != nil) {
			t.Errorf("%q: got %t with %v", text, ok, structure)
		}
	})
}
