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

func redact(resource history.Resource, names []string, paths ...string) recorder.Rules {
	return recorder.Rules{Redact: []recorder.Redaction{{Resource: resource.GroupResource(), Paths: paths, Names: names}}}
}

// ruled returns a world whose recorder has the rules, and a stream of the resource that has been synced.
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
	if err := s.Observe(w.t.Context(), frame(sign, object)); err != nil {
		w.t.Fatal(err)
	}
}

// object returns a pod in a namespace with more members of metadata and of the object.
func object(namespace, name, rv, metadata, members string) string {
	return fmt.Sprintf(`{"kind":"Pod","apiVersion":"v1","metadata":{"name":%q,"namespace":%q,"uid":"u-%s","resourceVersion":%q%s}%s}`,
		name, namespace, name, rv, metadata, members)
}

func appliedAs(document string) string {
	return `,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":` + quote(document) + `,"team":"a<b"}`
}

func TestRedactedValuesAreNowhereOnDisk(t *testing.T) {
	env := func(value string) string {
		return `{"spec":{"containers":[{"name":"c","env":[{"name":"USER","value":"shop"},{"name":"PASSWORD","value":` + value + `}]}]}}`
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
		t.Fatalf("%d records", len(records))
	}
	for _, r := range records {
		if !json.Valid(r.Object) || !bytes.Contains(r.Object, []byte("hmac-sha256:")) {
			t.Errorf("%s is recorded as %s", r.Ref.Name, r.Object)
		}
		refuse(t, r.Ref.Name, r.Object)
	}
	for _, r := range records[:2] {
		if !bytes.Contains(r.Object, []byte(`"value":"shop"`)) {
			t.Errorf("a value of another name is redacted: %s", r.Object)
		}
	}
	if bytes.Contains(records[1].Object, []byte(`"team":"hmac`)) || !bytes.Contains(records[1].Object, []byte(`"team":"a<b"`)) {
		t.Errorf("another annotation was touched: %s", records[1].Object)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	searchFiles(t, w.dir)
}

// copies are places of a pod, or of anything with a pod template, that repeat a
// value which a rule hides at spec.env[*].value.
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
	"condition":        {"", `,"status":{"conditions":[{"type":"Ready","status":"False","reason":"Failed","message":%s}]}`},
	"manager":          {`,"managedFields":[{"manager":%s,"operation":"Update","time":"2026-01-02T03:04:05Z"}]`, ""},
	"data":             {"", `,"data":{"a":%s}`},
	"name of data":     {"", `,"data":{%s:"a"}`},
}

