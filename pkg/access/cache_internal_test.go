package access

import (
	"context"
	"testing"
	"time"
)

func TestCache_HasBoundedNumberOfEntries(t *testing.T) {
	c := newCache(time.Now, 2, func(int) time.Duration { return time.Hour })
	asked := 0
	ask := func(k byte) {
		t.Helper()
		_, err := c.get(t.Context(), key{k}, func(context.Context) (int, error) { asked++; return asked, nil })
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range []byte{1, 2, 2, 1, 3, 1} {
		ask(k)
	}
	if asked != 3 {
		t.Errorf("got %d requests for 3 keys, want 3: the entry that was not used for longest is dropped", asked)
	}
	if ask(2); asked != 4 {
		t.Errorf("got %d requests, want 4: the second key is no longer cached", asked)
	}
	if got := len(c.entries.Keys()); got != 2 {
		t.Errorf("got %d entries, want 2", got)
	}
}
