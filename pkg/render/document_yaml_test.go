package render_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/render"
)

// asYAML returns the YAML of one event with the object.
func asYAML(t *testing.T, object string, opts render.Options) string {
	t.Helper()
	var out bytes.Buffer
	items := render.Items{Items: []v1.Event{{ObjectChanges: json.RawMessage(object)}}}
	if err := render.New(&out, opts).YAML(items); err != nil {
		t.Fatalf("write %.200q: %v", object, err)
	}
	return out.String()
}

// reread returns what a YAML reader parses from the YAML of an object.
func reread(t *testing.T, object string, opts render.Options) any {
	t.Helper()
	text := asYAML(t, object, opts)
	document, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("read the YAML of %.200q: %v\n%.1000s", object, err, text)
	}
	var back struct{ Items []struct{ ObjectChanges any } }
	d := json.NewDecoder(bytes.NewReader(document))
	d.UseNumber()
	if err := d.Decode(&back); err != nil || len(back.Items) != 1 {
		t.Fatalf("read %.200q: %d items, want 1; err %v", document, len(back.Items), err)
	}
	return back.Items[0].ObjectChanges
}

// decoded returns the values of a JSON document.
func decoded(document string) (any, error) {
	d := json.NewDecoder(strings.NewReader(document))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one document")
	}
	return value, nil
}

// normal replaces numbers by the 64-bit numbers that a YAML reader returns.
func normal(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key := range v {
			v[key] = normal(v[key])
		}
	case []any:
		for i := range v {
			v[i] = normal(v[i])
		}
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n
		}
		f, err := v.Float64()
		switch {
		case err != nil:
			return v.String() // out of range: the reader returns the text
		case f == math.Trunc(f) && math.Abs(f) < 1<<53:
			return int64(f)
		}
		return f
	}
	return value
}

// roundTrips checks that the YAML of an object parses back to the object.
func roundTrips(t *testing.T, object string) {
	t.Helper()
	for _, terminal := range []bool{false, true} {
		want, err := decoded(object)
		if err != nil {
			t.Fatal(err)
		}
		got := reread(t, object, render.Options{Terminal: terminal})
		if got, want := normal(got), normal(want); !reflect.DeepEqual(got, want) {
			t.Errorf("on a terminal %t: got %.300q, want %.300q, from\n%.1000s",
				terminal, got, want, asYAML(t, object, render.Options{Terminal: terminal}))
		}
	}
}

// oddStrings returns strings that YAML readers parse as something else, or
// reject, if they are plain.
func oddStrings() []string {
	return []string{
		"", " ", "\n", "\n\n", "\t", "\r", "\r\n", "\x00", "\u0085", "\u2028", "\ufeff",
		"\ufffe", "\uffff", "\U0001fffe", "\x7f", "\u00a0",
		"~", "null", "Null", "true", "yes", "No", "ON", "off", "y", "N", "<<", "=", ".nan", "-.Inf", "+.inf",
		"1", "-1", "+1", "01", "08", "0x1F", "0o17", "0b11", "-0b1", "1_000", "1e3", "1E400", ".5",
		"5.", "0.", "1e-5", "+.5", "-.5", "1:30", "12:30:45.6", "190:20:30",
		"12345678901234567890123", "Infinity", "-Inf", "NaN", "0x1p-2",
		"2001-01-01", "2001-1-1", "2001-12-14t21:59:43.10-05:00", "2001-12-14 21:59:43", "2026-11-29T13:00:00Z",
		"-", "--", "---", "...", "--- a", "- a", "-a", "?", "? a", "?a", ":", ": a", ":a", "a:",
		"a: b", "a:b", "a #b", "a#b", "#a", " a", "a ", "a\t", "\ta",
		"[a", "{a", "]", "}", ",", "&a", "*a", "!a", "!!str a", "|", ">", "%YAML", "@a", "`a",
		"'a'", `"a"`, `a'b`, `a"b`, `\n`, `a\b`, "''", `""`,
		"a\nb", "a\nb\n", "a\nb\n\n", "\na", " a\nb", "\ta\nb", "a\n b", "a\n\tb", "a \nb", "a\nb ",
		"a\t\nb", "a\n\n\nb", "a\n \nb", "a\r\nb", "a\n#b", "a\n---\nb", "a\n...\n",
		"\n\n a", "a\n\u0085b", "a\u2028b\n", "a\n\x1b[31m", "\x1b[2J", "\u202eabc", "\u200b", "a\u200db",
		"ü 東京 👩\u200d💻", strings.Repeat("long ", 100), strings.Repeat("x", 2000), strings.Repeat("\u202e", 400),
	}
}

func TestYAML_OddStringsRoundTrip(t *testing.T) {
	for _, s := range oddStrings() {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{
			`{"a":%[1]s,"b":[%[1]s,[%[1]s,1],{"c":%[1]s,"d":[]}],"e":{"f":{"g":%[1]s}}}`,
			`{%[1]s:%[1]s,"z":{%[1]s:{%[1]s:1},"y":2}}`, `[[[%[1]s]],%[1]s]`, `{"l":[{%[1]s:[%[1]s]}]}`,
		} {
			roundTrips(t, fmt.Sprintf(form, quoted))
		}
	}
}

