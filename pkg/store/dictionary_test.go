package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
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

// auditPhrases checks that the phrases of each day have consecutive numbers
// from 1, that no phrase has two numbers, and that none is too long.
func (d dump) auditPhrases(tb testing.TB) {
	tb.Helper()
	numbers, texts := map[uint16]map[uint16]bool{}, map[string]bool{}
	for k, v := range d.values {
		e, err := key.Decode([]byte(k))
		if err != nil || e.Class != key.Phrase {
			continue
		}
		if len(v) > 1<<10 {
			tb.Errorf("got a phrase of %d bytes, want at most %d", len(v), 1<<10)
		}
		day := key.Day(e.TS)
		if numbers[day] == nil {
			numbers[day] = map[uint16]bool{}
		}
		numbers[day][e.Part] = true
		if text := fmt.Sprint(day, " ", string(v)); texts[text] {
			tb.Errorf("day %d: got two numbers for %q, want one", day, v)
		} else {
			texts[text] = true
		}
	}
	for day, of := range numbers {
		for n := range len(of) {
			if !of[uint16(n+1)] {
				tb.Errorf("day %d: got no phrase %d, want %d phrases numbered from 1", day, n+1, len(of))
			}
		}
	}
}

// summarized returns a version with a summary and managers, some of which recur
// often and some not.
func summarized(n int) *history.Record {
	r := pod(fmt.Sprintf("pod-%d", n%7), fmt.Sprint(n+1), history.Update)
	r.Summary = &history.Summary{
		Text: fmt.Sprintf("turn %d of the wheel", n%5), Problem: strings.Repeat("late ", n%3*300),
	}
	r.Managers = []history.Manager{
		{
			Name: "often", Operation: "Update", Subresource: "status",
			Time: time.Unix(1_790_000_000, 0).UTC(), Fields: []string{"status.phase"},
		},
		{Name: fmt.Sprintf("seldom-%d", n/4), Operation: "Apply"},
	}
	if n%5 == 4 {
		r.Summary.Text = fmt.Sprintf("once in the turn %d", n)
	}
	r.Owners = []types.UID{types.UID(fmt.Sprintf("owner-%d", n%7)), "another"}
	return r
}

