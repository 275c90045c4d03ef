package recorder_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// managed returns the JSON of a pod with managedFields. Each entry is "manager
// second fields"; the fields are one word.
func managed(rv string, entries ...string) string {
	var fields []string
	for _, e := range entries {
		word := strings.Fields(e)
		fields = append(fields,
			fmt.Sprintf(`{"manager":%q,"operation":"Update","time":"2026-01-02T03:04:%sZ","fieldsV1":{"f:%s":{}}}`,
				word[0], word[1], word[2]))
	}
	return `{"metadata":{"name":"a","namespace":"shop","uid":"u1","resourceVersion":"` + rv +
		`","managedFields":[` + strings.Join(fields, ",") + `]}}`
}

func TestAttribution_ByManagedEntries(t *testing.T) {
	for _, tc := range []struct {
		name   string
		how    string // how the second version is observed: by a watch, by a watch "after a restart", or by a "sync"
		before []string
		after  []string
		member string // only in the second version; with a minus, only in the first one
		want   string
	}{
		{
			name:   "a new entry",
			before: []string{"kubectl 01 x"},
			after:  []string{"kubectl 01 x", "kubelet 02 y"},
			want:   "kubelet",
		},
		{
			name:   "an entry that moved",
			before: []string{"a 01 x", "b 02 y"},
			after:  []string{"a 03 x", "b 02 y"},
			want:   "a",
		},
		{
			name:   "a second write within the same second",
			before: []string{"a 01 x", "b 02 y"},
			after:  []string{"a 01 x", "b 02 y"},
			member: "y",
			want:   "b",
		},
		{
			name:   "a new entry after a restart",
			how:    "after a restart",
			before: []string{"kubectl 01 x"},
			after:  []string{"kubectl 01 x", "kubelet 02 y"},
			member: "y",
			want:   "kubelet",
		},
		{
			name:   "a new entry after a restart that changed nothing",
			how:    "after a restart",
			before: []string{"kubectl 01 x"},
			after:  []string{"kubectl 01 x", "kubelet 02 y"},
		},
		{
			name:   "an old entry that came back",
			before: []string{"a 05 x", "b 02 z"},
			after:  []string{"b 03 z"},
			member: "-x",
		},
		{
			name:   "a manager that lost a field to another",
			before: []string{"a 01 xy", "b 02 z"},
			after:  []string{"a 01 x", "b 03 yz"},
			want:   "b",
		},
		{
			name:   "a manager that lost a field within the same second",
			before: []string{"a 01 xy"},
			after:  []string{"a 01 x", "b 01 y"},
			member: "y",
			want:   "b",
		},
		{
			name:   "a second write within the same second, by one of two",
			before: []string{"a 01 x", "b 01 y"},
			after:  []string{"a 01 x", "b 01 y"},
		},
		{
			name:   "the newest writer lost a field",
			before: []string{"a 01 x", "b 02 yz"},
			after:  []string{"a 03 xz", "b 02 y"},
			want:   "a",
		},
		{name: "a slow clock", before: []string{"a 05 x"}, after: []string{"a 05 x", "b 04 y"}, member: "y", want: "b"},
		{
			name:   "an entry older than the others that changed nothing",
			before: []string{"a 05 x"},
			after:  []string{"a 05 x", "b 04 y"},
		},
		{name: "two new entries of the same second", before: []string{"a 01 x"}, after: []string{"c 02 x", "b 02 y"}},
		{
			name:   "two new entries of the same second, of which one changed something",
			before: []string{"a 01 x"},
			after:  []string{"c 02 x", "b 02 y"},
			member: "y",
			want:   "b",
		},
		{
			name:   "several writes after a gap",
			how:    "sync",
			before: []string{"a 01 xy"},
			after:  []string{"a 01 xy", "b 03 z", "c 04 v"},
			want:   "c b",
		},
		{
			name:   "a loser after a gap",
			how:    "sync",
			before: []string{"a 01 x", "b 02 y"},
			after:  []string{"a 01 ", "b 02 y", "c 04 v"},
			want:   "c",
		},
		{name: "no writer", before: []string{"a 01 x"}},
		{
			name:   "more fields within the same second",
			before: []string{"a 01 x"},
			after:  []string{"a 01 y"},
			member: "y",
			want:   "a",
		},
		{
			name:   "a field is removed, whose owner has others",
			before: []string{"a 01 x", "b 02 yz"},
			after:  []string{"a 01 x", "b 02 z"},
			member: "-y",
		},
		{
			name:   "a field is removed, whose owner has no others",
			before: []string{"a 01 x", "b 02 y"},
			after:  []string{"a 01 x"},
			member: "-y",
		},
		{
			name:   "a field without an owner is removed",
			before: []string{"a 01 x"},
			after:  []string{"a 01 x"},
			member: "-y",
		},
		{
			name:   "a field is removed in a gap",
			how:    "sync",
			before: []string{"a 01 xy"},
			after:  []string{"a 01 x"},
			member: "-y",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for i := range tc.after {
				if len(strings.Fields(tc.after[i])) == 2 {
					tc.after[i] += " less"
				}
			}
			w := open(t, recorder.Options{}, nil)
			s := w.stream(pods)
			w.feed(s, "sync", "end 1")
			removed, isRemoved := strings.CutPrefix(tc.member, "-")
			before, after := managed("2", tc.before...), managed("3", tc.after...)
			switch with := `{"` + removed + `":1,`; {
			case isRemoved:
				before = strings.Replace(before, "{", with, 1)
			case tc.member != "":
				after = strings.Replace(after, "{", with, 1)
			}
			if err := s.Observe(t.Context(), watchEvent("+", before)); err != nil {
				t.Fatal(err)
			}
			if tc.how != "" {
				w.restart() // the hashes of the previous version come from the log
				s = w.stream(pods)
			}
			if tc.how == "sync" {
				w.feed(s, "sync")
			}
			if err := s.Observe(t.Context(), watchEvent("~", after)); err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, m := range w.records(pods)[1].Managers {
				names = append(names, m.Name)
			}
			if got := strings.Join(names, " "); got != tc.want {
				t.Errorf("got managers %q, want %q", got, tc.want)
			}
		})
	}
}

