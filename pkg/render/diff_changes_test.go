package render_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

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

// TestDiff_WritesChangesBelowTheirParent checks that a change after a reordered
// list is not written below that list.
func TestDiff_WritesChangesBelowTheirParent(t *testing.T) {
	got := diffOf(t, `{"spec":{"a":1,"b":[{"name":"x"},{"name":"y"}],"c":1}}`,
		`{"spec":{"a":2,"b":[{"name":"y"},{"name":"x"}],"c":2}}`, render.Options{})
	want := []string{
		"  spec", "-   a: 1", "+   a: 2",
		"  spec.b", "-   order: [name=x name=y]", "+   order: [name=y name=x]",
		"  spec", "-   c: 1", "+   c: 2",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestDiff_IndentsTopLevelFieldsLess checks a field without a parent. No empty
// line precedes it, because an empty line separates two diffs.
func TestDiff_IndentsTopLevelFieldsLess(t *testing.T) {
	got := diffOf(t, `{"data":{"a":1},"immutable":true}`, `{"data":{"a":2},"immutable":null}`, render.Options{})
	want := []string{"  data", "-   a: 1", "+   a: 2", "- immutable: true", "+ immutable: null"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestDiff_KeepsWhiteSpace checks lines that differ only in white space.
func TestDiff_KeepsWhiteSpace(t *testing.T) {
	for _, color := range []bool{false, true} {
		got := strings.Join(diffOf(t, `{"data":{"f":"a:\n\tx\ny\n"}}`, `{"data":{"f":"a:\n    x\ny \n"}}`,
			render.Options{Color: color}), "\n")
		for _, line := range []string{"-     \tx", "+         x", "-     y", "+     y "} {
			if color {
				line = map[byte]string{'-': "\x1b[31m", '+': "\x1b[32m"}[line[0]] + line + "\x1b[0m"
			}
			if !strings.Contains(got+"\n", line+"\n") {
				t.Errorf("color %t: got\n%q\nwant %q in it", color, got, line)
			}
		}
	}
}
