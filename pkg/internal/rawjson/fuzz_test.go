package rawjson_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

// FuzzScanner compares the scanner with encoding/json: whether a document is
// valid, by skipping and by walking it, and its keys, texts and values.
func FuzzScanner(f *testing.F) {
	for _, doc := range []string{
		`{"a":[1,-0.5e+10,true,false,null,"x\u00e9\ud83d\ude00\ud800"],"a":{"":{}}}`,
		` [ ] `, `01`, `1.`, `-`, `"\x"`, `"\u12g4"`, `nul`,
		`{"a":1,}`, `[1,]`, `{,}`, `[1 2]`, `{"a" 1}`, `{1:2}`, "\"\xff\"", "\"\x1f\"",
		"\"01234567\x1f\"", `"0123456\"7"`, `{}{}`, "\f1",
		"{\"\xff\":1}",
	} {
		f.Add([]byte(doc))
	}
	// Escapes at the ends of words and documents.
	for _, doc := range []string{`"\`, `{"a\`, `{"a":"\`, `["\`, `{"12345\"78":"\`, `[[["1234567\\"]]]`} {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		valid := json.Valid(doc)
		skip := rawjson.Scan(doc)
		skip.Skip()
		if err := skip.End(); (err == nil) != valid {
			t.Fatalf("skip %q: got error %v, want one: %t", doc, err, !valid)
		}
		walk := rawjson.Scan(doc)
		got := decode(&walk)
		if err := walk.End(); (err == nil) != valid {
			t.Fatalf("walk %q: got error %v, want one: %t", doc, err, !valid)
		}
		trusting := rawjson.ScanValid(doc) // must end for any document
		whole := trusting.Skip()
		if at := trusting.Offset(); at > len(doc) {
			t.Fatalf("skip %q as valid: got offset %d, want at most %d", doc, at, len(doc))
		}
		walked := rawjson.ScanValid(doc)
		trusted := decode(&walked)
		if at := walked.Offset(); at > len(doc) {
			t.Fatalf("walk %q as valid: got offset %d, want at most %d", doc, at, len(doc))
		}
		if !valid {
			return
		}
		if err := trusting.End(); err != nil || !bytes.Equal(whole, bytes.TrimSpace(doc)) {
			t.Fatalf("skip %q as valid: got %q, %v; want the document", doc, whole, err)
		}
		if !reflect.DeepEqual(got, trusted) {
			t.Fatalf("decode %q as valid: got %#v, want %#v", doc, trusted, got)
		}
		var want any
		decoder := json.NewDecoder(bytes.NewReader(doc))
		decoder.UseNumber()
		if err := decoder.Decode(&want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("decode %q: got %#v, want %#v", doc, got, want)
		}
	})
}

// FuzzEdits cuts one member out of an object. The other members must stay
// unchanged.
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
			t.Fatalf("cut member %d of %q: %v", nth, doc, err)
		}
		for key := range want {
			if !bytes.Equal(got[key], want[key]) {
				t.Fatalf("cut member %d of %q: got %q of %q, want %q", nth, doc, got[key], key, want[key])
			}
		}
	})
}

// decode decodes like encoding/json, by the scanner.
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

// FuzzSkipSame compares SkipSame with Skip: it consumes a value if and only if
// that has the given bytes.
func FuzzSkipSame(f *testing.F) {
	for _, pair := range [][2]string{
		{`[1,2]`, `1`},
		{`[12]`, `1`},
		{`[1.5]`, `1`},
		{`[1 ]`, `1`},
		{`["a"]`, `"a"`},
		{`[{"a":{}}]`, `{"a":{}}`},
		{`[true]`, `tru`},
	} {
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
				t.Fatalf("SkipSame(%q) before %q: got %t, want %t", other, value, got, want)
			} else if got && same.Offset() != ahead.Offset() {
				t.Fatalf("SkipSame(%q): got offset %d, want %d", other, same.Offset(), ahead.Offset())
			}
			all.Skip()
		}
	})
}