// Neither a request to delete nor a binding leaves an entry in managedFields.
// The manager of the newest entry did not write these versions.
func TestAttribution_WriteWithoutEntryNamesNobody(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	bound := `"spec":{"nodeName":"node-1"},"metadata":{`
	deleting := bound + `"deletionTimestamp":"2026-01-02T03:05:00Z",`
	for _, version := range []string{
		managed("2", "a 01 x"),
		strings.Replace(managed("3", "a 01 x"), `"metadata":{`, bound, 1),
		strings.Replace(managed("4", "a 01 x", "kubelet 05 y"), `"metadata":{`, bound, 1),
		strings.Replace(managed("5", "a 01 x", "kubelet 05 y"), `"metadata":{`, deleting, 1),
		strings.Replace(managed("6", "a 01 x", "kubelet 06 y"), `"metadata":{`, deleting, 1),
	} {
		sign := "~"
		if version == managed("2", "a 01 x") {
			sign = "+"
		}
		if err := s.Observe(t.Context(), watchEvent(sign, version)); err != nil {
			t.Fatal(err)
		}
	}
	var who []string
	for _, r := range w.records(pods) {
		name := "-"
		if len(r.Managers) == 1 {
			name = r.Managers[0].Name
		}
		if len(r.Managers) == 1 && r.Managers[0].IsInferred() {
			name += "?"
		}
		who = append(who, name)
	}
	if got, want := strings.Join(who, " "), "a kube-scheduler? kubelet - kubelet"; got != want {
		t.Errorf("creation, binding, status, request to delete, status: got managers %q, want %q", got, want)
	}
}

func TestAttribution_DeletionNamesNobody(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "end 1")
	for _, f := range []string{"+ a 01 xy", "- a 01 x"} {
		if err := s.Observe(t.Context(), watchEvent(f[:1], managed("2", f[2:]))); err != nil {
			t.Fatal(err)
		}
	}
	records := w.records(pods)
	if len(records) != 2 {
		t.Fatalf("got %d records, want 2", len(records))
	}
	if m := records[1].Managers; len(m) != 0 {
		t.Errorf("deletion: got managers %v, want none", m)
	}
	if m := records[0].Managers; len(m) != 1 || m[0].Operation != "Update" || m[0].Time.Second() != 1 {
		t.Errorf("creation: got managers %v, want an Update in second 1", m)
	}
}
