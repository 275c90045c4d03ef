package recorder_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// redact returns a rule for the paths of a resource.
func redact(resource history.Resource, names []string, paths ...string) recorder.Rules {
	return recorder.Rules{
		Redact: []recorder.Redaction{{Resource: resource.GroupResource(), Paths: paths, Names: names}},
	}
}

// ruled returns a world whose recorder has the rules, and a stream of the
// resource after its first sync.
func ruled(t *testing.T, r history.Resource, rules recorder.Rules) (*world, *recorder.Stream) {
	t.Helper()
	w := open(t, recorder.Options{}, nil)
	w.rule(rules)
	s := w.stream(r)
	w.feed(s, "sync", "end 1")
	return w, s
}

func (w *world) rule(rules recorder.Rules) {
	w.t.Helper()
	if err := w.SetRules(rules); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) observe(s *recorder.Stream, sign, object string) {
	w.t.Helper()
	if err := s.Observe(w.t.Context(), watchEvent(sign, object)); err != nil {
		w.t.Fatal(err)
	}
}

// object returns the JSON of a pod with additional members of the metadata and
// of the object, each with a comma in front.
func object(namespace, name, rv, metadata, members string) string {
	return fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1",`+
		`"metadata":{"name":%q,"namespace":%q,"uid":"u-%s","resourceVersion":%q%s}%s}`,
		name, namespace, name, rv, metadata, members)
}

// appliedAs returns annotations with a last-applied configuration.
func appliedAs(document string) string {
	return `,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":` + quote(document) + `,"team":"a<b"}`
}

