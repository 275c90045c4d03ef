package recorder_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// documentWorld is a world whose clock the test sets.
type documentWorld struct {
	*world
	clock     time.Time
	documents *recorder.Documents
}

func openDocuments(t *testing.T, wrap func(recorder.Log) recorder.Log) *documentWorld {
	t.Helper()
	d := &documentWorld{clock: time.Now().UTC().Truncate(24 * time.Hour).Add(-240 * time.Hour)}
	now := func() time.Time { return d.clock }
	d.world = &world{t: t, dir: t.TempDir(), wrap: wrap, now: now, opts: recorder.Options{Now: now}}
	d.start()
	t.Cleanup(func() { _ = d.close() })
	d.documents = d.Documents()
	return d
}

// again restarts the recorder.
func (d *documentWorld) again() {
	d.t.Helper()
	d.restart()
	d.documents = d.Documents()
}

// tick advances the clock, and returns the new time.
func (d *documentWorld) tick(by time.Duration) time.Time {
	d.clock = d.clock.Add(by)
	return d.clock
}

// read reads documents. Each is "name=content", "name" (unchanged), or "!path"
// (unread).
func (d *documentWorld) read(documents ...string) {
	d.t.Helper()
	if err := d.tryRead(d.tick(time.Minute), documents...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *documentWorld) tryRead(at time.Time, documents ...string) error {
	ctx := d.t.Context()
	if err := d.documents.Begin(ctx, at, gap.Cause{}); err != nil {
		return err
	}
	d.tick(time.Second)
	for _, document := range documents {
		name, content, changed := strings.Cut(document, "=")
		path, failed := strings.CutPrefix(name, "!")
		switch {
		case failed:
			d.documents.Unread(path, gap.Cause{Reason: history.GapServerError, Detail: "down"})
		case !changed:
			d.documents.Unchanged(name)
		default:
			if err := d.documents.Observe(ctx, name, "hash of "+content, []byte(content)); err != nil {
				return err
			}
		}
	}
	return d.documents.End(ctx)
}

// versions returns the records of a reserved resource, as lines: the verb, the
// name, the content, and the interval in minutes since a time.
func (d *documentWorld) versions(log scanner, r schema.GroupResource, since time.Time) (list []string) {
	d.t.Helper()
	scan := history.Scan{Bodies: true}
	scan.Resources = append(scan.Resources, r)
	for record, err := range log.Scan(d.t.Context(), scan) {
		if err != nil {
			d.t.Fatal(err)
		}
		line := fmt.Sprintf("%s %s", record.Verb, record.Ref.Name)
		if record.Verb != history.Delete {
			content, err := history.DecodeDocument(record.Ref.Name, record.Object)
			if err != nil {
				d.t.Fatal(err)
			}
			line += " " + string(content)
		}
		if record.Initial {
			line += " initial"
		}
		if !record.InferredSince.IsZero() {
			line += fmt.Sprintf(" %.0f-%.0f",
				record.InferredSince.Sub(since).Minutes(), record.Time.Sub(since).Minutes())
		}
		list = append(list, line)
	}
	return list
}

// scanner is the part of a log that versions reads.
type scanner interface {
	Scan(ctx context.Context, sc history.Scan) iter.Seq2[*history.Record, error]
}

func expectLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got\n\t%s\nwant\n\t%s", what, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestDocuments_RecordChangesWithTheirIntervals(t *testing.T) {
	d := openDocuments(t, nil)
	begin := d.clock
	d.read(`version={"v":1}`, `apis/a/v1={"r":["x"]}`)
	d.read(`version={"v":1}`, `apis/a/v1={"r":["x"]}`) // nothing changed
	if got, want := d.documents.ServerHash("version"), `hash of {"v":1}`; got != want {
		t.Errorf("hash of the server: got %q, want %q", got, want)
	}
	d.read(`version={"v":2}`, "apis/a/v1", `apis/b/v1={}`)
	d.read("version", `apis/b/v1={}`)
	d.read("version", `apis/a/v1={"r":["x"]}`, "apis/b/v1")
	want := []string{
		`create version {"v":1} initial`, `create apis/a/v1 {"r":["x"]} initial`,
		`update version {"v":2} 2-3`, `create apis/b/v1 {} 2-3`, `delete apis/a/v1 3-4`,
		`create apis/a/v1 {"r":["x"]} 4-5`,
	}
	expectLines(t, "versions", d.versions(d.store, history.Documents(), begin), want...)
	if gaps := d.gaps(); len(gaps) > 0 {
		t.Errorf("gaps: got %+v, want none", gaps)
	}

	d.again()
	if err := d.documents.Begin(t.Context(), d.tick(0), gap.Cause{}); err != nil {
		t.Fatal(err)
	}
	if got, want := d.documents.ServerHash("version"), `hash of {"v":2}`; got != want {
		t.Errorf("hash of the server after a restart: got %q, want %q", got, want)
	}
	last := begin.Add(5 * time.Minute)
	d.tick(10 * time.Minute)
	d.read("version", `apis/a/v1={"r":["x"]}`, `apis/b/v1={}`)
	expectLines(t, "versions after a restart", d.versions(d.store, history.Documents(), begin), want...)
	gaps := d.gaps()
	if len(gaps) != 1 || gaps[0].Reason != history.GapRestarted || gaps[0].Start.Sub(last).Abs() > 10*time.Second ||
		gaps[0].End.Before(last.Add(11*time.Minute)) {
		t.Errorf("gaps after a restart: got %+v, want one from %s for 11 minutes", gaps, last)
	}
	d.tick(20 * time.Minute)
	away := gap.Cause{Reason: history.GapDisconnected, Detail: "away"}
	if err := d.documents.Begin(t.Context(), d.clock, away); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"version", "apis/a/v1", "apis/b/v1"} {
		d.documents.Unchanged(name)
	}
	if err := d.documents.End(t.Context()); err != nil {
		t.Fatal(err)
	}
	if gaps := d.gaps(); len(gaps) != 2 || gaps[1].Reason != history.GapDisconnected || gaps[1].Detail != "away" {
		t.Errorf("gaps after an outage: got %+v, want a second one with its cause", gaps)
	}
}

