package report_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	xhtml "golang.org/x/net/html"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/internal/printable"
	"github.com/watchhistory/watchhistory/pkg/report"
)

var pages = flag.String("pages", "", "directory to which TestWriteHTML_Pages writes, for make test-browser")

// maxPage is the size that docs/report.md promises for 10,000 changes.
const maxPage = 2_000_000

// TestWriteHTML_Pages writes the pages that make test-browser opens: a recorded
// incident, one of 10,000 changes, and one whose texts are hostile. Each is
// small enough.
func TestWriteHTML_Pages(t *testing.T) {
	dir := *pages
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	deleted := gather(t, "deployment-deleted")
	deleted.Rules = []report.Rule{
		{Expression: `verb == "delete" && ` + strings.Repeat("object.metadata.", 20) + `name != "tmp"`, More: true},
		{Expression: "false"},
	}
	for i := range deleted.Deleted {
		deleted.Rules[0].Changes = append(deleted.Rules[0].Changes, deleted.Deleted[i].Event)
	}
	for name, r := range map[string]*report.Report{
		"incident": gather(t, "configmap-edited"), "gap": gather(t, "changed-in-gap"), "deleted": deleted,
		"large": generated(10_000), "hostile": attack(),
	} {
		page := page(t, r)
		if len(page) > maxPage {
			t.Errorf("%s: got %d bytes, want at most %d", name, len(page), maxPage)
		}
		t.Logf("%s: %d bytes", name, len(page))
		if err := os.WriteFile(filepath.Join(dir, name+".html"), []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// attack is a report with texts that try to become markup or scripts.
func attack() *report.Report {
	return hostile(`</script><script>document.title="hacked"</script><img src=x onerror='document.title="hacked"'>` +
		`<!-- & "&lt;b&gt; javascript:alert(1) 
` + "\x00\u2028\ue000")
}

// generated returns a report with changes of many workloads, each with a diff.
func generated(n int) *report.Report {
	rnd := rand.New(rand.NewPCG(1, 2))
	r := gatherEmpty()
	writers := []v1.Writer{
		{Name: "kubectl-edit", Short: "kubectl edit", Class: "person"},
		{Name: "argocd-controller", Short: "argocd-controller", Class: "automation"},
		{Name: "helm", Short: "helm", Class: "automation"},
		{Name: "kube-controller-manager", Short: "kcm", Class: "system"},
	}
	for i := range n {
		at := r.Start.Add(time.Duration(i) * r.End.Sub(r.Start) / time.Duration(n))
		app := fmt.Sprintf("service-%d", rnd.IntN(400))
		from, to := rnd.IntN(1<<30), rnd.IntN(1<<30)
		w := writers[rnd.IntN(len(writers))]
		e := v1.Event{
			Timestamp: at, Verb: "update", Namespace: fmt.Sprintf("team-%d", rnd.IntN(12)), ResourceType: "deployments",
			Group: "apps", Kind: "Deployment", ResourceName: app, UID: app, Revision: uint64(rnd.IntN(900) + 2),
			Summary: fmt.Sprintf("image app 1.%d → 1.%d", from%50, to%50), Managers: []v1.Manager{{Manager: w.Name}},
		}
		after := rnd.Float64() * 90
		state := []string{"ready", "ready", "ready", "failing", "progressing"}[rnd.IntN(5)]
		row := v1.Row{
			Kind: "change", Start: at, End: at, Objects: 1, Summary: e.Summary, Writers: []v1.Writer{w},
			Object: v1.Object{
				Group: "apps", ResourceType: "deployments", Kind: "Deployment", Namespace: e.Namespace, Name: app,
				UID: app,
			},
			Changes: []v1.Event{e}, Outcome: &v1.Outcome{State: state, Text: "3/3 ready", AfterSeconds: &after},
			Consequences: rnd.IntN(40),
		}
		r.Rows = append(r.Rows, report.Row{Row: row, Diffs: map[int]string{0: fmt.Sprintf(
			"  spec.containers[name=app]\n-   image: example/%s@sha256:%x\n+   image: example/%s@sha256:%x",
			app, from, app, to)}})
		if i%10 == 0 {
			r.Series.Warnings = append(r.Series.Warnings, report.Mark{Time: at, Text: "BackOff: pod " + app})
			r.Series.Unready = append(r.Series.Unready, report.Level{Time: at, N: rnd.IntN(30)})
		}
	}
	return r
}

// gatherEmpty returns a report of six hours without changes.
func gatherEmpty() *report.Report {
	return &report.Report{
		Title: "What changed in all namespaces", Start: now.Add(-6 * time.Hour), End: now, Location: time.UTC,
	}
}

// TestWriteHTML_FitsWithLargeDiffs checks that diffs, and then rows, are left
// out of a page that would be too large, and that the page names them.
func TestWriteHTML_FitsWithLargeDiffs(t *testing.T) {
	r := generated(400)
	rnd := rand.New(rand.NewPCG(3, 4))
	noise := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('a' + rnd.IntN(26))
		}
		return string(b)
	}
	for i := range r.Rows {
		r.Rows[i].Diffs[0] = "+ " + noise(8_000)
	}
	r.Deleted = []report.Deleted{{Event: r.Rows[0].Changes[0], Manifest: json.RawMessage(`"` + noise(200_000) + `"`)}}
	got := page(t, r)
	if len(got) > maxPage {
		t.Errorf("with large diffs: got %d bytes, want at most %d", len(got), maxPage)
	}
	d := decode(t, got)
	if len(d.Rows) != 400 || len(d.LeftOut) != 1 || !strings.Contains(d.LeftOut[0], "without the diff") {
		t.Errorf("with large diffs: got %d rows and %q left out, want 400 without some diffs",
			len(d.Rows), d.LeftOut)
	}
	for i := range r.Rows {
		r.Rows[i].Summary = noise(8_000)
	}
	got = page(t, r)
	if len(got) > maxPage {
		t.Errorf("with large rows: got %d bytes, want at most %d", len(got), maxPage)
	}
	d = decode(t, got)
	leftOut := strings.Join(d.LeftOut, " ")
	if len(d.Rows) >= 400 || len(d.Rows) == 0 || !strings.Contains(leftOut, "older rows of changes") {
		t.Errorf("with large rows: got %d rows and %q left out, want fewer rows", len(d.Rows), d.LeftOut)
	}
}

// TestWriteHTML_BeginsWithWhatIsNotRecorded checks that the data begins with
// it.
func TestWriteHTML_BeginsWithWhatIsNotRecorded(t *testing.T) {
	got := decode(t, page(t, gather(t, "changed-in-gap")))
	if !strings.HasPrefix(got.text, `{"coverage":[["Recording began`) || !strings.Contains(got.text, `["Gap: `) {
		t.Errorf("got data that begins with %.200s, want the gaps", got.text)
	}
}

// TestWriteHTML_HasTheSameNumbersAsMarkdown compares the two formats.
func TestWriteHTML_HasTheSameNumbersAsMarkdown(t *testing.T) {
	r := gather(t, "configmap-edited")
	got := decode(t, page(t, r))
	text := markdown(t, r)
	if len(got.Rows) != len(r.Rows) || len(r.Rows) == 0 {
		t.Errorf("got %d rows, want %d", len(got.Rows), len(r.Rows))
	}
	if want := strings.NewReplacer("(", "&#40;", ")", "&#41;").Replace(got.Totals); !strings.Contains(text, want) {
		t.Errorf("got the totals %q, want those in:\n%.300s", got.Totals, text)
	}
}

// TestWriteHTML_LoadsNothing checks that a page refers to no other file, and
// that its policy allows only its own script and style sheet.
func TestWriteHTML_LoadsNothing(t *testing.T) {
	got := page(t, attack())
	elements, texts := htmlElements(t, got)
	for _, name := range []string{"script", "style"} {
		for _, text := range texts[name] {
			hash := sha256.Sum256([]byte(text))
			want := name + "-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"
			if !strings.Contains(got, want) {
				t.Errorf("got a page whose policy lacks %s, want the hash of its %s", want, name)
			}
		}
	}
	for _, want := range []string{"default-src 'none';", "base-uri 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(got, want) {
			t.Errorf("got a policy without %q, want it", want)
		}
	}
	if strings.Contains(got, "unsafe-") {
		t.Error("got a policy with an unsafe source, want none")
	}
	for _, e := range elements {
		loads := regexp.MustCompile(` (src|style|on\w+)=`).MatchString(e)
		if loads || strings.Contains(e, "href=") && !strings.Contains(e, `"data:,"`) {
			t.Errorf("got the element %s, want none that loads or runs something", e)
		}
	}
}