func TestRedact_ValuesAreNotOnDisk(t *testing.T) {
	env := func(value string) string {
		return `{"spec":{"containers":[{"name":"c","env":[{"name":"USER","value":"shop"},{"name":"PASSWORD","value":` +
			value + `}]}]}}`
	}
	w, s := ruled(t, pods, redact(pods, []string{"^PASS"}, "spec.containers[*].env[*].value"))
	members := strings.TrimSuffix(strings.TrimPrefix(env(quote(treasure)), "{"), "}")
	for _, o := range []string{
		object("shop", "a", "10", "", ","+members),
		object("shop", "b", "11", appliedAs(env(quote(treasure))), ","+members),
		object("shop", "c", "12", appliedAs(env(`{"nested":[`+quote(treasure)+`]}`)), ""),
		object("shop", "d", "13", appliedAs(`{"spec":`+quote(treasure)), ""),
		object("shop", "e", "14", appliedAs(env("1")[:len(env("1"))-1]+`,"metadata":{"annotations":{`+
			`"kubectl.kubernetes.io/last-applied-configuration":`+quote(env(quote(treasure)))+`}}}`), ""),
	} {
		w.observe(s, "+", o)
	}
	records := w.records(pods)
	if len(records) != 5 {
		t.Fatalf("got %d records, want 5", len(records))
	}
	for _, r := range records {
		if !json.Valid(r.Object) || !bytes.Contains(r.Object, []byte("hmac-sha256:")) {
			t.Errorf("%s: got %s, want valid JSON with a hash", r.Ref.Name, r.Object)
		}
		refuse(t, r.Ref.Name, r.Object)
	}
	for _, r := range records[:2] {
		if !bytes.Contains(r.Object, []byte(`"value":"shop"`)) {
			t.Errorf("got %s, want the value of another name unchanged", r.Object)
		}
	}
	if bytes.Contains(records[1].Object, []byte(`"team":"hmac`)) ||
		!bytes.Contains(records[1].Object, []byte(`"team":"a<b"`)) {
		t.Errorf("got %s, want the other annotation unchanged", records[1].Object)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	searchFiles(t, w.dir)
}

// copies are places of a pod, or of an object with a pod template, that repeat
// a value which a rule hides.
var copies = map[string]struct{ metadata, members string }{
	"kapp":             {`,"annotations":{"kapp.k14s.io/original":"{\"p\":%q}"}`, ""},
	"rancher":          {`,"annotations":{"field.cattle.io/publicEndpoints":%s}`, ""},
	"yaml":             {`,"annotations":{"a":"# applied\nspec: {env: [{name: P, value: \u0022%i\u0022}]}"}`, ""},
	"template":         {"", `,"spec":{"template":{"metadata":{"annotations":{"a":%s}}}}`},
	"template of kapp": {"", `,"spec":{"template":{"metadata":{"annotations":{"a":"{\"p\":%q}"}}}}`},
	"annotation name":  {`,"annotations":{%s:"on"}`, ""},
	"label":            {`,"labels":{"a":%s}`, ""},
	"label name":       {`,"labels":{%s:"a"}`, ""},
	"selector":         {"", `,"spec":{"selector":{"matchLabels":{"a":%s}}}`},
	"finalizer":        {`,"finalizers":[%s]`, ""},
	"arguments":        {"", `,"spec":{"containers":[{"name":"c","args":["--password",%s]}]}`},
	"other variable":   {"", `,"spec":{"containers":[{"name":"c","env":[{"name":"URL","value":%s}]}]}`},
	"message":          {"", `,"status":{"containerStatuses":[{"state":{"terminated":{"message":%s}}}]}`},
	"condition": {
		"", `,"status":{"conditions":[{"type":"Ready","status":"False","reason":"Failed","message":%s}]}`,
	},
	"manager":      {`,"managedFields":[{"manager":%s,"operation":"Update","time":"2026-01-02T03:04:05Z"}]`, ""},
	"data":         {"", `,"data":{"a":%s}`},
	"name of data": {"", `,"data":{%s:"a"}`},
}

func TestRedact_HashesCopiesOfValue(t *testing.T) {
	w, s := ruled(t, pods, redact(pods, nil, "hidden[*].value"))
	var names []string
	for name, place := range copies {
		for _, form := range forms {
			names = append(names, name)
			text, rv := "a-"+form(treasure), fmt.Sprint(10+len(names))
			fill := func(s string) string { return put(strings.ReplaceAll(s, "%i", text), text) }
			w.observe(s, "~", object("shop", "a-"+rv, rv, fill(place.metadata),
				fill(place.members)+`,"hidden":[{"name":"P","value":"`+treasure+`"}]`))
		}
	}
	records := w.records(pods)
	if len(records) != len(names) {
		t.Fatalf("got %d records, want %d", len(records), len(names))
	}
	for i, r := range records {
		all, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		refuseForms(t, names[i], append(all, r.Object...))
	}
}

// A copy of the object may have another value than the object has now.
func TestRedact_HashesOlderValuesInCopies(t *testing.T) {
	document := `{"hidden":[{"name":"P","value":"` + treasure + `"}],"plain":"seen"}`
	for name, text := range map[string]string{
		"json": document, "base64": encoded(document),
		"gzip": encoded(compress(document, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })),
	} {
		w, s := ruled(t, pods, redact(pods, nil, "hidden[*].value"))
		w.observe(s, "+", object("shop", "a", "10", `,"annotations":{"example.com/original":`+quote(text)+`}`,
			`,"hidden":[{"value":"by now"}]`))
		r := w.records(pods)[0]
		refuseForms(t, name, r.Object)
		got := annotationsOf(t, r)["example.com/original"]
		if name == "json" && !strings.Contains(got, `"plain":"seen"`) || name != "json" && hash.FindString(got) != got {
			t.Errorf("%s: got %q, want the other fields unchanged, or a hash", name, got)
		}
	}
}

// Identifiers are kept, and so are texts that contain a short hidden value by
// chance.
func TestRedact_KeepsIdentifiersAndShortMatches(t *testing.T) {
	for value, o := range map[string]string{
		"1": object("shop", "a", "10", `,"annotations":{"deployment.kubernetes.io/revision":"1"}`,
			`,"status":{"phase":"1"},"hidden":[{"value":%s}]`),
		"8080": object("shop", "a", "10", `,"labels":{"port":"8080"}`,
			`,"spec":{"port":"8080"},"hidden":[{"value":%s}]`),
		"true": object("shop", "a", "10", `,"annotations":{"sidecar.istio.io/inject":"true"}`,
			`,"status":{"conditions":[{"status":"True"}]},"hidden":[{"value":%s}]`),
		"web": object("shop", "a", "10", "", `,"spec":{"containers":[{"name":"web"}]},"hidden":[{"value":%s}]`),
		"web-v1": object("shop", "web-v1-7f", "10", `,"labels":{"app":"web-v1"}`,
			`,"spec":{"args":["web-v1"]},"hidden":[{"value":%s}]`),
		"postgres": object("shop", "a", "10", "",
			`,"spec":{"containers":[{"name":"postgres","image":"postgres:16","env":[{"name":"postgres"}]}]},`+
				`"hidden":[{"value":%s}]`),
	} {
		w, s := ruled(t, pods, redact(pods, nil, "hidden[*].value"))
		w.observe(s, "+", strings.ReplaceAll(o, "%s", quote(value)))
		got := hash.ReplaceAllString(string(w.records(pods)[0].Object), "HASH")
		if want := strings.ReplaceAll(o, "%s", `"HASH"`); got != want {
			t.Errorf("hidden value %q: got\n\t%s\nwant\n\t%s", value, got, want)
		}
	}
}

