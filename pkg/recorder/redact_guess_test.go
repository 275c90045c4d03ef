package recorder_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// pin is a value that can be found by trying all values of its form.
const pin = "482913"

// guesses returns count texts of the form of pin, beginning with from.
func guesses(from, count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = fmt.Sprintf("%06d", from+i)
	}
	return all
}

// hashesOf returns the hashes in all versions of an object.
func hashesOf(records []*history.Record, name string) (all []string) {
	for _, r := range records {
		if r.Ref.Name == name {
			all = append(all, hash.FindAllString(string(r.Object), -1)...)
		}
	}
	return all
}

// requireNoMatch fails the test if a hash of one object occurs in the other.
func requireNoMatch(t *testing.T, what string, victim, attacker []string) {
	t.Helper()
	if len(victim) == 0 || len(attacker) == 0 {
		t.Fatalf("%s: got %d hashes of the victim and %d of the attacker, want some", what, len(victim), len(attacker))
	}
	known := map[string]bool{}
	for _, h := range attacker {
		known[h] = true
	}
	for _, h := range victim {
		if known[h] {
			t.Errorf("%s: got %s of the victim among %d hashes of the attacker, want it in no other object",
				what, h, len(attacker))
		}
	}
}

// TestHash_GuessInAnotherObjectDoesNotMatch attacks a PIN. The attacker may
// read the history and write another object, but not read the Secret. Each
// write has 20,000 guesses.
func TestHash_GuessInAnotherObjectDoesNotMatch(t *testing.T) {
	w, victims := ruled(t, secrets, redact(pods, nil, "hidden[*].value"))
	w.observe(victims, "+", meta("victim", "10", pin, `,"labels":{"pin":"`+pin+`"}`, ""))
	ruledPods := w.stream(pods)
	w.feed(ruledPods, "sync", "end 1")
	w.observe(ruledPods, "+", object("shop", "victim", "11", "", `,"hidden":[{"value":"`+pin+`"}]`))
	for i, from := range []int{460_000, 480_000} {
		var data, hidden []string
		for _, guess := range guesses(from, 20_000) {
			data = append(data, fmt.Sprintf("%q:%q", "k"+guess, guess))
			hidden = append(hidden, fmt.Sprintf(`{"value":%q}`, guess))
		}
		rv := fmt.Sprint(20 + i)
		w.observe(victims, "~", meta("attacker", rv, "x", "", `,"stringData":{`+strings.Join(data, ",")+"}"))
		w.observe(ruledPods, "~", object("shop", "attacker", rv, "", `,"hidden":[`+strings.Join(hidden, ",")+"]"))
	}
	ofSecrets, ofPods := w.records(secrets), w.records(pods)
	for what, attacker := range map[string][]string{
		"guesses in a Secret": hashesOf(ofSecrets, "attacker"), "guesses in a pod": hashesOf(ofPods, "attacker"),
	} {
		requireNoMatch(t, what+", PIN in a Secret", hashesOf(ofSecrets, "victim"), attacker)
		requireNoMatch(t, what+", PIN in a pod", hashesOf(ofPods, "victim"), attacker)
	}
}

// TestHash_MatchesWithinObject checks what the hashes are for: a value that
// stays, moves to another key, or occurs in the copy of kubectl apply has the
// same hash in all versions of the object, also after a restart.
func TestHash_MatchesWithinObject(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(secrets)
	w.feed(s, "sync", "end 1")
	w.observe(s, "+", secret("10", `"data":{"stays":"`+encoded("one")+`","old":"`+encoded("two")+`"},`, ""))
	w.restart()
	s = w.stream(secrets)
	data := `"data":{"stays":"` + encoded("one") + `","new":"` + encoded("two") + `","old":"` + encoded("three") + `"},`
	w.observe(s, "~", secret("11", data, quote(`{"stringData":{"new":"two"}}`)))
	records := w.records(secrets)
	var before, after struct {
		Metadata struct{ Annotations map[string]string }
		Data     map[string]string
	}
	decode(t, records[0], &before)
	decode(t, records[1], &after)
	for _, tt := range []struct{ what, got, want string }{
		{"value that stays", after.Data["stays"], before.Data["stays"]},
		{"value under another key", after.Data["new"], before.Data["old"]},
		{
			"copy of kubectl apply", after.Metadata.Annotations["kubectl.kubernetes.io/last-applied-configuration"],
			`{"stringData":{"new":"` + before.Data["old"] + `"}}`,
		},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, tt.got, tt.want)
		}
	}
	if after.Data["old"] == before.Data["old"] {
		t.Errorf("changed value: got %s in both versions, want two hashes", after.Data["old"])
	}
}

// TestHash_DiffersForRecreatedObject deletes a Secret and creates it again with
// the same value.
func TestHash_DiffersForRecreatedObject(t *testing.T) {
	first := meta("s", "10", treasure, "", "")
	second := strings.Replace(meta("s", "12", treasure, "", ""), `"uid":"u-s"`, `"uid":"u-2"`, 1)
	_, records := record(t, first, second)
	expect(t, records, "create s/u-s@10", "delete s/u-s@10 inferred", "create s/u-2@12")
	before, after := hash.FindString(string(records[0].Object)), hash.FindString(string(records[2].Object))
	if before == after || before == "" || after == "" {
		t.Errorf("got hashes %q and %q, want two different ones", before, after)
	}
}

// TestHash_CopiesInOnePodMatch hides a Secret's value in a pod. Its hash is
// that of the pod, in all places where the pod repeats it.
func TestHash_CopiesInOnePodMatch(t *testing.T) {
	w, s := ruled(t, pods, redact(pods, nil, "hidden[*].value"))
	members := `"hidden":[{"name":"P","value":"` + treasure + `"}]`
	w.observe(s, "+", object("shop", "a", "10", "", ","+members))
	args := `,"spec":{"args":["` + treasure + `"]},`
	w.observe(s, "~", object("shop", "a", "11", appliedAs("{"+members+"}"), args+members))
	w.observe(s, "~", object("shop", "b", "12", "", ","+members))
	records := w.records(pods)
	ofA := hashesOf(records, "a")
	if len(ofA) != 4 || len(slices.Compact(slices.Clone(ofA))) != 1 {
		t.Errorf("pod a: got hashes %q, want one hash 4 times", ofA)
	}
	requireNoMatch(t, "the same value in pod b", ofA, hashesOf(records, "b"))
}
