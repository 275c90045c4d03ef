package render_test

import (
	"bytes"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/render"
)

func TestColumns_WriteItems(t *testing.T) {
	document := map[string]any{"items": []any{
		map[string]any{"name": "web", "n": 3, "labels": map[string]any{"a.b": "x"}, "list": []any{"a", "b"}},
		map[string]any{"name": "a\tname", "n": nil, "list": []any{map[string]any{"c": 1.5}}},
	}}
	for spec, want := range map[string]string{
		"NAME:.name,N:n":            "NAME     N\nweb      3\na name   <none>\n",
		`L:.labels.a\.b,ALL:labels`: "L        ALL\nx        {\"a.b\":\"x\"}\n<none>   <none>\n",
		"LIST:{.list[*]}":           "LIST\na,b\n{\"c\":1.5}\n",
		"X:.none, NAME:name":        "X        NAME\n<none>   web\n<none>   a name\n",
	} {
		columns, err := render.ParseColumns(spec)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := render.New(&out, render.Options{Width: 10}).Columns(columns, document); err != nil {
			t.Fatal(err)
		}
		if got := out.String(); got != want {
			t.Errorf("%s: got\n%q\nwant\n%q", spec, got, want)
		}
	}
}

// A document without items has one row, and a table continues without another
// header.
func TestColumns_ContinueTable(t *testing.T) {
	columns, err := render.ParseColumnsFile("NAME VALUE\n.name {.value}\n")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	p := render.New(&out, render.Options{})
	for _, name := range []string{"one", "two"} {
		if err := p.Columns(columns, map[string]any{"name": name, "value": 1}); err != nil {
			t.Fatal(err)
		}
	}
	if want := "NAME   VALUE\none    1\ntwo    1\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestParseColumns_RejectsMistakes(t *testing.T) {
	for _, spec := range []string{
		"", "NAME", "NAME:", ":.a", "A:.a,", "A:.a['b", "A:{.a", "A:.a}", "A:{.a}{.b}", "A:.a[?(",
	} {
		if _, err := render.ParseColumns(spec); err == nil {
			t.Errorf("%q: got no error, want one", spec)
		}
	}
	for _, text := range []string{"", "A B\n", "A B\n.a\n", "A\n.a\n.b\n", "\n\n"} {
		if _, err := render.ParseColumnsFile(text); err == nil {
			t.Errorf("file %q: got no error, want one", text)
		}
	}
}