// gaps returns the gaps of the documents.
func (d *documentWorld) gaps() []history.Gap {
	d.t.Helper()
	gaps, err := d.store.Gaps(d.t.Context(), []schema.GroupResource{history.Documents()}, time.Time{}, time.Time{})
	if err != nil {
		d.t.Fatal(err)
	}
	return gaps
}

// A document that can't be read is neither deleted nor assumed to be unchanged.
func TestDocuments_UnreadDocumentsAreUnknown(t *testing.T) {
	d := openDocuments(t, nil)
	begin := d.clock
	d.read(`apis/a/v1={"n":1}`, `openapi/v3/apis/a/v1={"n":1}`, `apis/b/v1={}`)
	d.read(`!apis/a/v1`, `!openapi/v3`, `apis/b/v1={}`)
	d.again()
	d.read(`!apis/a/v1`, `!openapi/v3`)
	d.read(`!apis/a/v1`, `openapi/v3/apis/a/v1={"n":2}`)
	d.read(`apis/a/v1={"n":1}`, "openapi/v3/apis/a/v1")
	expectLines(t, "versions", d.versions(d.store, history.Documents(), begin),
		`create apis/a/v1 {"n":1} initial`, `create openapi/v3/apis/a/v1 {"n":1} initial`,
		`create apis/b/v1 {} initial`,
		`delete apis/b/v1 2-3`, `update openapi/v3/apis/a/v1 {"n":2} 1-4`)
	expectLines(t, "unread", d.versions(d.store, history.UnreadDocuments(), begin),
		`create apis/a/v1 {"reason":"server_error","detail":"down"} 1-2`,
		`create openapi/v3 {"reason":"server_error","detail":"down"} 1-2`,
		`delete openapi/v3 3-4`, `delete apis/a/v1 4-5`)
}

// refusing is a log that refuses commits while fails is set.
type refusing struct {
	recorder.Log
	fails error
}

