package storetest

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// objectsOfAnySize appends objects that don't compress, from 0 bytes to 3 MiB,
// in one batch with small ones. The next versions differ in one byte.
func objectsOfAnySize(s *subject) {
	var want [][]byte
	for round := range 2 {
		var batch []history.NewVersion
		for i, size := range []int{
			0, 1, 2, 256<<10 - 1, 256 << 10, 256<<10 + 1, 1 << 20, 3 << 20, 10, 1<<20 + 1, 3<<20 - 7, 100,
		} {
			v := newVersion(version(fmt.Sprint("web-", i), fmt.Sprint(round), history.Update))
			v.Object = noise(size)
			if round > 0 && size > 0 {
				v.Before, v.Object[size/2] = noise(size), v.Object[size/2]+1
			}
			batch, want = append(batch, v), append(want, v.Object)
		}
		s.commit(&history.Batch{Versions: batch})
		s.reopen()
	}
	for i, r := range s.all(history.Scan{Bodies: true}) {
		if !bytes.Equal(r.Object, want[i]) {
			s.t.Errorf("%s, revision %d: got %d bytes, want the %d bytes of its object",
				r.Ref, r.Revision, len(r.Object), len(want[i]))
		}
	}
	if n := len(s.all(history.Scan{})); n != len(want) {
		s.t.Errorf("got %d records, want %d", n, len(want))
	}
}

// awkward returns texts that are easily confused: long ones, texts that are not
// UTF-8, prefixes of each other, and texts with terminators of keys or paths.
func awkward() []string {
	return []string{
		"web", "web\x00", "web\x00\x00", "\x00web", "we", "web-1", "web/1", "Web", " web",
		"\xff", "\xff\xfe\xff", "caf\xc3", "café", "\x00",
		strings.Repeat("n", 253), strings.Repeat("n", 252), strings.Repeat("\xff", 253), ".", "..", "%s", "'\"\n\t\\",
	}
}

// namesOfAnyBytes uses awkward names, namespaces, UIDs and other texts. Each is
// read as written, and found alone.
func namesOfAnyBytes(s *subject) {
	var records []*history.Record
	for _, text := range awkward() {
		named := version(text, text, history.Create)
		inside := version("web", "1", history.Create)
		owned := version("web", "1", history.Create)
		inside.Ref.Namespace, inside.Ref.UID = text, types.UID("in "+text)
		inside.Regarding = &history.Target{Group: text, Kind: text, Namespace: text, Name: text}
		owned.Ref.Namespace, owned.Ref.UID, owned.Kind, owned.Version = "", types.UID(text), text, text
		owned.Managers = []history.Manager{{Name: text, Operation: text, Subresource: text, Fields: []string{text}}}
		owned.Owners, owned.Summary = []types.UID{types.UID(text)}, &history.Summary{Text: text, Problem: text}
		records = append(records, named, inside, owned)
	}
	s.put(records...)
	s.reopen()
	s.same("all", read(true, records...), s.all(history.Scan{Bodies: true}))
	for _, text := range awkward() {
		for _, f := range []history.Filter{
			{Name: text},
			{Namespace: history.NamespaceScope(text)},
			{UID: types.UID(text)},
			{Owner: types.UID(text)},
			{Managers: []string{text}},
			{Regarding: &history.Target{Kind: text, Namespace: text, Name: text}},
		} {
			s.same(fmt.Sprintf("%+v", f), read(false, matching(f, history.OldestFirst, records)...),
				s.all(history.Scan{Filter: f}))
		}
	}
	heads := s.heads(pods())
	for _, r := range records {
		if h := heads[r.Ref]; h.RV != r.RV {
			s.t.Errorf("head of %q (%q): got resourceVersion %q, want %q", r.Ref, r.Ref.UID, h.RV, r.RV)
		}
	}
}

// wrongHintsChangeNothing appends versions with wrong hints at the previous
// version. The log may use a hint only if it is right. A day passes in between,
// and the log is reopened.
func wrongHintsChangeNothing(s *subject) {
	body := func(n int) []byte {
		return fmt.Appendf(nil, `{"n":%d,"text":"%s","status":%d}`,
			n, strings.Repeat("not the same text again ", 100), n)
	}
	hints := []func(n int) []byte{
		func(n int) []byte { return body(n - 1) },
		func(n int) []byte { return nil },
		func(n int) []byte { return []byte{} },
		func(n int) []byte { return body(n - 2) },
		func(n int) []byte { return body(n) },
		func(n int) []byte { return body(n + 1) },
		func(n int) []byte { return body(n - 1)[:1000] },
		func(n int) []byte { return append(body(n-1), '}') },
		func(n int) []byte { return noise(len(body(n - 1))) },
		func(n int) []byte { return bytes.ToUpper(body(n - 1)) },
	}
	var records []*history.Record
	for n := range 6 * len(hints) {
		v := newVersion(version([]string{"web", "db"}[n%5/4], fmt.Sprint(n), history.Update))
		v.Object, v.Before = body(n), hints[n%len(hints)](n)
		s.commit(&history.Batch{Versions: []history.NewVersion{v}})
		records = append(records, v.Record)
		switch n % 15 {
		case 7:
			s.now = s.now.Add(10 * time.Hour)
		case 13:
			s.reopen()
		}
	}
	for range 2 {
		for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
			want := read(true, matching(history.Filter{}, order, records)...)
			s.same(fmt.Sprint("order ", order), want, s.all(history.Scan{Bodies: true, Order: order}))
		}
		s.reopen()
	}
}

// everythingSurvivesReopen compares everything that a log returns before and
// after it is reopened.
func everythingSurvivesReopen(s *subject) {
	records := s.population()
	for _, name := range []string{"pods", "nodes"} {
		if err := s.Register(s.t.Context(), history.Resource{Version: "v1", Plural: name, Kind: name}); err != nil {
			s.t.Fatal(err)
		}
	}
	s.commit(&history.Batch{
		Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "1000"}},
		Gaps:        []history.Gap{{Resource: "pods", Start: records[0].Time, Reason: history.GapExpired}},
	})
	before := s.everything()
	for range 3 {
		s.reopen()
		s.unchanged(before)
	}
	s.put(version("web", "2000", history.Update))
}
