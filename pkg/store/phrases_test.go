package store_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/store"
	"github.com/watchhistory/watchhistory/pkg/store/internal/key"
)

// auditPhrases checks that the phrases of every day are numbered from 1 without a hole, and that none has two numbers or is long.
func (d dump) auditPhrases(tb testing.TB) {
	tb.Helper()
	numbers, texts := map[uint16]map[uint16]bool{}, map[string]bool{}
	for k, v := range d.values {
		e, err := key.Decode([]byte(k))
		if err != nil || e.Class != key.Phrase {
			continue
		}
		if len(v) > 1<<10 {
			tb.Errorf("a phrase has %d bytes", len(v))
		}
		day := key.Day(e.TS)
		if numbers[day] == nil {
			numbers[day] = map[uint16]bool{}
		}
		numbers[day][e.Part] = true
		if text := fmt.Sprint(day, " ", string(v)); texts[text] {
			tb.Errorf("on day %d, %q has more than one number", day, v)
		} else {
			texts[text] = true
		}
	}
	for day, of := range numbers {
		for n := range len(of) {
			if !of[uint16(n+1)] {
				tb.Errorf("phrase %d of %d of day %d is missing", n+1, len(of), day)
			}
		}
	}
}

// told is a version with words and a manager of its own, and with some that come again and again.
func told(n int) *history.Record {
	r := pod(fmt.Sprintf("told-%d", n%7), fmt.Sprint(n+1), history.Update)
	r.Summary = &history.Summary{Text: fmt.Sprintf("turn %d of the wheel", n%5), Problem: strings.Repeat("late ", n%3*300)}
	r.Managers = []history.Manager{
		{Name: "often", Operation: "Update", Subresource: "status", Time: time.Unix(1_790_000_000, 0).UTC(), Fields: []string{"status.phase"}},
		{Name: fmt.Sprintf("seldom-%d", n/4), Operation: "Apply"},
	}
	if n%5 == 4 {
		r.Summary.Text = fmt.Sprintf("once in the turn %d", n)
	}
	r.Owners = []types.UID{types.UID(fmt.Sprintf("owner-%d", n%7)), "another"}
	return r
}

// TestPhrases records the same few words and managers, some of which are too long to be numbered, on several days and in several
// lives of the log: everything comes back as it was, and is written out no more than a few times a day.
func TestPhrases(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	var want []*history.Record
	for n := range 60 {
		r := told(n)
		appendTo(t, s, r)
		want = append(want, r)
		switch {
		case n%20 == 19:
			c.t = c.t.Add(24 * time.Hour)
		case n%7 == 6:
			s = reopen(t, s, dir, opts)
		}
	}
	for _, f := range []history.Filter{{}, {Namespace: "shop"}, {Resources: []schema.GroupResource{{Resource: "pods"}}}, {Name: "told-3"}, {Owner: "owner-3"}} {
		n := 0
		for _, r := range want {
			if f.Matches(r) {
				n++
			}
		}
		got := all(t, s, history.Scan{Filter: f, Bodies: true})
		if len(got) != n || n == 0 {
			t.Errorf("%+v: %d records, want %d", f, len(got), n)
		}
		for _, r := range got {
			of, err := strconv.Atoi(r.RV)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want[of-1], r); d != "" {
				t.Fatal(d)
			}
		}
	}
	verified(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d := dumped(t, dir)
	d.auditPhrases(t)
	d.auditMetadata(t)
	if n := d.holding("turn 3 of the wheel"); n > 36 { // of 12 versions, each in four places; and the phrase of three days
		t.Errorf("a phrase is written out %d times", n)
	}
	if n := d.holding("once in the turn 9"); n != 4 {
		t.Errorf("what is said once is written out %d times, want one for each place of its version, and no phrase", n)
	}
	if n := d.holding("owner-3"); n != 1 {
		t.Errorf("an owner stands %d times, want it with its object alone", n)
	}
}

// auditMetadata checks that every entry that pages are read from has the metadata of its version.
func (d dump) auditMetadata(tb testing.TB) {
	tb.Helper()
	for k, v := range d.values {
		e, err := key.Decode([]byte(k))
		if err != nil || e.Class != key.ByTime && e.Class != key.ByResource && e.Class != key.ByNamespace {
			continue
		}
		if meta := d.values[string(e.In(key.Record))]; len(meta) == 0 || !bytes.Equal(meta, v) {
			tb.Errorf("the entry %x has %x, and its version %x", k, v, meta)
		}
	}
}

// holding counts the values that have a text in them.
func (d dump) holding(text string) (n int) {
	for _, v := range d.values {
		if bytes.Contains(v, []byte(text)) {
			n++
		}
	}
	return n
}
