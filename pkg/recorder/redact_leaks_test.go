package recorder_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// trace is the length of the parts of a planted text that are searched for.
// Such a part does not occur by chance.
const trace = 12

// planter creates random Secrets and pods whose values occur in many places and
// encodings. It keeps every part of the planted texts.
type planter struct {
	*rand.Rand

	seed   uint64
	newest int               // resourceVersion
	traces map[string]string // description of a planted text, by each of its parts
}

func newPlanter() *planter {
	seed := rand.Uint64()
	return &planter{Rand: rand.New(rand.NewPCG(seed, 0)), seed: seed, newest: 1000, traces: map[string]string{}}
}

// value returns a random value.
func (p *planter) value() string {
	const letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHIJKLMNPQRSTUVWXYZ23456789"
	alphabet := letters
	if p.IntN(3) == 0 {
		alphabet += ` -_.:/+=!"'\&<>%@#$`
	}
	b := []byte{letters[p.IntN(len(letters))]}
	for range trace + p.IntN(30) {
		b = append(b, alphabet[p.IntN(len(alphabet))])
	}
	return string(append(b, letters[p.IntN(len(letters))]))
}

// plant adds a text that must not be found, and returns it.
func (p *planter) plant(what, text string) string {
	for i := 0; i+trace <= len(text); i++ {
		p.traces[text[i:i+trace]] = what
	}
	return text
}

// encoded returns a value in a random encoding.
func (p *planter) encoded(value string) string {
	names := make([]string, 0, len(forms))
	for name := range forms {
		names = append(names, name)
	}
	slices.Sort(names)
	name := names[p.IntN(len(names))]
	return p.plant(name+" of "+value, forms[name](value))
}

// document returns an annotation with the value, in a random format.
func (p *planter) document(value string) string {
	text := p.encoded(value)
	return strings.ReplaceAll([]string{
		"%s", "# comment\nstringData: {p: '%s'}", "- type: test\n  value: {p: %s}",
		"%YAML 1.2\n---\np: %s", "\ufeff{\"p\":\"%s\"}", "-p {\"stringData\":%s}",
		"PASSWORD=%s\nUSER=x", "<p>%s</p>", "checked by me, it is %s", "metadata: {}\ndata:\n  p: >-\n    %s\n",
	}[p.IntN(10)], "%s", text)
}

// place returns metadata and members with a text in a random place.
func (p *planter) place(all map[string]struct{ metadata, members string }, text string) (metadata, members string) {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	chosen := all[names[p.IntN(len(names))]]
	fill := func(s string) string { return put(strings.ReplaceAll(s, "%i", p.plant("yaml", encoded(text))), text) }
	return fill(chosen.metadata), fill(chosen.members)
}

// secret returns the watch events of one Secret.
func (p *planter) secret(name string) (events []history.WatchEvent) {
	value := p.plant("value", p.value())
	for n := range 1 + p.IntN(4) {
		metadata, members := p.place(places, "x-"+p.encoded(value))
		if !strings.Contains(metadata, "annotations") {
			metadata += annotated("example.com/a", p.document(value))
		}
		p.plant("base64", encoded(value))
		events = append(events, watchEvent("~", meta(name, p.rv(), value, metadata, members)))
		if n > 0 && p.IntN(2) == 0 { // the value is replaced, and its copies are not
			events = append(events, watchEvent("~", meta(name, p.rv(), p.plant("value", p.value()), metadata, members)))
		}
	}
	if p.IntN(3) == 0 {
		last := events[len(events)-1]
		events = append(events, history.WatchEvent{Type: history.Deleted, Object: last.Object})
	}
	return events
}

// pod returns the watch events of a pod with a value that a rule hides.
func (p *planter) pod(name string) (events []history.WatchEvent) {
	value := p.plant("value", p.value())
	for range 1 + p.IntN(3) {
		metadata, members := p.place(copies, "x-"+p.encoded(value))
		o := object("shop", name, p.rv(), metadata, members+`,"hidden":[{"name":"P","value":`+quote(value)+`}]`)
		events = append(events, watchEvent("~", o))
	}
	return events
}

func (p *planter) rv() string {
	p.newest++
	return fmt.Sprint(p.newest)
}

// refuse fails the test if the data contains a part of a planted text.
func (p *planter) refuse(t *testing.T, where string, data []byte) {
	t.Helper()
	if len(data) == 0 {
		t.Errorf("%s: got no data, want some", where)
	}
	for i := 0; i+trace <= len(data); i++ {
		if what, found := p.traces[string(data[i:i+trace])]; found {
			t.Fatalf("seed %d: %s: got %q of a planted text (%s), want none: %s",
				p.seed, where, data[i:i+trace], what, data[max(0, i-300):min(len(data), i+100)])
		}
	}
}

