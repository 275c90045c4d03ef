package diff_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/watchhistory/watchhistory/pkg/diff"
)

func TestSummary(t *testing.T) {
	const waiting = `{"status":{"phase":"Running",` +
		`"containerStatuses":[{"name":"app","restartCount":%d,"ready":%t,"state":%s}]}}`
	long := strings.Repeat("long ", 100)
	tests := []struct{ name, old, new, want string }{
		{"equal", `{"a":1}`, `{"a":1}`, ""},
		{"noise", `{"metadata":{"resourceVersion":"1"}}`, `{"metadata":{"resourceVersion":"2"}}`, ""},
		{
			"image", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"shop/web:1.4"}]}}}}`,
			`{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"shop/web:1.5"}]}}}}`,
			"image app 1.4 → 1.5",
		},
		{
			"image of another repository", `{"spec":{"containers":[{"name":"app","image":"r:5000/web"}]}}`,
			`{"spec":{"containers":[{"name":"app","image":"r:5000/api:1"}]}}`, "image app r:5000/web → r:5000/api:1",
		},
		{
			"image by digest", `{"spec":{"initContainers":[{"name":"app","image":"web@sha256:0123456789abcdef"}]}}`,
			`{"spec":{"initContainers":[{"name":"app","image":"web@sha256:f123456789abcdef"}]}}`,
			"image app sha256:0123456789a… → sha256:f123456789a…",
		},
		{"scale", `{"spec":{"replicas":2,"paused":true}}`, `{"spec":{"replicas":3}}`, "replicas 2 → 3, resumed"},
		{
			"crash loop", fmt.Sprintf(waiting, 0, true, `{"running":{"startedAt":"1"}}`),
			fmt.Sprintf(waiting, 3, false, `{"waiting":{"reason":"CrashLoopBackOff"}}`),
			"app waiting CrashLoopBackOff, restarts 0 → 3 (+2 more)",
		},
		{
			"killed", fmt.Sprintf(waiting, 0, true, `{"running":{"startedAt":"1"}}`),
			fmt.Sprintf(waiting, 0, true, `{"terminated":{"reason":"OOMKilled","exitCode":137}}`),
			"app terminated OOMKilled (exit 137) (+1 more)",
		},
		{
			"another reason", fmt.Sprintf(waiting, 0, true, `{"waiting":{"reason":"ErrImagePull"}}`),
			fmt.Sprintf(waiting, 0, true, `{"waiting":{"reason":"ImagePullBackOff"}}`),
			"app waiting ImagePullBackOff",
		},
		{
			"first status", `{"status":{"phase":"Pending"}}`,
			fmt.Sprintf(waiting, 0, true, `{"running":{}}`), "phase Pending → Running, app running",
		},
		{
			"condition", `{"status":{"conditions":[{"type":"Ready","status":"True","lastTransitionTime":"1"}]}}`,
			`{"status":{"conditions":[{"type":"Ready","status":"False","lastTransitionTime":"2"}]}}`,
			"Ready True → False",
		},
		{"new condition", `{"status":{"conditions":[]}}`, `{"status":{"conditions":[{"type":"Ready",` +
			`"status":"False","reason":"KubeletDown"}]}}`, "Ready False: KubeletDown"},
		{
			"data", `{"data":{"LEVEL":"info","app.conf":"a\nb"}}`,
			`{"data":{"LEVEL":"debug","app.conf":"a\nc"}}`, "LEVEL info → debug, app.conf b → c",
		},
		{"data key", `{"data":{}}`, `{"data":{"LEVEL":"debug"}}`, "LEVEL=debug added"},
		{
			"readyReplicas", `{"status":{"readyReplicas":2}}`,
			`{"status":{"readyReplicas":3}}`, "status.readyReplicas 2 → 3",
		},
		{"scheduled", `{"spec":{}}`, `{"spec":{"nodeName":"node-1"}}`, "scheduled to node-1"},
		{
			"deleted", `{"metadata":{}}`, `{"metadata":{"deletionTimestamp":"now","deletionGracePeriodSeconds":30}}`,
			"deletion requested (+1 more)",
		},
		{"label", `{"metadata":{"labels":{"a/b":"c"}}}`, `{"metadata":{"labels":{"a/b":"d"}}}`, "label a/b c → d"},
		{
			"deep", `{"spec":{"template":{"spec":{"containers":[{"name":"app","resources":{"limits":{"cpu":"1"}}}]}}}}`,
			`{"spec":{"template":{"spec":{"containers":[{"name":"app","resources":{"limits":{"cpu":"2"}}}]}}}}`,
			"cpu limit 1 → 2",
		},
		{"whole numbers", `{"spec":{"n":1}}`, `{"spec":{"n":30000000}}`, "n 1 → 30000000"},
		{
			"long values", `{"spec":{"a":"x"}}`, `{"spec":{"a":"` + long + `"}}`,
			"a x → long long long long long long long long long lo…",
		},
		{
			"order of statuses", `{"status":{"containerStatuses":[{"name":"a"},{"name":"b"}]}}`,
			`{"status":{"containerStatuses":[{"name":"b"},{"name":"a"}]}}`,
			"",
		},
		{
			"a removed reason", fmt.Sprintf(waiting, 0, true, `{"waiting":{"reason":"ErrImagePull"}}`),
			fmt.Sprintf(waiting, 0, true, `{"waiting":{}}`),
			"app waiting reason removed (was ErrImagePull)",
		},
		{
			"a comma in a name", `{"spec":{"env":[{"name":"a,b","value":"1"}]}}`,
			`{"spec":{"env":[{"name":"a,b","value":"2"}]}}`, "env a,b 1 → 2",
		},
		{
			"an equals sign in a name", `{"m":[{"mountPath":"/a=b,c","x":"1"}]}`,
			`{"m":[{"mountPath":"/a=b,c","x":"2"}]}`, "m /a=b,c x 1 → 2",
		},
		{
			"ports", `{"spec":{"ports":[{"port":80,"protocol":"TCP","nodePort":1}]}}`,
			`{"spec":{"ports":[{"port":80,"protocol":"TCP","nodePort":2}]}}`,
			"port 80/TCP nodePort 1 → 2",
		},
		{"only spaces", `{"spec":{"a":" "}}`, `{"spec":{"a":"b"}}`, `a " " → b`},
		{"the text null", `{"spec":{"a":null}}`, `{"spec":{"a":"null"}}`, `a null → "null"`},
		{"a boolean as text", `{"data":{"a":"true"}}`, `{"data":{"a":true}}`, `a changed`},
		{"lines", `{"spec":{"a":"x"}}`, `{"spec":{"a":"\u001b[31m\n\ty"}}`, "a x → [31m y"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := diff.Summary(diff.Objects(object(t, tt.old), object(t, tt.new)))
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
			checkSummary(t, got)
		})
	}
}

// TestSummary_IsBounded has long names in all places.
func TestSummary_IsBounded(t *testing.T) {
	name := strings.Repeat("ü", 253)
	before, after := map[string]any{}, map[string]any{}
	for i := range 2000 {
		key := fmt.Sprint(name, i)
		before[key], after[key] = name+"1", name+"2"
	}
	status := func(image string) map[string]any {
		return map[string]any{"containers": []any{
			map[string]any{"name": name, "image": image}, map[string]any{"name": name + "2", "image": image},
		}}
	}
	before["spec"], after["spec"] = status(name+":1"), status(name+"a:1")
	before["data"], after["data"] = map[string]any{name: "a"}, map[string]any{name: "b"}
	got := diff.Summary(diff.Objects(before, after))
	checkSummary(t, got)
	if !strings.HasPrefix(got, "image ü") || !strings.HasSuffix(got, " more)") {
		t.Errorf("got %q, want an image and the number of other changes", got)
	}
}

// TestSummary_OfManyChanges has objects of about 1 MB with nothing in common.
func TestSummary_OfManyChanges(t *testing.T) {
	const n = 30000
	var old, now, oldLimits, limits []string
	for i := range n {
		old, now = append(old, fmt.Sprintf(`{"port":%d}`, i)), append(now, fmt.Sprintf(`{"port":%d}`, n+i))
		oldLimits = append(oldLimits, fmt.Sprintf(`"l%d":1`, i))
		limits = append(limits, fmt.Sprintf(`"l%d":2`, i))
	}
	of := func(ports, limits []string) map[string]any {
		return object(t, `{"spec":{"ports":[`+strings.Join(ports, ",")+`],"resources":{"limits":{`+
			strings.Join(limits, ",")+`}}}}`)
	}
	got := diff.Summary(diff.Objects(of(old, oldLimits), of(now, limits)))
	checkSummary(t, got)
	if want := fmt.Sprintf("(+%d more)", 3*n-6); !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want it to end with %q", got, want)
	}
	deep := object(t, strings.Repeat(`{"labels":`, 9000)+`{}`+strings.Repeat(`}`, 9000))
	checkSummary(t, diff.Summary(diff.Objects(nil, deep)))
}

// TestSummary_DecodedNumbers has numbers as each option of the decoder returns
// them.
func TestSummary_DecodedNumbers(t *testing.T) {
	replicas := func(ready, text any) map[string]any {
		return map[string]any{"status": map[string]any{"a": text, "readyReplicas": ready}}
	}
	for _, pair := range [][2]any{{2.0, 3.0}, {int64(2), int64(3)}, {json.Number("2"), json.Number("3")}} {
		got := diff.Summary(diff.Objects(replicas(pair[0], "x"), replicas(pair[1], "y")))
		if want := "status.readyReplicas 2 → 3 (+1 more)"; got != want {
			t.Errorf("%T: got %q, want %q", pair[0], got, want)
		}
	}
}

func checkSummary(t *testing.T, got string) {
	t.Helper()
	if n := utf8.RuneCountInString(got); n > 120 || strings.ContainsAny(got, "\n\r\t\x1b") || !utf8.ValidString(got) {
		t.Errorf("got %q of %d runes, want one line of at most 120", got, n)
	}
}
