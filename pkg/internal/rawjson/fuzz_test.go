package rawjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// FuzzScanner holds the scanner to encoding/json: the same verdict on every document, by skipping it and by walking all of
// it, and the same keys, texts and values.
func FuzzScanner(f *testing.F) {
	for _, doc := range []string{
		`{"a":[1,-0.5e+10,true,false,null,"x\u00e9\ud83d\ude00\ud800"],"a":{"":{}}}`, ` [ ] `, `01`, `1.`, `-`, `"\x"`, `"\u12g4"`, `nul`,
		`{"a":1,}`, `[1,]`, `{,}`, `[1 2]`, `{"a" 1}`, `{1:2}`, "\"\xff\"", "\"\x1f\"", "\"01234567\x1f\"", `"0123456\"7"`, `{}{}`, "\f1",
		"{\"\xff\":1}",
	} {
		f.Add([]byte(doc))
	}
	for _, doc := range []string{`"\`, `{"a\`, `{"a":"\`, `["\`, `{"12345\"78":"\`, `[[["1234567\\"]]]`} { // escapes at the ends of words and documents
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		valid := json.Valid(doc)
		skip := rawjson.Scan(doc)
		skip.Skip()
		if err := skip.End(); (err == nil) != valid {
			t.Fatalf("skipping %q: %v, valid: %v", doc, err, valid)
		}
		walk := rawjson.Scan(doc)
		got := decode(&walk)
		if err := walk.End(); (err == nil) != valid {
			t.Fatalf("walking %q: %v, valid: %v", doc, err, valid)
		}
		trusting := rawjson.ScanValid(doc) // must end, whatever it is given
		whole := trusting.Skip()
		if at := trusting.Offset(); at > len(doc) {
			t.Fatalf("skipping %q, taken for valid, leads to %d of %d bytes", doc, at, len(doc))
		}
		walked := rawjson.ScanValid(doc)
		trusted := decode(&walked)
		if at := walked.Offset(); at > len(doc) {
			t.Fatalf("walking %q, taken for valid, leads to %d of %d bytes", doc, at, len(doc))
		}
		if !valid {
			return
		}
		if err := trusting.End(); err != nil || !bytes.Equal(whole, bytes.TrimSpace(doc)) {
			t.Fatalf("skipping %q, taken for valid: %q, %v", doc, whole, err)
		}
		if !reflect.DeepEqual(got, trusted) {
			t.Fatalf("%q, taken for valid, decodes to %#v, want %#v", doc, trusted, got)
		}
		var want any
		decoder := json.NewDecoder(bytes.NewReader(doc))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q decodes to %#v, want %#v", doc, got, want)
		}
	})
}

// FuzzEdits cuts one member out of any object, which has to leave the others as they were.
func FuzzEdits(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":2},"d":3}`), uint8(1))
	f.Add([]byte(` { "a" : 1 } `), uint8(0))
	f.Fuzz(func(t *testing.T, doc []byte, nth uint8) {
		var want map[string]json.RawMessage
		if json.Unmarshal(doc, &want) != nil || want == nil {
			return
		}
		var edits []rawjson.Edit
		var members int
		s := rawjson.Scan(doc)
		for at, key := range s.Members() {
			if s.Skip(); members == int(nth) {
				edits = append(edits, rawjson.Cut(doc, at, s.Offset()))
				delete(want, string(key))
			}
			members++
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(rawjson.Apply(doc, edits), &got); err != nil {
			t.Fatalf("cutting member %d of %q: %v", nth, doc, err)
		}
		for key := range want {
			if !bytes.Equal(got[key], want[key]) {
				t.Fatalf("cutting member %d of %q changed %q", nth, doc, key)
			}
		}
	})
}

// decode does what encoding/json does, by way of the scanner.
func decode(s *rawjson.Scanner) any {
	switch s.Kind() {
	case rawjson.Object:
		m := map[string]any{}
		for _, key := range s.Members() {
			k := string(key)
			m[k] = decode(s)
		}
		return m
	case rawjson.Array:
		a := []any{}
		for range s.Elements() {
			a = append(a, decode(s))
		}
		return a
	case rawjson.String:
		return s.Text()
	case rawjson.Number:
		return json.Number(s.Skip())
	case rawjson.Bool:
		return string(s.Skip()) == "true"
	default:
		s.Skip()
		return nil
	}
}

// FuzzSkipSame holds SkipSame to Skip: it consumes what Skip does where that has the same bytes, and nothing else.
func FuzzSkipSame(f *testing.F) {
	for _, pair := range [][2]string{{`[1,2]`, `1`}, {`[12]`, `1`}, {`[1.5]`, `1`}, {`[1 ]`, `1`}, {`["a"]`, `"a"`}, {`[{"a":{}}]`, `{"a":{}}`}, {`[true]`, `tru`}} {
		f.Add([]byte(pair[0]), []byte(pair[1]))
	}
	f.Fuzz(func(t *testing.T, doc, other []byte) {
		if !json.Valid(doc) || !json.Valid(other) || len(bytes.TrimSpace(other)) != len(other) {
			return
		}
		all := rawjson.Scan(doc)
		if all.Kind() != rawjson.Array {
			return
		}
		for range all.Elements() {
			same, ahead := all, all
			value := ahead.Skip()
			if got, want := same.SkipSame(other), bytes.Equal(value, other); got != want {
				t.Fatalf("%q is the same as %q: %t", value, other, got)
			} else if got && same.Offset() != ahead.Offset() {
				t.Fatalf("%q ends at %d, not at %d", value, ahead.Offset(), same.Offset())
			}
			all.Skip()
		}
	})
}