// TestWriteHTML_KeepsTextAsText checks that no field becomes markup.
func TestWriteHTML_KeepsTextAsText(t *testing.T) {
	for _, text := range hostiles {
		checkHTML(t, text)
	}
}

// FuzzWriteHTML is TestWriteHTML_KeepsTextAsText for any text.
func FuzzWriteHTML(f *testing.F) {
	for _, text := range hostiles {
		f.Add(text)
	}
	f.Fuzz(checkHTML)
}

// checkHTML compares the elements of a page with those of one whose texts are a
// word, and reads the text back from the data.
func checkHTML(t *testing.T, text string) {
	t.Helper()
	line := printable.Line(text)
	if line == "" {
		return
	}
	got := page(t, hostile(text))
	elements, _ := htmlElements(t, got)
	want, _ := htmlElements(t, page(t, hostile("word")))
	if diff := cmp.Diff(want, elements); diff != "" {
		t.Errorf("%+q: got other elements (-want +got):\n%s", text, diff)
	}
	d := decode(t, got)
	if d.Title != line || len(d.Rows) != 2 || len(d.Rows[0].Changes) != 2 || d.Rows[0].Changes[0].Text != line {
		t.Errorf("%+q: got the title %q and the rows %+v, want the text in them", text, d.Title, d.Rows)
	}
}

// htmlElements returns the tags of a page, and the texts in elements of each
// name. The data is not a script.
func htmlElements(t *testing.T, page string) (tags []string, texts map[string][]string) {
	t.Helper()
	texts = map[string][]string{}
	in := ""
	for z := xhtml.NewTokenizer(strings.NewReader(page)); ; {
		switch kind := z.Next(); kind {
		case xhtml.ErrorToken:
			return tags, texts
		case xhtml.TextToken:
			text := string(z.Raw())
			texts[in] = append(texts[in], text)
		default:
			token := z.Token()
			in = ""
			if kind == xhtml.StartTagToken {
				in = token.Data
				if slices.Contains(token.Attr, xhtml.Attribute{Key: "id", Val: "data"}) {
					in = "data"
				}
			}
			tags = append(tags, token.String())
		}
	}
}

// decoded is a part of the data of a page.
type decoded struct {
	Title, Totals string
	LeftOut       []string
	Rows          []struct {
		Changes []struct{ Text, Diff string }
	}

	text string
}

// decode returns the data of a page.
func decode(t *testing.T, page string) (d decoded) {
	t.Helper()
	_, after, _ := strings.Cut(page, `id="data">`)
	packed, _, _ := strings.Cut(after, "<")
	data, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(z); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	d.text = text.String()
	return d
}

// page returns a report as a page.
func page(t *testing.T, r *report.Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := report.WriteHTML(&out, r); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
