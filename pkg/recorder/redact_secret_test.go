package recorder_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// forms are encodings in which a value may be found.
var forms = map[string]func(string) string{
	"plain":         func(s string) string { return s },
	"base64":        encoded,
	"base64url":     func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte("-" + s)) },
	"double base64": func(s string) string { return encoded("x" + encoded("yz"+s)) },
	"hex":           func(s string) string { return hex.EncodeToString([]byte(s)) },
	"url":           func(s string) string { return "p=" + url.QueryEscape(s) },
	"gzip": func(s string) string {
		return encoded(compress(s, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }))
	},
	"zlib": func(s string) string {
		return encoded(compress(s, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }))
	},
}

func compress(s string, with func(io.Writer) io.WriteCloser) string {
	var b bytes.Buffer
	w := with(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

// meta returns the JSON of a Secret with a value in data and a name. More
// members of the metadata and of the object have a comma in front.
func meta(name, rv, value, metadata, members string) string {
	return fmt.Sprintf(`{"kind":"Secret","apiVersion":"v1",`+
		`"metadata":{"name":%q,"namespace":"shop","uid":"u-%s","resourceVersion":%q%s},`+
		`"data":{"password":%s}%s}`, name, name, rv, metadata, quote(encoded(value)), members)
}

func annotated(key, text string) string {
	return fmt.Sprintf(`,"annotations":{%s:%s}`, quote(key), quote(text))
}

// refuseForms fails the test if the data contains the treasure in any encoding.
func refuseForms(t *testing.T, where string, data []byte) {
	t.Helper()
	for name, form := range forms {
		if text := strings.TrimRight(form(treasure), "="); bytes.Contains(data, []byte(text)) {
			t.Errorf("%s: got %q, which is %q as %s; want a hash", where, text, treasure, name)
		}
	}
}

// TestSecret_HashesEveryAnnotation has annotations whose formats are not
// recognised by their beginnings.
func TestSecret_HashesEveryAnnotation(t *testing.T) {
	b64 := encoded(treasure)
	zipped := func(s string) string {
		return compress(s, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	}
	annotations := map[string]string{
		"yaml list":        "- type: test\n  value: {password: " + b64 + "}\n",
		"yaml comment":     "# made by a tool\nkind: Secret\nstringData: {p: " + treasure + "}",
		"yaml quoted key":  "\"kind\": Secret\n\"stringData\": {p: " + treasure + "}",
		"yaml directive":   "%YAML 1.2\n---\nstringData: {p: " + treasure + "}",
		"yaml data":        "data: {p: " + b64 + "}",
		"yaml stringData":  "stringData:\n  p: " + treasure,
		"yaml metadata":    "metadata: {name: s}\nstringData: {p: " + treasure + "}",
		"json with a BOM":  "\ufeff" + `{"stringData":{"p":"` + treasure + `"}}`,
		"json string":      quote(`{"stringData":{"p":"` + treasure + `"}}`),
		"base64 of space":  encoded("  \n" + `{"stringData":{"p":"` + treasure + `"}}`),
		"base64 of a list": encoded(`[{"stringData":{"p":"` + treasure + `"}}]`),
		"base64 of yaml":   encoded("apiVersion: v1\nstringData: {p: " + treasure + "}"),
		"base64 of zlib": encoded(compress(treasure, func(w io.Writer) io.WriteCloser {
			return zlib.NewWriter(w)
		})),
		"double base64 of gzip":  encoded(encoded(zipped(treasure))),
		"plain":                  treasure,
		"command line":           `patch secret s -p {"stringData":{"p":"` + treasure + `"}}`,
		"half of it":             treasure[:len(treasure)/2],
		"reversed":               "mWp0Lx9Qv3kZ-2retnuh",
		"an older value":         "kept-since-long-ago-4711",
		"a PIN":                  "4711",
		"xml":                    "<secret p='" + treasure + "'/>",
		"toml":                   "[secret]\np = '" + treasure + "'",
		"an armoured message":    "-----BEGIN PGP MESSAGE-----\n\n" + b64 + "\n-----END PGP MESSAGE-----",
		"an email with a base64": "Content-Transfer-Encoding: base64\r\n\r\n" + b64,
	}
	names := slices.Sorted(maps.Keys(annotations))
	var objects []string
	for i, name := range names {
		objects = append(objects,
			meta("s", fmt.Sprint(10+i), treasure, annotated("example.com/original", annotations[name]), ""))
	}
	_, records := record(t, objects...)
	if len(records) != len(names) {
		t.Fatalf("got %d records, want %d", len(records), len(names))
	}
	for i, r := range records {
		if got := annotationsOf(t, r)["example.com/original"]; hash.FindString(got) != got {
			t.Errorf("%s: got %q, want a hash", names[i], got)
		}
		refuseForms(t, names[i], r.Object)
	}
}

func annotationsOf(t *testing.T, r *history.Record) map[string]string {
	t.Helper()
	var object struct {
		Metadata struct{ Annotations map[string]string }
	}
	decode(t, r, &object)
	return object.Metadata.Annotations
}

func TestSecret_KeepsAllowedAnnotations(t *testing.T) {
	all := map[string]string{}
	for i, key := range recorder.DefaultSecretAnnotations() {
		all[key] = fmt.Sprintf("web:apps/Deployment:shop/web-%d", i)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	_, records := record(t, meta("s", "10", treasure, `,"annotations":`+string(text), ""))
	if diff := cmp.Diff(all, annotationsOf(t, records[0])); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
}

func TestSecret_HashesAllowedAnnotationsWithValues(t *testing.T) {
	const allowed = "meta.helm.sh/release-name"
	for name, text := range map[string]string{
		"json": `{"p":"x"}`, "two words": "my release", "quotes": `"web"`,
		"long": strings.Repeat("a", 600), "letters beyond ASCII": "größe",
	} {
		_, records := record(t, meta("s", "10", treasure, annotated(allowed, text), ""))
		if got := annotationsOf(t, records[0])[allowed]; hash.FindString(got) != got {
			t.Errorf("%s: got %q, want a hash", name, got)
		}
	}
	for name, form := range forms {
		_, records := record(t, meta("s", "10", treasure, annotated(allowed, "web-"+form(treasure)), ""))
		if got := annotationsOf(t, records[0])[allowed]; hash.FindString(got) != got {
			t.Errorf("%s: got %q, want a hash", name, got)
		}
	}
}

func TestSecret_AllowsAnnotationsOfRules(t *testing.T) {
	w, s := ruled(t, secrets, recorder.Rules{SecretAnnotations: []string{"example.com/team"}})
	both := `,"annotations":{"example.com/team":"shop-team","meta.helm.sh/release-name":"web"}`
	w.observe(s, "+", meta("s", "10", treasure, both, ""))
	w.rule(recorder.Rules{SecretAnnotations: []string{}})
	w.observe(s, "~", meta("s", "11", treasure, both, ""))
	records := w.records(secrets)
	first, second := annotationsOf(t, records[0]), annotationsOf(t, records[1])
	if got := first["example.com/team"]; got != "shop-team" {
		t.Errorf("allowed annotation: got %q, want %q", got, "shop-team")
	}
	if got := first["meta.helm.sh/release-name"]; hash.FindString(got) != got {
		t.Errorf("annotation that is not allowed: got %q, want a hash", got)
	}
	if got := second["example.com/team"]; hash.FindString(got) != got {
		t.Errorf("no allowed annotations: got %q, want a hash", got)
	}
}

func TestSetRules_RejectsInvalidSecretAnnotations(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	for _, key := range []string{
		"", "a b", "example.com/", "a/b/c", "*", "kubectl.kubernetes.io/last-applied-configuration",
	} {
		err := w.SetRules(recorder.Rules{SecretAnnotations: []string{key}})
		if history.CodeOf(err) != history.Invalid {
			t.Errorf("annotation %q: got error %v, want an Invalid error", key, err)
		}
	}
}

// places are where a string of a Secret is stored unless it contains a value.
// %s is the string, %q the string quoted twice.
var places = map[string]struct{ metadata, members string }{
	"label":              {`,"labels":{"pw":%s}`, ""},
	"name of a label":    {`,"labels":{%s:"on"}`, ""},
	"name of annotation": {`,"annotations":{%s:"on"}`, ""},
	"finalizer":          {`,"finalizers":["example.com/f",%s]`, ""},
	"owner's name":       {`,"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":%s,"uid":"u-1"}]`, ""},
	"owner's UID":        {`,"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"p","uid":%s}]`, ""},
	"owner's kind":       {`,"ownerReferences":[{"apiVersion":"v1","kind":%s,"name":"p","uid":"u-1"}]`, ""},
	"generateName":       {`,"generateName":%s`, ""},
	"selfLink":           {`,"selfLink":%s`, ""},
	"creationTimestamp":  {`,"creationTimestamp":%s`, ""},
	"unknown metadata":   {`,"clusterName":%s`, ""},
	"unknown deep":       {`,"hints":{"a":[%s]}`, ""},
	"unknown name":       {`,"hints":{%s:1}`, ""},
	"manager": {
		`,"managedFields":[{"manager":%s,"operation":"Update","time":"2026-01-02T03:04:05Z","fieldsV1":{"f:data":{}}}]`,
		"",
	},
	"subresource": {
		`,"managedFields":[{"manager":"m","operation":"Update","subresource":%s,"time":"2026-01-02T03:04:05Z"}]`, "",
	},
	"managed key": {
		`,"managedFields":[{"manager":"m","operation":"Update","fieldsV1":{"f:data":{%s:{}}}}]`, "",
	},
	"type":               {"", `,"type":%s`},
	"name of data":       {"", `,"stringData":{%s:"x"}`},
	"name of a field":    {"", `,%s:"x"`},
	"kind again":         {"", `,"kind":%s`},
	"apiVersion again":   {"", `,"apiVersion":%s`},
	"status":             {"", `,"status":{"conditions":[{"message":%s}]}`},
	"immutable":          {"", `,"immutable":%s`},
	"applied label":      {applied(`{"metadata":{"labels":{"a":%s}}}`), ""},
	"applied label name": {applied(`{"metadata":{"labels":{%s:"a"}}}`), ""},
	"applied annotation": {applied(`{"metadata":{"annotations":{"meta.helm.sh/release-name":%s}}}`), ""},
	"applied name":       {applied(`{"metadata":{"name":%s}}`), ""},
	"applied namespace":  {applied(`{"metadata":{"namespace":%s}}`), ""},
	"applied finalizers": {applied(`{"metadata":{"finalizers":[%s]}}`), ""},
	"applied owner":      {applied(`{"metadata":{"ownerReferences":[{"uid":%s}]}}`), ""},
	"applied kind":       {applied(`{"kind":%s}`), ""},
	"applied type":       {applied(`{"type":%s}`), ""},
	"applied data name":  {applied(`{"data":{%s:"eA=="}}`), ""},
	"applied field":      {applied(`{%s:"x"}`), ""},
	"applied again": {
		applied(`{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":%s}}}`), "",
	},
	"applied list":        {applied(`[%s]`), ""},
	"applied string":      {applied(`%s`), ""},
	"applied string data": {applied(`{"stringData":{"p":%s}}`), ""},
}

// applied returns metadata with a last-applied configuration. The %s in the
// document is quoted twice.
func applied(document string) string {
	before, after, _ := strings.Cut(document, "%s")
	inner := func(s string) string { return strings.Trim(quote(s), `"`) }
	if before == "" {
		return `,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":%s}`
	}
	_, end, _ := strings.Cut(quote("x"+after), "x")
	return `,"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"` +
		strings.TrimSuffix(quote(before), `"`)[1:] + "%q" + inner("") + end + "}"
}

// put inserts a string into a place.
func put(place, text string) string {
	text = quote(text)
	quoted := strings.TrimSuffix(strings.TrimPrefix(quote(text), `"`), `"`)
	// One pass: the text may contain a placeholder.
	return strings.NewReplacer("%q", quoted, "%s", text).Replace(place)
}

func TestSecret_HashesStringsWithValues(t *testing.T) {
	var names, objects []string
	for name, place := range places {
		for _, form := range forms {
			for _, text := range []string{
				form(treasure), "f:" + form(treasure), "a." + form("b-"+treasure+"-c") + ".d",
			} {
				names = append(names, name)
				rv := fmt.Sprint(10 + len(names))
				objects = append(objects,
					meta("s-"+rv, rv, treasure, put(place.metadata, text), put(place.members, text)))
			}
		}
	}
	_, records := record(t, objects...)
	if len(records) != len(objects) {
		t.Fatalf("got %d records, want %d", len(records), len(objects))
	}
	for i, r := range records {
		all, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		refuseForms(t, names[i], append(all, r.Object...))
	}
}

// The same strings are kept in a Secret that has other values.
func TestSecret_KeepsStringsWithoutValues(t *testing.T) {
	for _, name := range []string{
		"label", "name of a label", "name of annotation", "finalizer", "owner's name", "owner's UID",
		"generateName", "type", "name of data", "applied label",
		"applied data name",
	} {
		place := places[name]
		_, records := record(t, meta("s", "10", "another-"+treasure, put(place.metadata, "shop.example-7"),
			put(place.members, "shop.example-7")))
		if !bytes.Contains(records[0].Object, []byte("shop.example-7")) {
			t.Errorf("%s: got %s, want it to contain shop.example-7", name, records[0].Object)
		}
	}
}

// Well-known names of fields, types and keys are stored even if they contain a
// value. A hash in their place would reveal that they do.
func TestSecret_KeepsWellKnownStrings(t *testing.T) {
	for _, value := range []string{
		"password", "data", "metadata", "Opaque", "name", "labels", "Secret", "Update", "release-name", "app",
	} {
		object := meta("s", "10", value, `,"labels":{"app":"x"},"annotations":{"meta.helm.sh/release-name":"y"},`+
			`"managedFields":[{"manager":"m","operation":"Update","time":"2026-01-02T03:04:05Z",`+
			`"fieldsV1":{"f:data":{"f:password":{}}}}]`, `,"type":"Opaque"`)
		_, records := record(t, object)
		want := hash.ReplaceAllString(string(records[0].Object), "HASH")
		got := strings.Replace(object, quote(encoded(value)), `"HASH"`, 1)
		before, rest, _ := strings.Cut(got, `,"managedFields"`)
		_, after, _ := strings.Cut(rest, "}]")
		if got = before + after; got != want {
			t.Errorf("value %q: got\n\t%s\nwant\n\t%s", value, want, got)
		}
	}
}

func TestSecret_FindsContentOfEncodedValues(t *testing.T) {
	for name, value := range map[string]string{
		"a line break at the end": treasure + "\n",
		"base64":                  encoded(treasure),
		"hexadecimal":             hex.EncodeToString([]byte(treasure)),
		"docker configuration":    `{"auths":{"ghcr.io":{"username":"robot","password":"` + treasure + `"}}}`,
		"docker authentication":   `{"auths":{"ghcr.io":{"auth":"` + treasure + `"}}}`,
	} {
		_, records := record(t, meta("s", "10", value, `,"labels":{"pw":"`+treasure+`"}`, ""))
		refuseForms(t, name, records[0].Object)
	}
}

func TestSecret_FindsShortValuesAsWholeString(t *testing.T) {
	for _, value := range []string{"7", "42", "123"} {
		_, records := record(t, meta("s", "10", value, `,"labels":{"pin":"`+value+`","port":"`+value+`0"}`, ""))
		var object struct {
			Metadata struct{ Labels map[string]string }
		}
		decode(t, records[0], &object)
		if got := object.Metadata.Labels["pin"]; hash.FindString(got) != got {
			t.Errorf("label that equals the value %q: got %q, want a hash", value, got)
		}
		if got := object.Metadata.Labels["port"]; got != value+"0" {
			t.Errorf("label that begins with the value %q: got %q, want %q", value, got, value+"0")
		}
	}
}

// A value that was replaced is still secret: strings that were hashed because
// of it stay hashed as long as they exist.
func TestSecret_HashesValuesOfPreviousVersion(t *testing.T) {
	for name, memory := range map[string]int{"from the cache": 0, "from the log": 1} {
		t.Run(name, func(t *testing.T) {
			w := open(t, recorder.Options{Memory: memory}, nil)
			s := w.stream(secrets)
			w.feed(s, "sync", "end 1")
			labels := `,"labels":{"pw":"` + treasure + `","more":"x-` + treasure +
				`"},"managedFields":[{"manager":"` + treasure + `","operation":"Update"}]`
			w.observe(s, "+", meta("s", "10", treasure, "", ""))
			w.observe(s, "~", meta("s", "11", treasure, labels, ""))
			w.observe(s, "~", meta("s", "12", "rotated-1", labels, ""))
			w.observe(s, "~", meta("s", "13", "rotated-2", labels, ""))
			w.observe(s, "-", meta("s", "14", "rotated-3", labels, ""))
			w.observe(s, "+", meta("t", "15", treasure, "", ""))
			// The label has the value of the previous version.
			w.observe(s, "~", meta("t", "16", "rotated", `,"labels":{"pw":"`+treasure+`"}`, ""))
			records := w.records(secrets)
			if len(records) != 7 {
				t.Fatalf("got %d records, want 7", len(records))
			}
			for _, r := range records {
				all, err := json.Marshal(r)
				if err != nil {
					t.Fatal(err)
				}
				refuseForms(t, r.Ref.Name+"@"+r.RV, append(all, r.Object...))
			}
		})
	}
}

// Values that an older recorder stored are hashed in the record of a deletion
// that is inferred today.
func TestSecret_InferredDeletionIsRedactedAgain(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.old(secrets, meta("s", "10", "", annotated("example.com/original", "stringData: {p: "+treasure+"}"), ""))
	w.restart()
	s := w.stream(secrets)
	w.feed(s, "sync", "end 20")
	records := w.records(secrets)
	expect(t, records, "create s/u-s@10", "delete s/u-s@10 inferred")
	refuse(t, "the deletion", records[1].Object)
}

// old stores an object as a recorder without redaction did.
func (w *world) old(resource history.Resource, object string) {
	w.t.Helper()
	err := w.store.Register(w.t.Context(), resource)
	if err != nil {
		w.t.Fatal(err)
	}
	r := &history.Record{
		Ref: history.ObjectRef{
			Group: resource.Group, Resource: resource.Plural, Namespace: "shop", Name: "s", UID: "u-s",
		},
		Version: "v1", Kind: resource.Kind, Verb: history.Create, RV: "10", Object: []byte(object),
	}
	if err := w.store.Append(w.t.Context(), &history.Batch{Versions: []history.NewVersion{{Record: r}}}); err != nil {
		w.t.Fatal(err)
	}
}

// The cost of a hostile Secret is bounded. Without a bound, the test would not
// end.
func TestSecret_CostIsBounded(t *testing.T) {
	var data, labels strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&data, `"key-%d":"%s",`, i, encoded(fmt.Sprintf("aaaa%d-%s", i, strings.Repeat("a", 50))))
		fmt.Fprintf(&labels, `"l%d":"%s",`, i, strings.Repeat("aaaa", 15))
	}
	object := meta("s", "10", treasure, `,"labels":{`+labels.String()+`"pw":"`+treasure+`"}`,
		`,"data":{`+data.String()+`"x":"eA=="}`)
	_, records := record(t, object, strings.Replace(object, `"resourceVersion":"10"`, `"resourceVersion":"11"`, 1))
	for _, r := range records {
		refuseForms(t, r.RV, r.Object)
	}
}
