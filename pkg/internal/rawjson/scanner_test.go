package rawjson_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

func TestMembers_YieldKeys(t *testing.T) {
	const doc = ` { "a" : 1 , "\u0062":{"x":[true,null]}, "c":"d\n\"é" , "d":null } `
	var got []string
	s := rawjson.Scan([]byte(doc))
	for _, key := range s.Members() {
		if string(key) == "c" {
			got = append(got, "text="+s.Text())
		}
		if string(key) == "b" {
			got = append(got, "raw="+string(s.Skip()))
		}
		got = append(got, string(key))
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	want := "a|raw={\"x\":[true,null]}|b|text=d\n\"é|c|d"
	if joined := strings.Join(got, "|"); joined != want {
		t.Errorf("got  %q\nwant %q", joined, want)
	}
}

func TestOffset_SpansMember(t *testing.T) {
	const doc = `{"a":1, "b" : [2, 3] ,"c":4}`
	s := rawjson.Scan([]byte(doc))
	var member string
	for at, key := range s.Members() {
		s.Skip()
		if string(key) == "b" {
			member = doc[at:s.Offset()]
		}
	}
	if err := s.End(); err != nil || member != `"b" : [2, 3]` {
		t.Errorf("got member %q, error %v; want the member b", member, err)
	}
}

func TestElements_NestedAndNull(t *testing.T) {
	s := rawjson.Scan([]byte(`[[1,2],null,[],["x"]]`))
	var lengths []int
	for range s.Elements() {
		n := 0
		for range s.Elements() {
			n++
		}
		lengths = append(lengths, n)
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if len(lengths) != 4 || lengths[0] != 2 || lengths[1] != 0 || lengths[2] != 0 || lengths[3] != 1 {
		t.Errorf("got lengths %v, want 2, 0, 0, 1", lengths)
	}
}

func TestKind_ByFirstByte(t *testing.T) {
	want := []rawjson.Kind{
		rawjson.Object, rawjson.Array, rawjson.String, rawjson.Number,
		rawjson.Number, rawjson.Bool, rawjson.Bool, rawjson.Null,
	}
	s := rawjson.Scan([]byte(`[{},[],"",0,-1,true,false,null]`))
	i := 0
	for range s.Elements() {
		if got := s.Kind(); got != want[i] {
			t.Errorf("element %d: got kind %d, want %d", i, got, want[i])
		}
		i++
	}
	if err := s.End(); err != nil || i != len(want) {
		t.Errorf("got %d elements, error %v; want %d", i, err, len(want))
	}
}

func TestScanner_KeepsFirstError(t *testing.T) {
	for _, tc := range []struct {
		name, doc string
		walk      func(*rawjson.Scanner)
		offset    int
	}{
		{"no document", ``, func(s *rawjson.Scanner) { s.Skip() }, 0},
		{"text of a number", `{"a":12}`, func(s *rawjson.Scanner) { first(s); s.Text() }, 5},
		{"members of an array", `[1]`, func(s *rawjson.Scanner) { first(s) }, 0},
		{"elements of a string", `"x"`, func(s *rawjson.Scanner) { count(s) }, 0},
		{"two values for one key", `{"a":1}`, func(s *rawjson.Scanner) {
			for range s.Members() {
				s.Skip()
				s.Skip()
			}
		}, 6},
		{"something after the value", `{} x`, func(s *rawjson.Scanner) { s.Skip(); _ = s.End() }, 3},
		{"loop left early", `{"a":1}`, first, 5},
		{"control character", "\"a\nb\"", func(s *rawjson.Scanner) { s.Text() }, 2},
		{"too deep", strings.Repeat("[", 10_001), func(s *rawjson.Scanner) { s.Skip() }, 10_000},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := rawjson.Scan([]byte(tc.doc))
			tc.walk(&s)
			for range s.Members() {
				t.Error("after an error: got a member, want none")
			}
			e, ok := errors.AsType[*rawjson.Error](s.End())
			if !ok || e.Offset != tc.offset {
				t.Errorf("got error %v, want one at byte %d", e, tc.offset)
			}
		})
	}
}

func first(s *rawjson.Scanner) {
	for range s.Members() {
		break
	}
}

func count(s *rawjson.Scanner) (n int) {
	for range s.Elements() {
		n++
	}
	return n
}
