package watchproto_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/watcher/internal/watchproto"
)

func TestParseEvent_ReturnsTypeObjectAndRV(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, line, typ, object, rv string }{
		{
			"built-in type",
			`{"type":"ADDED","object":{"kind":"Pod","apiVersion":"v1",` +
				`"metadata":{"name":"a","resourceVersion":"7"},"spec":{}}}` + "\n",
			"ADDED", `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"a","resourceVersion":"7"},"spec":{}}`, "7",
		},
		{
			"braces and quotes in strings",
			`{"type":"MODIFIED","object":{"data":{"a":"}\"{","b":"\\"},"metadata":{"resourceVersion":"8"}}}`,
			"MODIFIED", `{"data":{"a":"}\"{","b":"\\"},"metadata":{"resourceVersion":"8"}}`, "8",
		},
		{
			"resourceVersions in other places",
			`{"type":"DELETED","object":{"involvedObject":{"metadata":{"resourceVersion":"1"},"resourceVersion":"2"},` +
				`"metadata":{"x":{"resourceVersion":"3"},"resourceVersion":"9"}}}`,
			"DELETED", `{"involvedObject":{"metadata":{"resourceVersion":"1"},"resourceVersion":"2"},` +
				`"metadata":{"x":{"resourceVersion":"3"},"resourceVersion":"9"}}`, "9",
		},
		{"other order and space", ` { "object" : { } , "type" : "BOOKMARK" } `, "BOOKMARK", `{ }`, ""},
		{
			"status", `{"type":"ERROR","object":{"kind":"Status","metadata":{},"code":410}}`,
			"ERROR", `{"kind":"Status","metadata":{},"code":410}`, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e, err := watchproto.ParseEvent([]byte(c.line))
			if err != nil {
				t.Fatal(err)
			}
			if e.Type != c.typ || string(e.Object) != c.object || e.RV != c.rv {
				t.Errorf("got %s %s at %q, want %s %s at %q", e.Type, e.Object, e.RV, c.typ, c.object, c.rv)
			}
		})
	}
}

func TestParseEvent_RejectsOtherLines(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"", "{}", "null", "[]", `{"type":"ADDED"}`, `{"object":{}}`, `{"type":"ADDED","object":null}`,
		`{"type":"ADDED","object":[]}`, `{"type":"ADDED","object":{"a":1}`, `{"type":"ADDED","object":{"a":1}}}`,
		`{"type":"ADDED","object":{"a":tru}}`, `{"type":1,"object":{}}`,
	} {
		if e, err := watchproto.ParseEvent([]byte(line)); err == nil {
			t.Errorf("%q: got %s %s, want an error", line, e.Type, e.Object)
		}
	}
}

// FuzzParseEvent compares the result with that of encoding/json.
func FuzzParseEvent(f *testing.F) {
	f.Add([]byte(`{"type":"ADDED","object":{"kind":"Pod","metadata":{"resourceVersion":"7"}}}`))
	f.Add([]byte(`{"object":{"metadata":{"resourceVersion":"7"},"metadata":{}},"type":"A","type":"B"}`))
	f.Add([]byte(`{"type":"ADDED","object":{"a":"}\"{"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := watchproto.ParseEvent(line)
		if err != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(line, &members); err != nil {
			t.Fatalf("%q: got no error, want %v as in encoding/json", line, err)
		}
		if !bytes.Equal(e.Object, members["object"]) {
			t.Fatalf("object of %q: got %q, want %q", line, e.Object, members["object"])
		}
		if want := text(t, members["type"]); e.Type != want {
			t.Fatalf("type of %q: got %q, want %q", line, e.Type, want)
		}
		var object, metadata map[string]json.RawMessage
		if json.Unmarshal(e.Object, &object) != nil || json.Unmarshal(object["metadata"], &metadata) != nil {
			return
		}
		if want := text(t, metadata["resourceVersion"]); e.RV != want {
			t.Fatalf("resourceVersion of %q: got %q, want %q", line, e.RV, want)
		}
	})
}

func text(t *testing.T, raw json.RawMessage) (s string) {
	t.Helper()
	if len(raw) == 0 {
		return ""
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	return s
}