// TestYAML_LongKeysRoundTrip checks keys of more than 1,024 characters. Readers
// reject them unless they are explicit keys.
func TestYAML_LongKeysRoundTrip(t *testing.T) {
	for _, key := range []string{
		strings.Repeat("k", 1025), strings.Repeat("k ", 5000), strings.Repeat("ü: ", 2000),
		strings.Repeat("a\n", 1000), strings.Repeat("\u202e", 128), strings.Repeat("\x01", 127),
	} {
		quoted, err := json.Marshal(key)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range []string{
			`1`, `""`, `{}`, `[]`, `null`, `{"a":{"b":1},"c":[1,{"d":2}]}`,
			`["a\nb\n",["c"],{"d":1}]`, `"a\nb"`, `{` + string(quoted) + `:[1]}`,
		} {
			roundTrips(t, `{"data":{"first":1,`+string(quoted)+`:`+value+`,"z":2}}`)
		}
		old, new := web(1, 0, "update", "x"), web(2, 0, "update", "x")
		old.ObjectChanges = json.RawMessage(`{}`)
		new.ObjectChanges = json.RawMessage(`{"data":{` + string(quoted) + `:"v"}}`)
		if differs, err := render.New(io.Discard, render.Options{}).Unified(&old, &new); err != nil || !differs {
			t.Errorf("unified diff of a key of %d bytes: differs %t, want true; err %v", len(key), differs, err)
		}
	}
}

func TestYAML_OddDocumentsRoundTrip(t *testing.T) {
	for _, object := range []string{
		`null`, `true`, `"text"`, `{}`, `[]`, `[[]]`, `[{}]`, `{"a":null,"b":false}`,
		`[0,-0,1.5,-1.5e-7,1e3,1E+2,9223372036854775807,-9223372036854775808,18446744073709551615,` +
			`9007199254740993,123456789012345678901234567890]`,
		`{"a":"\ud800","b":"\/\u0000"}`, `{"a":1,"a":2}`, `{"<<":{"a":1},"b":{"a":2}}`,
		`{"1":1,"1.5":2,"true":3,"null":4,"":5,"~":6}`,
		strings.Repeat(`{"a":`, 100) + `[]` + strings.Repeat("}", 100),
		strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100),
	} {
		roundTrips(t, object)
	}
	got := asYAML(t, `{"n":1e400,"i":123456789012345678901234567890}`, render.Options{})
	if !strings.Contains(got, "i: 123456789012345678901234567890\n    \"n\": 1e400\n") {
		t.Errorf("got\n%s\nwant numbers with all digits", got)
	}
	invalid := reread(t, "{\"a\":\"\xff\xfe\"}", render.Options{})
	if want := map[string]any{"a": "\ufffd\ufffd"}; !reflect.DeepEqual(invalid, want) {
		t.Errorf("invalid UTF-8: got %q, want %q", invalid, want)
	}
}

// TestYAML_MatchesKubectl compares with the YAML of kubectl, because users do.
func TestYAML_MatchesKubectl(t *testing.T) {
	object := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"web",` +
		`"creationTimestamp":"2026-01-02T03:04:05Z","annotations":{"a.b/c":"{\"x\":\"y\"}\n","empty":""}},
		"data":{"key10":"a","key9":"b","Key":"c","_k":"d","k-1":"e","k1":"f","1":"g","k01":"h","k001x":"i","ka":"j","flag":"true","port":"8080","version":"1.4","image":"shop/web:1.4.2","ip":"10.0.0.1:80",
		"script":"#!/bin/sh\nset -e\n\n  echo \"a: b\" # c\n","tail":"a\nb","keep":"a\n\n","indented":"  a\nb\n","memory":"500Mi","percent":"25%","colon":"a: b","quote":"it's","octal":"0644","time":"10m","cron":"*/5 * * * *","args":"--a=b"},
		"list":[{"name":"a","value":"1"},"x",["y",["z"]],{},[],{"deep":[{"er":[1,2.5,true,null]}]}],"empty":{},"none":[],"nothing":null}`
	want, err := yaml.JSONToYAML([]byte(`{"items":[{"objectChanges":` + object + `}]}`))
	if err != nil {
		t.Fatal(err)
	}
	got := asYAML(t, object, render.Options{})
	const begin = "  objectChanges:\n"
	gotObject := got[strings.Index(got, begin):strings.Index(got, "  requestURI")]
	wantObject := string(want[bytes.Index(want, []byte("objectChanges:"))-2:])
	if gotObject = strings.TrimPrefix(gotObject, "  "); strings.TrimPrefix(wantObject, "- ") != gotObject {
		t.Errorf("got\n%s\nwant\n%s", gotObject, wantObject)
	}
}

// TestYAML_EscapesUnsafeCharactersOnATerminal checks that only a terminal gets
// escapes for characters that YAML allows.
func TestYAML_EscapesUnsafeCharactersOnATerminal(t *testing.T) {
	const hostile = "a\u202e\u200b\u00ad\U000e0041\u2066\u200d\u3164\U000e0100\nb\n"
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	object := `{"` + strings.Trim(strings.ReplaceAll(string(quoted), `\n`, ""), `"`) + `":` + string(quoted) + `}`
	got := asYAML(t, object, render.Options{Terminal: true})
	if strings.ContainsAny(got, strings.Trim(hostile, "ab\n")) ||
		!strings.Contains(got, `"a\u202E\u200B\xAD\U000E0041\u2066\u200D\u3164\U000E0100\nb\n"`) {
		t.Errorf("on a terminal: got\n%q", got)
	}
	got = asYAML(t, object, render.Options{})
	if !strings.Contains(got, "|\n      a\u202e\u200b\u00ad\U000e0041\u2066\u200d\u3164\U000e0100\n      b\n") {
		t.Errorf("in a pipe: got\n%q", got)
	}
}