func (r *refusing) Append(ctx context.Context, b *history.Batch) error {
	if r.fails != nil {
		return r.fails
	}
	return r.Log.Append(ctx, b)
}

// A read that failed is repeated from the state of the log.
func TestDocuments_ReadIsRepeatedAfterFailedCommit(t *testing.T) {
	log := &refusing{}
	d := openDocuments(t, func(l recorder.Log) recorder.Log { log.Log = l; return log })
	begin := d.clock
	d.read(`version={"v":1}`)
	log.fails = errors.New("no space")
	if err := d.tryRead(d.tick(time.Minute), `version={"v":2}`); !errors.Is(err, log.fails) {
		t.Errorf("read: got error %v, want that of the log", err)
	}
	log.fails = nil
	d.read(`version={"v":2}`)
	expectLines(t, "versions", d.versions(d.store, history.Documents(), begin),
		`create version {"v":1} initial`, `update version {"v":2} 1-3`)
}

// Everything that a log does with objects works for documents, too.
func TestDocuments_AreKeptLikeObjects(t *testing.T) {
	d := openDocuments(t, nil)
	begin, large := d.clock, `{"text":"`+strings.Repeat("schema ", 100_000)+`"}`
	d.read(`version={"v":1}`, `openapi/v3/api/v1=`+large, `apis/a/v1={"n":1}`)
	d.read(`version={"v":2}`, "openapi/v3/api/v1")
	var full bytes.Buffer
	if _, err := d.store.Backup(t.Context(), &full, store.Position{}, nil); err != nil {
		t.Fatal(err)
	}
	damaged := 0
	if _, err := d.store.Verify(t.Context(), func(store.Damage) { damaged++ }, nil); err != nil || damaged > 0 {
		t.Errorf("verify: got %d damages, error %v, want none", damaged, err)
	}
	want := d.versions(d.store, history.Documents(), begin)
	if len(want) != 5 {
		t.Fatalf("versions: got %d, want 5", len(want))
	}

	restored := t.TempDir() + "/restored"
	if _, err := store.Restore(t.Context(), restored, store.Options{}, nil, io.Reader(&full)); err != nil {
		t.Fatal(err)
	}
	copied, err := store.Open(restored, store.Options{Now: d.now})
	if err != nil {
		t.Fatal(err)
	}
	defer copied.Close()
	expectLines(t, "restored", d.versions(copied, history.Documents(), begin), want...)

	var file bytes.Buffer
	if err := d.store.Excerpt(t.Context(), history.Extent{}, func(e *history.Excerpt) error {
		_, err := archive.Write(&file, e, "a test", d.clock, nil)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	exported, err := archive.Open(t.Context(), &file, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer exported.Close()
	expectLines(t, "exported", d.versions(exported, history.Documents(), begin), want...)
	if n, _, err := exported.Count(t.Context(), history.Filter{}, 10); n != 0 || err != nil {
		t.Errorf("exported records of objects: got %d, error %v, want none", n, err)
	}

	d.tick(9 * 24 * time.Hour)
	d.read("version", "openapi/v3/api/v1", `apis/b/v1={}`)
	d.tick(14 * 24 * time.Hour)
	if err := d.store.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := history.StateScan{At: d.clock, Bodies: true}
	state.Resources = append(state.Resources, history.Documents())
	var kept []string
	for r, err := range d.store.State(t.Context(), state) {
		if err != nil {
			t.Fatal(err)
		}
		content, err := history.DecodeDocument(r.Ref.Name, r.Object)
		if err != nil || r.Ref.Name == "openapi/v3/api/v1" && string(content) != large {
			t.Errorf("%s after the retention: got %d bytes, error %v, want the content", r.Ref.Name, len(content), err)
		}
		kept = append(kept, r.Ref.Name)
	}
	expectLines(t, "after the retention", kept, "apis/b/v1", "openapi/v3/api/v1", "version")
	d.again()
	d.read("version", `openapi/v3/api/v1=`+large, `apis/b/v1={}`)
	if got := d.versions(d.store, history.Documents(), begin); len(got) > 1 {
		t.Errorf("versions after the retention: got %q, want at most that of its first day", got)
	}
}