func TestRedact_HidesCopiesOfTheValue(t *testing.T) {
	w, s := ruled(t, pods, redact(pods, nil, "hidden[*].value"))
	var names []string
	for name, place := range copies {
		for _, form := range forms {
			names = append(names, name)
			text, rv := "a-"+form(treasure), fmt.Sprint(10+len(names))
			fill := func(s string) string { return put(strings.ReplaceAll(s, "%i", text), text) }
			w.observe(s, "~", object("shop", "a-"+rv, rv, fill(place.metadata), fill(place.members)+`,"hidden":[{"name":"P","value":"`+treasure+`"}]`))
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

// A copy of the object may have another value than the object has by now.
func TestRedact_HidesOtherValuesOfCopies(t *testing.T) {
	document := `{"hidden":[{"name":"P","value":"` + treasure + `"}],"plain":"seen"}`
	for name, text := range map[string]string{
		"json": document, "base64": encoded(document),
		"gzip": encoded(compress(document, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })),
	} {
		w, s := ruled(t, pods, redact(pods, nil, "hidden[*].value"))
		w.observe(s, "+", object("shop", "a", "10", `,"annotations":{"example.com/original":`+quote(text)+`}`, `,"hidden":[{"value":"by now"}]`))
		r := w.records(pods)[0]
		refuseForms(t, name, r.Object)
		got := annotationsOf(t, r)["example.com/original"]
		if name == "json" && !strings.Contains(got, `"plain":"seen"`) || name != "json" && hash.FindString(got) != got {
			t.Errorf("%s: recorded as %q, want its other fields as they are, or a hash", name, got)
		}
	}
}

// What objects are known by, and what only happens to have a short hidden value
// in it, stays as it is.
func TestRedact_KeepsWhatOnlyResemblesTheValue(t *testing.T) {
	for value, o := range map[string]string{
		"1":      object("shop", "a", "10", `,"annotations":{"deployment.kubernetes.io/revision":"1"}`, `,"status":{"phase":"1"},"hidden":[{"value":%s}]`),
		"8080":   object("shop", "a", "10", `,"labels":{"port":"8080"}`, `,"spec":{"port":"8080"},"hidden":[{"value":%s}]`),
		"true":   object("shop", "a", "10", `,"annotations":{"sidecar.istio.io/inject":"true"}`, `,"status":{"conditions":[{"status":"True"}]},"hidden":[{"value":%s}]`),
		"web":    object("shop", "a", "10", "", `,"spec":{"containers":[{"name":"web"}]},"hidden":[{"value":%s}]`),
		"web-v1": object("shop", "web-v1-7f", "10", `,"labels":{"app":"web-v1"}`, `,"spec":{"args":["web-v1"]},"hidden":[{"value":%s}]`),
		"postgres": object("shop", "a", "10", "", `,"spec":{"containers":[{"name":"postgres","image":"postgres:16","env":[{"name":"postgres"}]}]},`+
			`"hidden":[{"value":%s}]`),
	} {
		w, s := ruled(t, pods, redact(pods, nil, "hidden[*].value"))
		w.observe(s, "+", strings.ReplaceAll(o, "%s", quote(value)))
		got := hash.ReplaceAllString(string(w.records(pods)[0].Object), "HASH")
		if want := strings.ReplaceAll(o, "%s", `"HASH"`); got != want {
			t.Errorf("a hidden value %q: recorded\n\t%s\nwant\n\t%s", value, got, want)
		}
	}
}

func TestRedact_LeavesTheTargetOfEventsAlone(t *testing.T) {
	w, s := ruled(t, events, redact(events, nil, "message"))
	reference := `{"kind":"Pod","namespace":"shop","name":"` + treasure + `","fieldPath":"` + treasure + `"}`
	w.observe(s, "+", object("shop", "e", "10", "", `,"involvedObject":`+reference+`,"related":`+reference+`,"message":"`+treasure+`","note":"say `+treasure+`"`))
	r := w.records(events)[0]
	if r.Regarding == nil || r.Regarding.Name != treasure {
		t.Errorf("the Event regards %+v, want %s", r.Regarding, treasure)
	}
	if got := bytes.Count(r.Object, []byte(treasure)); got != 4 {
		t.Errorf("%d times in %s, want 4: in the references", got, r.Object)
	}
}

func TestRedactionTouchesNothingElse(t *testing.T) {
	w, s := ruled(t, pods, redact(pods, nil, "data.absent", "data[*].x"))
	for i, o := range []string{
		object("shop", "a", "10", appliedAs(`{"data" : {"a": "<&>"}, "n":null}`), ` , "data" : {"a":1, "b":null}`),
		object("shop", "b", "11", "", `,"data":{"a":{"x":null}}`),
		object("shop", "c", "12", "", `,"data":[1,"x",{}]`),
	} {
		w.observe(s, "+", o)
		records := w.records(pods)
		if got := string(records[i].Object); got != o {
			t.Errorf("recorded\n\t%s\nwant\n\t%s", got, o)
		}
		w.rule(redact(pods, nil, "data.absent", "data[*].x"))
		s = w.stream(pods)
	}
}

func TestRulesAreOfTheirResource(t *testing.T) {
	w, s := ruled(t, nodes, redact(pods, nil, "data[*]"))
	o := strings.Replace(object("", "n", "10", "", `,"data":{"a":"plain"}`), `"namespace":"",`, "", 1)
	w.observe(s, "+", o)
	if got := string(w.records(nodes)[0].Object); got != o {
		t.Errorf("a pods' rule made of a node %s", got)
	}
}

func TestRulesThatComeLaterHoldForInferredDeletions(t *testing.T) {
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
		t.Errorf("a hash was hashed again: %s became %s", records[1].Object, records[3].Object)
	}
}

func TestSetRulesRefuses(t *testing.T) {
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
			t.Errorf("%+v: %v, want an invalid error with %q", rules, err, want)
		}
	}
	if err := recorder.New(w.store, recorder.Options{}).SetRules(redact(pods, nil, "data[*]")); err == nil {
		t.Error("values would be hashed without a key")
	}
}

var hash = regexp.MustCompile(`hmac-sha256:[0-9a-f]{32}`)

// FuzzRedaction takes any data of an object and any data that was applied, and looks for a redacted value in what is recorded.
func FuzzRedaction(f *testing.F) {
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
			t.Fatalf("%s became %s: %v", o, got, err)
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
			t.Errorf("%s is no JSON and became %s", before, after)
		}
	})
}

// check fails where a value that should be redacted is not, or another one is not what it was.
func check(t *testing.T, in, out any) {
	t.Helper()
	was, ok := in.(map[string]any)
	is, _ := out.(map[string]any)
	if ok {
		for key, value := range was {
			switch key {
			case "password":
				redacted(t, value, is[key])
				delete(is, key)
			case "list":
				list, _ := value.([]any)
				after, _ := is[key].([]any)
				for i, e := range list {
					element, _ := e.(map[string]any)
					if value, has := element["value"]; has {
						changed, _ := after[i].(map[string]any)
						redacted(t, value, changed["value"])
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
		t.Errorf("%s became %s", before, after)
	}
}

// resembles reports whether a value is what it was but for strings and names
// that are hashed, as those are that contain a hidden value.
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

func redacted(t *testing.T, before, after any) {
	t.Helper()
	text, ok := after.(string)
	if before == nil && after == nil {
		return
	}
	if !ok || !hash.MatchString(text) {
		t.Errorf("%v was left as %v", before, after)
	}
}
