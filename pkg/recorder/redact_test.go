package recorder_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// treasure is the value that must not appear anywhere. No other text compresses
// to it.
const treasure = "hunter2-Zk3vQ9xL0pWm"

func encoded(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// secret returns the JSON of a Secret with the given members and last-applied
// configuration.
func secret(rv, members, applied string) string {
	annotations := ""
	if applied != "" {
		annotations = fmt.Sprintf(`,"annotations":{"team":"shop",`+
			`"kubectl.kubernetes.io/last-applied-configuration":%s}`, applied)
	}
	return fmt.Sprintf(`{"kind":"Secret","apiVersion":"v1",`+
		`"metadata":{"name":"s","namespace":"shop","uid":"u1","resourceVersion":%q%s},%s"type":"Opaque"}`,
		rv, annotations, members)
}

func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// record records versions of Secrets and returns their records.
func record(t *testing.T, objects ...string) (*world, []*history.Record) {
	t.Helper()
	w := open(t, recorder.Options{}, nil)
	s := w.stream(secrets)
	w.feed(s, "sync", "end 1")
	for _, object := range objects {
		if err := s.Observe(t.Context(), watchEvent("+", object)); err != nil {
			t.Fatal(err)
		}
	}
	return w, w.records(secrets)
}

func TestSecret_ValuesAreNotOnDisk(t *testing.T) {
	applied := func(doc string) string { return quote(doc) }
	nested := `{"metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":` +
		quote(`{"data":{"p":"`+encoded(treasure)+`"}}`) + `}}}`
	objects := []string{
		`"data":{"p":"` + encoded(treasure) + `"},`,
		`"stringData":{"p":"` + treasure + `"},`,
		`"data":{"p":"not base64 ` + treasure + `"},`,
		`"data":{"p":{"deep":["` + treasure + `"]},"n":null,"b":true},`,
		`"data":"` + treasure + `",`,
		`"data":["` + treasure + `",{"p":"` + treasure + `"}],"Data":"` + treasure +
			`","data":{"data":{"p":"` + encoded(treasure) + `"}},`,
		`"immutable":"` + treasure + `","kind":"Secret",`,
		`"d\u0061ta":{"p":"` + encoded(treasure) + `"},`,
		`"data":{"p":"` + encoded(treasure) + `","p":"` + encoded(treasure) + `"},`,
		`"stringdata":{"p":"` + treasure + `"},"regarding":{"name":"` + treasure +
			`"},"type":{"p":"` + treasure + `"},`,
	}
	var all []string
	for i, members := range objects {
		all = append(all, secret(fmt.Sprint(10+i), members, ""))
	}
	for i, annotation := range []string{
		applied(`{"data":{"p":"` + encoded(treasure) + `"},"stringData":{"q":"` + treasure + `"}}`),
		applied(`{"data":{"p":"` + treasure),
		applied(`["` + treasure + `"]`),
		`{"p":"` + treasure + `"}`,
		applied(nested),
		applied(`{"Data":{"p":"` + treasure + `"},"kind":["` + treasure + `"]}`),
		applied(`{"immutable":"` + treasure + `","metadata":{"name":"s","labels":{"a":"b"},"data":{"p":"` +
			treasure + `"},"Name":"` + treasure + `"}}`),
		applied(`{"kind":"List","items":[{"data":{"p":"` + treasure + `"}}]}`),
		applied(`{"metadata":{"annotations":{"a":{"p":"` + treasure + `"},"b":["` + treasure + `"]}}}`),
	} {
		all = append(all, secret(fmt.Sprint(30+i), "", annotation))
	}
	for i, annotation := range []string{ // of tools other than kubectl
		`{"kind":"Secret","data":{"p":"` + encoded(treasure) + `"}}`, ` [{"data":"` + treasure + `"}]`,
		"H4sI" + treasure, "UEsDB" + treasure, `{"data":"` + treasure,
		"---\nstringData:\n  p: " + treasure, "apiVersion: v1\nstringData: {p: " + treasure + "}",
		"kind: Secret\ndata:\n  p: " + encoded(treasure),
		"eyJ" + treasure, "ewog" + treasure, "-----BEGIN PRIVATE KEY-----\n" + treasure,
	} {
		all = append(all, strings.Replace(secret(fmt.Sprint(50+i), "", quote(`{"a":{}}`)),
			`"team":"shop"`, `"example.com/original":`+quote(annotation), 1))
	}
	w, records := record(t, all...)
	if len(records) != len(all) {
		t.Fatalf("got %d records, want %d", len(records), len(all))
	}
	for _, r := range records {
		if !json.Valid(r.Object) || !bytes.Contains(r.Object, []byte("hmac-sha256:")) {
			t.Errorf("version %s: got %s, want valid JSON with a hash", r.RV, r.Object)
		}
		refuse(t, "version "+r.RV, r.Object)
	}
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	searchFiles(t, w.dir)
}

// refuse fails the test if the data contains the treasure in any form.
func refuse(t *testing.T, where string, data []byte) {
	t.Helper()
	for _, form := range []string{
		treasure, encoded(treasure), strings.TrimRight(encoded(treasure), "="), encoded(encoded(treasure)),
	} {
		if bytes.Contains(data, []byte(form)) {
			t.Errorf("%s: got data with %q, want none", where, form)
		}
	}
}

// searchFiles is refuse for all files in a directory.
func searchFiles(t *testing.T, dir string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		refuse(t, path, data)
		files++
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("got %d files and error %v, want some files", files, err)
	}
}

