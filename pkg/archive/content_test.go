package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/recorder"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// small returns an empty log, to which a test adds a record per minute.
func small(t *testing.T) *world {
	t.Helper()
	w := &world{begin: time.Now().UTC().Truncate(24 * time.Hour).Add(-48 * time.Hour)}
	w.clock = &clock{w.begin}
	s, err := store.Open(t.TempDir(), store.Options{NoSync: true, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Store = s
	return w
}

// put records a version one minute after the previous one.
func (w *world) put(t *testing.T, r *history.Record) *history.Record {
	t.Helper()
	w.clock.t = w.clock.t.Add(time.Minute)
	w.append(t, &history.Batch{Versions: []history.NewVersion{{Record: r}}})
	return r
}

func version(resourceName, name string, verb history.Verb) *history.Record {
	g := resource(resourceName)
	return &history.Record{
		Ref: history.ObjectRef{
			Group: g.Group, Resource: g.Resource, Namespace: "shop", Name: name, UID: types.UID("uid-" + name),
		},
		Version: "v1", Kind: "Kind-of-" + g.Resource, Verb: verb, RV: "7",
		Object: fmt.Appendf(nil, `{"name":%q}`, name),
	}
}

// TestExport_KeepsEveryField covers what the sample lacks: texts that are not
// UTF-8, an object larger than a frame, and an empty one.
func TestExport_KeepsEveryField(t *testing.T) {
	w := small(t)
	odd := version("widgets.example.com", strings.Repeat("n", 253), history.Update)
	odd.Ref.UID, odd.RV, odd.Initial, odd.InferredSince = "\xff\x00", "not a number", true, w.at(-1.5).Add(7)
	odd.Class = history.Onset
	odd.Managers = []history.Manager{{
		Name: "kubectl\xfe", Operation: "Apply", Subresource: "status", Time: w.at(0), Fields: []string{"a.b", "\xff"},
	}, {}}
	odd.Owners = []types.UID{"one", "", "two"}
	odd.Regarding = &history.Target{Group: "g", Kind: "K", Namespace: "n", Name: "m", UID: "u"}
	odd.Summary = &history.Summary{Text: "spec \xff", Problem: "bad"}
	odd.Object = []byte("{ \"not\"  : [\"compact\", 1.50, \"<\", \"\xff\"] }")
	none := version("widgets.example.com", "none", history.Delete)
	none.Class = history.Consequence
	none.Object, none.Summary = nil, &history.Summary{}
	large := version("widgets.example.com", "large", history.Create)
	large.Object = bytes.Repeat([]byte(`{"three megabytes":"and a bit"}`), 100_000)
	baseline := version("widgets.example.com", "baseline", history.Create)
	baseline.Initial, baseline.Summary = true, odd.Summary
	cluster := version("namespaces", history.ClusterNamespace, history.Create)
	cluster.Ref.Namespace = ""
	for _, r := range []*history.Record{cluster, baseline, odd, none, large} {
		w.put(t, r)
	}
	file, _ := w.export(t, history.Extent{Start: baseline.Time.Add(1)})
	r := read(t, file)
	want := []*history.Record{odd, none, large}
	if got := scanned(t, r, history.Scan{Bodies: true}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %d records, want %d: %s", len(got), len(want), differing(want, got))
	}
	got, err := r.Latest(t.Context(), baseline.Ref)
	if err != nil || !reflect.DeepEqual(got, baseline) {
		t.Errorf("baseline: got %+v, error %v, want %+v", got, err, baseline)
	}
	if r.Counts() != (archive.Counts{Baselines: 2, Versions: 3}) {
		t.Errorf("got counts %+v, want 2 baselines and 3 versions", r.Counts())
	}
	file, _ = w.export(t, history.Extent{Resources: []schema.GroupResource{baseline.Ref.GroupResource()}})
	for what, got := range map[string]types.UID{"all": r.Header().Cluster, "widgets": read(t, file).Header().Cluster} {
		if got != cluster.Ref.UID {
			t.Errorf("%s: got the cluster %q, want %q", what, got, cluster.Ref.UID)
		}
	}
}

// TestExport_FindsBaselineByOwner exports a range with an Event about a pod
// that did not change within it.
func TestExport_FindsBaselineByOwner(t *testing.T) {
	w := small(t)
	for _, of := range []history.Resource{
		{Group: "apps", Version: "v1", Plural: "deployments", Kind: "Deployment", Namespaced: true},
		{Version: "v1", Plural: "events", Kind: "Event", Namespaced: true},
	} {
		if err := w.Register(t.Context(), of); err != nil {
			t.Fatal(err)
		}
	}
	deployment := w.put(t, version("deployments.apps", "web", history.Create))
	set, pod := version("replicasets.apps", "web-1", history.Create), version("pods", "web-1-a", history.Create)
	set.Owners = []types.UID{deployment.Ref.UID}
	w.put(t, set)
	for _, day := range []string{"the day before", "the same day"} {
		t.Run(day, func(t *testing.T) {
			if day == "the same day" {
				w.clock.t = w.at(24)
				again := *set
				again.Verb = history.Update
				w.put(t, &again)
			}
			pod.Owners, pod.Kind = []types.UID{set.Ref.UID}, "Pod"
			another := *pod
			w.put(t, &another)
			if day == "the day before" {
				w.clock.t = w.at(24)
			}
			start := w.clock.t.Add(1)
			event := version("events", "web-1-a.1", history.Create)
			event.Ref.UID = types.UID(day)
			event.Regarding = &history.Target{Kind: "Pod", Namespace: "shop", Name: "web-1-a", UID: pod.Ref.UID}
			w.put(t, event)
			file, _ := w.export(t, history.Extent{Start: start})
			answer, err := query.New(read(t, file), query.Options{}).Object(t.Context(), query.Object{
				Namespace: "shop", Type: "deployments", Name: "web", Start: start, Descendants: true, Limit: 9,
			})
			if err != nil || len(answer.Related.Versions) != 1 || answer.Related.Versions[0].Ref != event.Ref {
				t.Errorf("got related %+v, error %v, want the Event %s", answer.Related, err, event.Ref)
			}
		})
	}
}

// TestExport_ContainsNoSecretValue exports a Secret, and searches the file for
// its value and for the redaction key.
func TestExport_ContainsNoSecretValue(t *testing.T) {
	w := small(t)
	secret := history.Resource{Version: "v1", Plural: "secrets", Kind: "Secret", Namespaced: true}
	rec := recorder.New(w,
		recorder.Options{Logger: slog.New(slog.DiscardHandler), Now: w.clock.now, RedactionKey: w.RedactionKey()})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- rec.Run(ctx) }()
	stream, err := rec.Stream(ctx, secret)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(stream.BeginList(ctx, gap.Cause{}), stream.EndList(ctx, "1"))
	err = errors.Join(err, stream.Observe(ctx, history.WatchEvent{Type: history.Added, Object: []byte(
		`{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db","namespace":"shop","uid":"u",` +
			`"resourceVersion":"5"},"data":{"password":"aHVudGVyMg=="}}`,
	)}))
	stop()
	if err := errors.Join(err, <-ended); err != nil {
		t.Fatal(err)
	}
	w.clock.t = w.at(1)
	file, _ := w.export(t, history.Extent{})
	got := scanned(t, read(t, file), history.Scan{Bodies: true})
	if len(got) != 1 || !bytes.Contains(got[0].Object, []byte(`"password":"`)) {
		t.Fatalf("got %v, want one record with a hashed password", got)
	}
	for name, b := range map[string][]byte{
		"the file": file, "the decompressed file": decompressed(t, file), "the record": got[0].Object,
	} {
		for what, secret := range map[string][]byte{
			"key": w.RedactionKey(), "value": []byte("aHVudGVyMg=="), "decoded value": []byte("hunter2"),
		} {
			if bytes.Contains(b, secret) {
				t.Errorf("%s contains the %s, want it absent", name, what)
			}
		}
	}
	if !reflect.DeepEqual(got, scanned(t, w, history.Scan{Bodies: true})) {
		t.Errorf("got %v, want the log's record", got)
	}
}

// decompressed returns the contents of all frames of a file.
func decompressed(t *testing.T, file []byte) []byte {
	t.Helper()
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	var all []byte
	magic := []byte{0x28, 0xb5, 0x2f, 0xfd}
	for _, part := range bytes.Split(file, magic)[1:] {
		for n := len(part); n > 0; n-- { // the end of the zstd frame is unknown
			if b, err := dec.DecodeAll(append(bytes.Clone(magic), part[:n]...), nil); err == nil {
				all = append(all, b...)
				break
			}
		}
	}
	if !bytes.Contains(all, []byte("db")) {
		t.Fatalf("got %d bytes without the Secret's name, want its frames", len(all))
	}
	return all
}