func TestRedact_KeepsTargetOfEvent(t *testing.T) {
	w, s := ruled(t, events, redact(events, nil, "message"))
	reference := `{"kind":"Pod","namespace":"shop","name":"` + treasure + `","fieldPath":"` + treasure + `"}`
	w.observe(s, "+", object("shop", "e", "10", "",
		`,"involvedObject":`+reference+`,"related":`+reference+`,"message":"`+treasure+`","note":"say `+treasure+`"`))
	r := w.records(events)[0]
	if r.Regarding == nil || r.Regarding.Name != treasure {
		t.Errorf("got target %+v, want %s", r.Regarding, treasure)
	}
	if got := bytes.Count(r.Object, []byte(treasure)); got != 4 {
		t.Errorf("got the value %d times in %s, want 4 times, in the references", got, r.Object)
	}
}

func TestRedact_KeepsEveryOtherByte(t *testing.T) {
	w, s := ruled(t, pods, redact(pods, nil, "data.absent", "data[*].x"))
	for i, o := range []string{
		object("shop", "a", "10", appliedAs(`{"data" : {"a": "<&>"}, "n":null}`), ` , "data" : {"a":1, "b":null}`),
		object("shop", "b", "11", "", `,"data":{"a":{"x":null}}`),
		object("shop", "c", "12", "", `,"data":[1,"x",{}]`),
	} {
		w.observe(s, "+", o)
		records := w.records(pods)
		if got := string(records[i].Object); got != o {
			t.Errorf("got\n\t%s\nwant\n\t%s", got, o)
		}
		w.rule(redact(pods, nil, "data.absent", "data[*].x"))
		s = w.stream(pods)
	}
}

func TestRedact_AppliesOnlyToResourceOfRule(t *testing.T) {
	w, s := ruled(t, nodes, redact(pods, nil, "data[*]"))
	o := strings.Replace(object("", "n", "10", "", `,"data":{"a":"plain"}`), `"namespace":"",`, "", 1)
	w.observe(s, "+", o)
	if got := string(w.records(nodes)[0].Object); got != o {
		t.Errorf("node with a rule for pods: got\n\t%s\nwant\n\t%s", got, o)
	}
}

func TestRedact_NewRulesApplyToInferredDeletions(t *testing.T) {
	w, s := ruled(t, pods, recorder.Rules{})
	w.observe(s, "+", object("shop", "a", "10", "", `,"data":{"p":"`+treasure+`"}`))
	w.rule(redact(pods, nil, "data[*]"))
	w.observe(s, "+", object("shop", "b", "11", "", `,"data":{"p":"`+treasure+`"}`))
	w.feed(s, "sync", "end 20")
	records := w.records(pods)
	expect(t, records, "create a/u-a@10", "create b/u-b@11", "delete a/u-a@10 inferred", "delete b/u-b@11 inferred")
	for _, r := range records[1:] {
		refuse(t, r.Verb.String()+" of "+r.Ref.Name, r.Object)
	}
	if !bytes.Equal(records[1].Object, records[3].Object) {
		t.Errorf("deletion: got %s, want %s: hashes are not hashed again", records[3].Object, records[1].Object)
	}
}

func TestSetRules_RejectsInvalidRules(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	secret := redact(secrets, nil, "data.a")
	event := redact(events, nil, "involvedObject.name")
	for want, rules := range map[string]recorder.Rules{
		"want a field":               redact(pods, nil, "a..b"),
		"missing closing )":          redact(pods, []string{"("}, "a[*]"),
		`"metadata.name": objects`:   redact(pods, nil, "metadata.name"),
		`"kind": objects`:            redact(pods, nil, "kind"),
		`"metadata[*]": objects`:     redact(pods, nil, "metadata[*]"),
		"redacted already":           secret,
		`"involvedObject.name": obj`: event,
		"at character 4":             {Ignore: []history.IgnoreRule{{Changes: []string{"a.b["}}}},
	} {
		err := w.SetRules(rules)
		if err == nil || history.CodeOf(err) != history.Invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got error %v, want an Invalid error with %q", rules, err, want)
		}
	}
	if err := recorder.New(w.store, recorder.Options{}).SetRules(redact(pods, nil, "data[*]")); err == nil {
		t.Error("rules without a key: got no error, want one")
	}
}

