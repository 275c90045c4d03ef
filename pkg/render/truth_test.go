package render_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// diffOf returns the lines of a diff below its heading.
func diffOf(t *testing.T, before, after string, opts render.Options) []string {
	t.Helper()
	old, new := web(1, 0, "update", "x"), web(2, 0, "update", "x")
	old.ObjectChanges, new.ObjectChanges = json.RawMessage(before), json.RawMessage(after)
	var out bytes.Buffer
	opts.Now = now()
	if _, _, err := render.New(&out, opts).Diff(&old, &new); err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(out.String(), "\n")
	return strings.Split(strings.TrimSuffix(body, "\n"), "\n")
}

// TestChangesStandBelowTheirOwnParent: what follows a list that changed its order is not inside that list.
func TestChangesStandBelowTheirOwnParent(t *testing.T) {
	got := diffOf(t, `{"spec":{"a":1,"b":[{"name":"x"},{"name":"y"}],"c":1}}`, `{"spec":{"a":2,"b":[{"name":"y"},{"name":"x"}],"c":2}}`, render.Options{})
	want := []string{
		"  spec", "-   a: 1", "+   a: 2",
		"  spec.b", "-   order: [name=x name=y]", "+   order: [name=y name=x]",
		"  spec", "-   c: 1", "+   c: 2",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestAFieldOfTheObjectItselfStandsInItsDiff: an empty line sets diffs apart.
func TestAFieldOfTheObjectItselfStandsInItsDiff(t *testing.T) {
	got := diffOf(t, `{"data":{"a":1},"immutable":true}`, `{"data":{"a":2},"immutable":null}`, render.Options{})
	if want := []string{"  data", "-   a: 1", "+   a: 2", "- immutable: true", "+ immutable: null"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestWhiteSpaceIsAChange: lines of a text that differ in white space only look different, with colours too.
func TestWhiteSpaceIsAChange(t *testing.T) {
	for _, color := range []bool{false, true} {
		got := strings.Join(diffOf(t, `{"data":{"f":"a:\n\tx\ny\n"}}`, `{"data":{"f":"a:\n    x\ny \n"}}`, render.Options{Color: color}), "\n")
		for _, line := range []string{"-     \tx", "+         x", "-     y", "+     y "} {
			if color {
				line = map[byte]string{'-': "\x1b[31m", '+': "\x1b[32m"}[line[0]] + line + "\x1b[0m"
			}
			if !strings.Contains(got+"\n", line+"\n") {
				t.Errorf("with colours %t: %q is not in\n%q", color, line, got)
			}
		}
	}
}

// TestDocumentsAreHarmlessToATerminal: what turns the direction of writing, and the control characters that JSON takes as
// they are, are written in their escaped form, which means the same.
func TestDocumentsAreHarmlessToATerminal(t *testing.T) {
	const hostile = "\u009b2J\u202e\u2028\x7f\u200b\U000e0041 ü 東京 👩\u200d💻"
	e := web(1, 0, "update", hostile)
	body, err := json.Marshal(map[string]string{hostile: hostile})
	if err != nil {
		t.Fatal(err)
	}
	e.ObjectChanges = body
	const bidi = "\u202e\u200b\U000e0041" // YAML's printer takes them for letters
	for name, write := range map[string]func(*render.Printer, any) error{"json": (*render.Printer).JSON, "yaml": (*render.Printer).YAML} {
		var out bytes.Buffer
		if err := write(render.New(&out, render.Options{}), render.Items{Items: []v1.Event{e}}); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexAny(out.String(), "\u009b\u2028\x7f"+map[string]string{"json": bidi}[name]); i >= 0 {
			t.Errorf("%s: %q reaches the terminal", name, out.String()[i:min(i+12, out.Len())])
		}
		if !strings.Contains(out.String(), "東京") {
			t.Errorf("%s: what is harmless is escaped too:\n%s", name, out.String())
		}
		if name == "json" {
			var back render.Items
			var object map[string]string
			if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Items[0].Summary != hostile {
				t.Errorf("%v: it means something else: %v", err, back.Items)
			} else if json.Unmarshal(back.Items[0].ObjectChanges, &object) != nil || object[hostile] != hostile {
				t.Errorf("the object means something else: %q", object)
			}
		}
	}
}