// TestDocument_EscapesUnsafeCharacters checks that JSON and YAML escape unsafe
// characters, and that the escapes have the same meaning.
func TestDocument_EscapesUnsafeCharacters(t *testing.T) {
	const hostile = "\u009b2J\u202e\u2028\x7f\u200b\U000e0041 ü 東京 👩\u200d💻"
	e := web(1, 0, "update", hostile)
	body, err := json.Marshal(map[string]string{hostile: hostile})
	if err != nil {
		t.Fatal(err)
	}
	e.ObjectChanges = body
	const bidi = "\u202e\u200b\U000e0041" // in a pipe, YAML does not escape them
	for name, write := range map[string]func(*render.Printer, any) error{
		"json": (*render.Printer).JSON, "yaml": (*render.Printer).YAML,
	} {
		var out bytes.Buffer
		if err := write(render.New(&out, render.Options{}), render.Items{Items: []v1.Event{e}}); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexAny(out.String(), "\u009b\u2028\x7f"+map[string]string{"json": bidi}[name]); i >= 0 {
			t.Errorf("%s: got %q in the output, want it escaped", name, out.String()[i:min(i+12, out.Len())])
		}
		if !strings.Contains(out.String(), "東京") {
			t.Errorf("%s: got\n%s\nwant 東京 unescaped in it", name, out.String())
		}
		if name == "json" {
			var back render.Items
			var object map[string]string
			if err := json.Unmarshal(out.Bytes(), &back); err != nil || back.Items[0].Summary != hostile {
				t.Errorf("got %v and error %v, want the summary %q", back.Items, err, hostile)
			} else if json.Unmarshal(back.Items[0].ObjectChanges, &object) != nil || object[hostile] != hostile {
				t.Errorf("got object %q, want %q: %q", object, hostile, hostile)
			}
		}
	}
}

// TestNames_KeepUnsafeCharactersInAPipe checks that programs get names with
// which they can look up the object.
func TestNames_KeepUnsafeCharactersInAPipe(t *testing.T) {
	const name = "a  b \u202e\u200b ü"
	for _, tt := range []struct {
		name, want string
		terminal   bool
	}{
		{name, "role/" + name + "\n", false},
		{name, "role/a  b \ufffd\ufffd ü\n", true},
		{"a\npod/b\x1b[2J\u009b", "role/a\ufffdpod/b\ufffd[2J\ufffd\n", false},
		{"a\npod/b", "role/a\ufffdpod/b\n", true},
	} {
		var out bytes.Buffer
		p := render.New(&out, render.Options{Terminal: tt.terminal})
		err := p.Names([]v1.Event{{Kind: "Role", ResourceName: tt.name}})
		if err != nil || out.String() != tt.want {
			t.Errorf("%q on a terminal %t: got %q, want %q; err %v", tt.name, tt.terminal, out.String(), tt.want, err)
		}
	}
}

func FuzzYAML(f *testing.F) {
	for _, s := range oddStrings() {
		f.Add(s, s, s)
	}
	f.Add("a", "b\n c\n", "\u202e")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for _, s := range []string{a, b, c} {
			if !utf8.ValidString(s) {
				return
			}
		}
		object, err := json.Marshal(map[string]any{
			a: b, "l": []any{a, map[string]any{b: c, c: []any{b, a}}, []any{c}},
			"m": map[string]any{c: map[string]any{a: c}},
		})
		if err != nil {
			t.Fatal(err)
		}
		roundTrips(t, string(object))
	})
}

// FuzzYAMLDocument checks that the YAML of any JSON document parses back to it.
func FuzzYAMLDocument(f *testing.F) {
	for _, document := range []string{
		`{"a":[1,"x",{"b":null}]}`, `[[{"a":"b\nc"}]]`, `{"":{"":[-0,1e5,""]}}`,
		`"\ud83d"`, `{"a":1.0,"b":100000000000000000000}`,
	} {
		f.Add(document)
	}
	f.Fuzz(func(t *testing.T, document string) {
		if _, err := decoded(document); err != nil ||
			strings.ContainsAny(document, "eE.") && strings.Contains(document, "00") {
			return // equal numbers with different texts
		}
		roundTrips(t, document)
	})
}
