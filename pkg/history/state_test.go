package history_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestObjectRef_CompareOrdersByPlace(t *testing.T) {
	ordered := []history.ObjectRef{
		{},
		{Resource: "nodes", Name: "a", UID: "1"},
		{Resource: "pods", Namespace: "a", Name: "b", UID: "1"},
		{Resource: "pods", Namespace: "a", Name: "b", UID: "2"},
		{Resource: "pods", Namespace: "a", Name: "b-1", UID: "0"},
		{Resource: "pods", Namespace: "b", Name: "a", UID: "0"},
		{Group: "apps", Resource: "deployments", Namespace: "a", Name: "a", UID: "0"},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got, want := a.Compare(b), cmpInt(i, j); got != want {
				t.Errorf("%s (%s) and %s (%s): got %d, want %d", a, a.UID, b, b.UID, got, want)
			}
		}
	}
}

func cmpInt(a, b int) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func FuzzParseStateCursor(f *testing.F) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	for _, c := range []history.StateCursor{
		{},
		{At: at, Until: at.Add(-time.Second)},
		{From: at.Add(-time.Hour), At: at, Until: at, Seen: 1000, After: history.ObjectRef{
			Group: "apps", Resource: "deployments", Namespace: "shop", Name: "web\xff\x00", UID: "u",
		}},
	} {
		f.Add(c.String())
		back, err := history.ParseStateCursor(c.String())
		if diff := cmp.Diff(c, back); err != nil || diff != "" {
			f.Errorf("%+v: got error %v, (-want +got):\n%s", c, err, diff)
		}
	}
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := history.ParseStateCursor(text)
		if err != nil {
			if history.CodeOf(err) != history.Invalid {
				t.Errorf("%q: got error %v, want an invalid one", text, err)
			}
			return
		}
		back, err := history.ParseStateCursor(c.String())
		if diff := cmp.Diff(c, back); err != nil || diff != "" {
			t.Errorf("%q: got error %v, (-want +got):\n%s", text, err, diff)
		}
	})
}