var hash = regexp.MustCompile(`hmac-sha256:[0-9a-f]{32}`)

// FuzzRedact takes any data of an object and any last-applied data. It checks
// that the selected values are hashed and all other values are kept.
func FuzzRedact(f *testing.F) {
	f.Add(`{"password":"%s","user":"u","list":[{"name":"a","value":"%s"}]}`, `{"password":"%s"}`)
	f.Add(`{"password":{"a":["%s"]},"password":"%s"}`, `{"x":"}`)
	f.Add(`[1]`, `"%s"`)
	f.Fuzz(func(t *testing.T, data, applied string) {
		data = strings.ReplaceAll(data, "%s", treasure)
		applied = strings.ReplaceAll(applied, "%s", treasure)
		if !json.Valid([]byte(data)) || hash.MatchString(data+applied) {
			return
		}
		w, s := ruled(t, pods, redact(pods, nil, "data.password", "data.list[*].value"))
		o := object("shop", "a", "11", appliedAs(`{"data":`+applied+`}`), `,"data":`+data)
		if !json.Valid([]byte(o)) {
			return
		}
		w.observe(s, "+", o)
		got := w.records(pods)[0].Object
		var in, out struct {
			Metadata struct{ Annotations map[string]string }
			Data     any
		}
		if err := json.Unmarshal(got, &out); err != nil {
			t.Fatalf("redact %s: got %s: %v", o, got, err)
		}
		if json.Unmarshal([]byte(o), &in) != nil {
			return
		}
		check(t, in.Data, out.Data)
		const annotation = "kubectl.kubernetes.io/last-applied-configuration"
		before, after := in.Metadata.Annotations[annotation], out.Metadata.Annotations[annotation]
		var was, is struct{ Data any }
		if json.Unmarshal([]byte(before), &was) == nil && json.Unmarshal([]byte(after), &is) == nil {
			check(t, was.Data, is.Data)
		} else if !hash.MatchString(after) {
			t.Errorf("last-applied configuration %s: got %s, want a hash", before, after)
		}
	})
}

// check fails if a selected value is not hashed, or if another value changed.
func check(t *testing.T, in, out any) {
	t.Helper()
	was, ok := in.(map[string]any)
	is, _ := out.(map[string]any)
	if ok {
		for key, value := range was {
			switch key {
			case "password":
				checkHashed(t, value, is[key])
				delete(is, key)
			case "list":
				list, _ := value.([]any)
				after, _ := is[key].([]any)
				for i, e := range list {
					element, _ := e.(map[string]any)
					if value, has := element["value"]; has {
						changed, _ := after[i].(map[string]any)
						checkHashed(t, value, changed["value"])
						delete(changed, "value")
						delete(element, "value")
					}
				}
			}
		}
		delete(was, "password")
	}
	if !resembles(in, out) {
		before, _ := json.Marshal(in)
		after, _ := json.Marshal(out)
		t.Errorf("got %s, want %s", after, before)
	}
}

// resembles reports whether two values are equal, except for hashed strings and
// keys. Strings that contain a hidden value are hashed too.
func resembles(before, after any) bool {
	switch was := before.(type) {
	case string:
		is, ok := after.(string)
		return ok && (is == was || hash.FindString(is) == is)
	case []any:
		is, ok := after.([]any)
		ok = ok && len(is) == len(was)
		for i := 0; ok && i < len(was); i++ {
			ok = resembles(was[i], is[i])
		}
		return ok
	case map[string]any:
		is, ok := after.(map[string]any)
		ok = ok && len(is) == len(was)
		for key, value := range is {
			ok = ok && (hash.FindString(key) == key || resembles(was[key], value))
		}
		return ok
	}
	return reflect.DeepEqual(before, after)
}

// checkHashed fails if a value was not hashed. Null stays.
func checkHashed(t *testing.T, before, after any) {
	t.Helper()
	text, ok := after.(string)
	if before == nil && after == nil {
		return
	}
	if !ok || !hash.MatchString(text) {
		t.Errorf("value %v: got %v, want a hash", before, after)
	}
}