// TestDayDictionary_NumbersRecurringTexts appends versions with recurring
// summaries and managers on several days, and opens the log several times. Some
// texts are too long to get a number. All versions must be read as they were
// appended, and recurring texts be written a few times a day.
func TestDayDictionary_NumbersRecurringTexts(t *testing.T) {
	dir, c := t.TempDir(), &clock{noon(0)}
	opts := store.Options{Now: c.now}
	s := open(t, dir, opts)
	var want []*history.Record
	for n := range 60 {
		r := summarized(n)
		appendTo(t, s, r)
		want = append(want, r)
		switch {
		case n%20 == 19:
			c.t = c.t.Add(24 * time.Hour)
		case n%7 == 6:
			s = reopen(t, s, dir, opts)
		}
	}
	for _, f := range []history.Filter{
		{},
		{Namespace: "shop"},
		{Resources: []schema.GroupResource{{Resource: "pods"}}},
		{Name: "pod-3"},
		{Owner: "owner-3"},
	} {
		n := 0
		for _, r := range want {
			if f.Matches(r) {
				n++
			}
		}
		got := all(t, s, history.Scan{Filter: f, Bodies: true})
		if len(got) != n || n == 0 {
			t.Errorf("%+v: got %d records, want %d", f, len(got), n)
		}
		for _, r := range got {
			of, err := strconv.Atoi(r.RV)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want[of-1], r); d != "" {
				t.Fatalf("%+v: record differs (-want +got):\n%s", f, d)
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
	// 12 versions, each in five places; and the phrases of three days.
	if n := d.holding("turn 3 of the wheel"); n > 36 {
		t.Errorf("a recurring text: got %d copies, want at most 36", n)
	}
	if n := d.holding("once in the turn 9"); n != 5 {
		t.Errorf("a unique text: got %d copies, want 5: one in each copy of the metadata, and no phrase", n)
	}
	if n := d.holding("owner-3"); n != 1 {
		t.Errorf("an owner: got %d copies, want 1: in its identity", n)
	}
}

// auditMetadata checks that the entries of indexes with metadata hold the
// metadata of their versions.
func (d dump) auditMetadata(tb testing.TB) {
	tb.Helper()
	classes := []key.Class{key.ByTime, key.ByRoot, key.ByResource, key.ByNamespace}
	for k, v := range d.values {
		e, err := key.Decode([]byte(k))
		if err != nil || !slices.Contains(classes, e.Class) {
			continue
		}
		if meta := d.values[string(e.In(key.Record))]; len(meta) == 0 || !bytes.Equal(meta, v) {
			tb.Errorf("metadata in index entry %x: got %x, want %x", k, v, meta)
		}
	}
}

// holding returns the number of values that contain a text.
func (d dump) holding(text string) (n int) {
	for _, v := range d.values {
		if bytes.Contains(v, []byte(text)) {
			n++
		}
	}
	return n
}

// mostNumbers is the limit of resources and of kinds in a log.
const mostNumbers = 65535

// TestDictionary_RejectsNewTermsWhenFull fills the dictionaries of resources
// and of kinds. New terms are rejected, and known ones are accepted.
func TestDictionary_RejectsNewTermsWhenFull(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	appendTo(t, s, pod("web", "1", history.Create))
	const at = 4369 // a fifteenth of them
	for i := range mostNumbers / at {
		b := &history.Batch{}
		for n := range at {
			if n += i * at; n == 0 { // the pod has it
				continue
			}
			b.Checkpoints = append(b.Checkpoints, history.Checkpoint{Resource: fmt.Sprintf("r%d", n), RV: "1"})
			r := pod("other", "2", history.Update)
			r.Kind, r.Object = fmt.Sprintf("K%d", n), nil
			b.Versions = append(b.Versions, history.NewVersion{Record: r})
		}
		if err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	kind, resource := pod("web", "3", history.Update), pod("web", "3", history.Update)
	kind.Kind, resource.Ref.Resource = "New", "news"
	full := map[string]*history.Batch{
		"a kind":                  {Versions: newVersions(pod("web", "2", history.Update), kind)},
		"a resource":              {Versions: newVersions(resource)},
		"a resource's checkpoint": {Checkpoints: []history.Checkpoint{{Resource: "news", RV: "1"}}},
		"a resource's gap": {
			Gaps: []history.Gap{{Resource: "news", Start: time.Now(), Reason: history.GapExpired}},
		},
		"a new resource and known ones": {
			Versions:    newVersions(pod("web", "2", history.Update)),
			Checkpoints: []history.Checkpoint{{Resource: "news"}},
		},
	}
	for range 2 {
		for name, b := range full {
			err := s.Append(t.Context(), b)
			if history.CodeOf(err) != history.Invalid || !errors.Is(err, store.ErrDictionaryFull) {
				t.Errorf("append %s without a free number: got %v, want an Invalid error that is %v",
					name, err, store.ErrDictionaryFull)
			}
		}
		for want, r := range map[string]history.Resource{
			"register news: limit of 65535 resources reached: new ones are not recorded": {
				Version: "v1", Plural: "news", Kind: "Pod",
			},
			"register pods: limit of 65535 kinds reached: new ones are not recorded": {
				Version: "v2", Plural: "pods", Kind: "Pod",
			},
		} {
			err := s.Register(t.Context(), r)
			if history.CodeOf(err) != history.Invalid || !errors.Is(err, store.ErrDictionaryFull) {
				t.Errorf("register without a free number: got %v, want an Invalid error that is %v",
					err, store.ErrDictionaryFull)
			}
			if err == nil || err.Error() != want {
				t.Errorf("register without a free number: got text %v, want %s", err, want)
			}
		}
		err := errors.Join(
			s.Register(t.Context(), history.Resource{Version: "v1", Plural: "pods", Kind: "Pod"}),
			s.Append(t.Context(), &history.Batch{
				Versions:    newVersions(pod("web", "4", history.Update)),
				Checkpoints: []history.Checkpoint{{Resource: fmt.Sprintf("r%d", mostNumbers-1), RV: "2"}},
			}))
		if err != nil {
			t.Fatalf("known terms: got %v, want no error", err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, store.Options{NoSync: true})
	}
	scan := history.Scan{Filter: history.Filter{Name: "web"}}
	var rvs []string
	for _, r := range all(t, s, scan) {
		rvs = append(rvs, r.RV)
	}
	if !slices.Equal(rvs, []string{"1", "4", "4"}) {
		t.Errorf("got versions %v, want [1 4 4]", rvs)
	}
}
