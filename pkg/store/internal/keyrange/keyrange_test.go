package keyrange_test

import (
	"slices"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/store/internal/keyrange"
)

func key(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func format(s keyrange.Set) (list []string) {
	for _, r := range s {
		list = append(list, string(r.From)+"-"+string(r.To))
	}
	return list
}

func TestUnion_MergesRangesThatTouch(t *testing.T) {
	for _, tt := range []struct {
		ranges [][2]string // "" as the second: no upper bound
		want   []string
	}{
		{nil, nil},
		{[][2]string{{"b", "b"}, {"c", "a"}}, nil},
		{[][2]string{{"c", "d"}, {"a", "b"}}, []string{"a-b", "c-d"}},
		{[][2]string{{"a", "c"}, {"b", "d"}}, []string{"a-d"}},
		{[][2]string{{"a", "b"}, {"b", "c"}}, []string{"a-c"}},
		{[][2]string{{"a", "d"}, {"b", "c"}}, []string{"a-d"}},
		{[][2]string{{"b", ""}, {"c", "d"}}, []string{"b-"}},
	} {
		var ranges []keyrange.Range
		for _, r := range tt.ranges {
			ranges = append(ranges, keyrange.Range{From: key(r[0]), To: key(r[1])})
		}
		if got := format(keyrange.Union(ranges)); !slices.Equal(got, tt.want) {
			t.Errorf("Union(%q) = %q, want %q", tt.ranges, got, tt.want)
		}
	}
}

func TestPrefixEnd_SkipsTheLargestBytes(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "ab": "ac", "\xff\xff": "", "": ""} {
		if got := string(keyrange.PrefixEnd([]byte(prefix))); got != want {
			t.Errorf("PrefixEnd(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func TestSet_Contains(t *testing.T) {
	s := keyrange.Union([]keyrange.Range{{From: key("b"), To: key("c")}, {From: key("e")}})
	for k, want := range map[string]bool{
		"a": false, "b": true, "bz": true, "c": false, "d": false, "e": true, "z": true,
	} {
		if got := s.Contains([]byte(k)); got != want {
			t.Errorf("Contains(%q) = %t, want %t", k, got, want)
		}
	}
}

func TestSet_WithPrefixCutsRanges(t *testing.T) {
	s := keyrange.Union([]keyrange.Range{{From: key("a"), To: key("bc")}, {From: key("bx")}})
	for prefix, want := range map[string][]string{
		"b": {"b-bc", "bx-c"}, "bc": nil, "ba": {"ba-bb"}, "z": {"z-{"}, "": {"a-bc", "bx-"},
	} {
		got := s.WithPrefix([]byte(prefix))
		if !slices.Equal(format(got), want) {
			t.Errorf("WithPrefix(%q) = %q, want %q", prefix, format(got), want)
		}
		if s.Overlaps([]byte(prefix)) != (len(want) > 0) {
			t.Errorf("Overlaps(%q) = %t, want %t", prefix, len(want) == 0, len(want) > 0)
		}
	}
}
