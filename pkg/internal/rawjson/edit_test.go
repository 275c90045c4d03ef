package rawjson_test

import (
	"encoding/json"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

func TestCut_RemovesOneComma(t *testing.T) {
	for _, tc := range []struct{ doc, want string }{
		{`{"cut":1}`, `{}`},
		{`{ "cut" : [1,2] }`, `{  }`},
		{`{"cut":1,"b":2}`, `{"b":2}`},
		{`{"a":0, "cut":1 , "b":2}`, `{"a":0, "b":2}`},
		{`{"a":0 , "cut":{}}`, `{"a":0 }`},
	} {
		data := []byte(tc.doc)
		var edits []rawjson.Edit
		s := rawjson.Scan(data)
		for at, key := range s.Members() {
			if s.Skip(); string(key) == "cut" {
				edits = append(edits, rawjson.Cut(data, at, s.Offset()))
			}
		}
		if err := s.End(); err != nil {
			t.Fatal(err)
		}
		got := string(rawjson.Apply(data, edits))
		if got != tc.want || !json.Valid([]byte(got)) {
			t.Errorf("%s: got %s, want %s", tc.doc, got, tc.want)
		}
		if string(data) != tc.doc {
			t.Errorf("got a changed document %s, want %s", data, tc.doc)
		}
	}
}

func TestApply_KeepsEveryOtherByte(t *testing.T) {
	data := []byte(`{"a":"one","b":"two","c":3}`)
	got := rawjson.Apply(data, []rawjson.Edit{
		{Start: 1, End: 1, With: []byte(`"z":0,`)},
		{Start: 5, End: 10, With: []byte(`"longer one"`)},
		{Start: 15, End: 20, With: []byte(`2`)},
	})
	if want := `{"z":0,"a":"longer one","b":2,"c":3}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