func TestHash_EqualForEqualValues(t *testing.T) {
	_, records := record(t,
		secret("10", `"data":{"p":"`+encoded(treasure)+`"},`, quote(`{"stringData":{"p":"`+treasure+`"}}`)),
		secret("11", `"data":{"p":"`+encoded("another")+`"},`, ""))
	var first, second struct {
		Metadata struct{ Annotations map[string]string }
		Data     map[string]string
	}
	decode(t, records[0], &first)
	decode(t, records[1], &second)
	hash := first.Data["p"]
	if len(hash) != len("hmac-sha256:")+32 || hash == second.Data["p"] {
		t.Errorf("got hashes %q and %q, want two different ones of 32 digits", hash, second.Data["p"])
	}
	want := `{"stringData":{"p":"` + hash + `"}}`
	if got := first.Metadata.Annotations["kubectl.kubernetes.io/last-applied-configuration"]; got != want {
		t.Errorf("last-applied configuration: got %s, want %s", got, want)
	}
}

func decode(t *testing.T, r *history.Record, into any) {
	t.Helper()
	if err := json.Unmarshal(r.Object, into); err != nil {
		t.Fatal(err)
	}
}

func TestHash_DependsOnKey(t *testing.T) {
	object := secret("10", `"data":{"p":"`+encoded(treasure)+`"},`, "")
	_, one := record(t, object)
	_, other := record(t, object)
	if bytes.Equal(one[0].Object, other[0].Object) {
		t.Errorf("got %s with both keys, want different hashes", one[0].Object)
	}
}

func TestSecret_KeepsEveryOtherByte(t *testing.T) {
	_, records := record(t,
		secret("10", `"data" : { "p" : "`+encoded(treasure)+`" , "q":"" } , "immutable": true, `, ""))
	got := string(records[0].Object)
	before, rest, _ := strings.Cut(got, `"hmac-sha256:`)
	after := rest[33:]
	if want := strings.TrimSuffix(secret("10", `"data" : { "p" : `, ""), `"type":"Opaque"}`); before != want {
		t.Errorf("before the value: got\n\t%s\nwant\n\t%s", before, want)
	}
	if !strings.HasPrefix(after, ` , "q":"hmac-sha256:`) ||
		!strings.HasSuffix(after, ` } , "immutable": true, "type":"Opaque"}`) {
		t.Errorf("after the value: got\n\t%s\nwant the bytes of the Secret", after)
	}
}

func TestSecret_LogsUnreadableLastAppliedWithoutContent(t *testing.T) {
	var logged bytes.Buffer
	w := open(t, recorder.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, nil)
	s := w.stream(secrets)
	w.feed(s, "sync")
	if err := s.Observe(t.Context(), watchEvent("+", secret("10", "", quote("{"+treasure)))); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(logged.String(), "level=ERROR") || !strings.Contains(logged.String(), "name=s") {
		t.Errorf("got log %q, want an error that names the Secret", logged.String())
	}
	refuse(t, "the log", logged.Bytes())
}

func TestSecret_ErrorDoesNotQuoteContent(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(secrets)
	w.feed(s, "sync")
	err := s.Observe(t.Context(), watchEvent("+", `{"metadata":{"name":"s","uid":"u"},"data":{"p":"`+treasure+`"`))
	if err == nil {
		t.Fatal("truncated Secret: got no error, want one")
	}
	refuse(t, "the error", []byte(err.Error()))
}

func TestSecret_RequiresKey(t *testing.T) {
	log, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	r := recorder.New(log, recorder.Options{})
	if _, err := r.Stream(t.Context(), secrets); err == nil {
		t.Error("stream of Secrets without a key: got no error, want one")
	}
	if _, err := r.Stream(t.Context(), pods); err != nil {
		t.Errorf("stream of pods without a key: got %v, want no error", err)
	}
}