// sharedBuffer is a buffer that goroutines write to.
type sharedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *sharedBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(data)
}

// TestRedact_PlantedValuesAppearNowhere records Secrets and pods with values in
// random places and encodings. It searches for them in the decoded records, the
// responses of the REST API, an export, a backup, the files of the database,
// and the log.
func TestRedact_PlantedValuesAppearNowhere(t *testing.T) {
	p := newPlanter()
	var log sharedBuffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w := open(t, recorder.Options{Logger: logger}, nil)
	w.rule(redact(pods, nil, "hidden[*].value"))
	for _, r := range []history.Resource{secrets, pods} {
		s := w.stream(r)
		w.feed(s, "sync", "end 1")
		for n := range 60 {
			events := p.secret(fmt.Sprintf("s%d", n))
			if r.Plural == "pods" {
				events = p.pod(fmt.Sprintf("p%d", n))
			}
			for _, f := range events {
				if !json.Valid(f.Object) {
					t.Fatalf("seed %d: got invalid JSON %s from the test, want valid JSON", p.seed, f.Object)
				}
				if err := s.Observe(t.Context(), f); err != nil {
					p.refuse(t, "an error", []byte(err.Error()))
				}
				if err := s.Observe(t.Context(), history.WatchEvent{
					Type: f.Type, Object: f.Object[:p.IntN(len(f.Object))],
				}); err == nil {
					t.Fatal("truncated object: got no error, want one")
				} else {
					p.refuse(t, "an error", []byte(err.Error()))
				}
			}
		}
		w.feed(s, "sync", "end 2000000000") // infers the deletions of all live objects
	}
	w.restart()
	p.refuse(t, "records", dump(t, w.store))
	p.refuse(t, "answers", answers(t, w.store, logger))
	p.refuse(t, "export", exported(t, w.store))
	p.refuse(t, "backup", restored(t, w.store))
	logger.Debug("end of the test") // so that the log is not empty
	if err := w.close(); err != nil {
		t.Fatal(err)
	}
	p.refuse(t, "files", recordertest.FilesIn(t, w.dir))
	p.refuse(t, "log", log.Bytes())
}

// dump returns all records, with their metadata and bodies.
func dump(t *testing.T, log query.Reader) []byte {
	t.Helper()
	var all bytes.Buffer
	for r, err := range log.Scan(t.Context(), history.Scan{Bodies: true}) {
		if err != nil {
			t.Fatal(err)
		}
		metadata, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(metadata)
		all.Write(r.Object)
	}
	return all.Bytes()
}

// answers returns the responses of the REST API to all kinds of requests.
func answers(t *testing.T, log *store.Store, logger *slog.Logger) []byte {
	t.Helper()
	server := httptest.NewServer(api.New(query.New(log, query.Options{}),
		api.Options{Logger: logger, MaxLimit: func() int { return 100_000 }}))
	defer server.Close()
	var all bytes.Buffer
	get := func(path string) {
		response, err := server.Client().Get(server.URL + path) //nolint:noctx // the test's own server
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := response.Header.Write(&all); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(&all, response.Body); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: got %s, %v; want 200", path, response.Status, err)
		}
	}
	for _, path := range []string{
		v1.EventsPath, v1.EventsPath + "?summary=true", v1.EventsPath + "?order=asc", v1.ResourcesPath, v1.GapsPath,
		v1.EventsPath + "/shop/secrets/s1", v1.EventsPath + "/shop/pods/p1",
	} {
		get(path)
	}
	return all.Bytes()
}

// exported returns the bytes of an export, and its records.
func exported(t *testing.T, log *store.Store) []byte {
	t.Helper()
	var file bytes.Buffer
	err := log.Excerpt(t.Context(), history.Extent{}, func(e *history.Excerpt) error {
		_, err := archive.Write(&file, e, "a test", time.Now(), nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := archive.Open(t.Context(), bytes.NewReader(file.Bytes()), t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return append(file.Bytes(), dump(t, r)...)
}

// restored returns the bytes of a backup, and its records.
func restored(t *testing.T, log *store.Store) []byte {
	t.Helper()
	var file bytes.Buffer
	if _, err := log.Backup(t.Context(), &file, store.Position{}, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := store.Restore(t.Context(), dir, store.Options{}, nil, bytes.NewReader(file.Bytes())); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	return append(file.Bytes(), dump(t, s)...)
}
