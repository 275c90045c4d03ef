package recorder

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// maxReadPause is the longest time between two reads of the documents that is
// not a gap. The watcher reads them every 10 minutes.
const maxReadPause = 15 * time.Minute

// readRV is the RV of the checkpoint of the documents. They have no
// resourceVersion to resume from, so only the time of the checkpoint counts:
// when the last complete read began.
const readRV = "read"

// Documents records the documents in which the API server describes what it
// serves. It is the sink of the watcher's reads. One goroutine at a time may
// use it.
//
// Documents are polled, so nothing is known about the time between two reads. A
// change has happened at any time since the document was read before: it is
// inferred. A document that can't be read is unknown, and not deleted.
//
// Records do not pass through the queue: they have no resourceVersion by which
// it could order them. After an error, nothing of the running read is assumed
// to be recorded. The next read begins with the state of the log.
type Documents struct {
	recorder *Recorder

	loaded bool
	known  map[string]history.DocumentVersion // of the documents that are served
	unread map[string]time.Time               // since when paths can't be read; zero: they never could be
	read   time.Time                          // when the last complete read began; zero: there was none
	here   bool                               // that read was one of this process

	began   time.Time // of the running read
	cause   gap.Cause
	named   map[string]bool      // documents that were read or unchanged
	failing map[string]gap.Cause // paths that could not be read
}

// Documents returns the sink of the documents. It reads the log with the first
// [Documents.Begin].
func (r *Recorder) Documents() *Documents { return &Documents{recorder: r} }

// Begin begins a read. Everything that it will deliver was read from the API
// server after the time at. cause is why the documents were not read since the
// last read, or zero if that is not known.
func (d *Documents) Begin(ctx context.Context, at time.Time, cause gap.Cause) error {
	if !d.loaded {
		if err := d.load(ctx); err != nil {
			return err
		}
	}
	d.began, d.cause = at.UTC(), cause
	d.named, d.failing = map[string]bool{}, map[string]gap.Cause{}
	return nil
}

// load reads the state of the log.
func (d *Documents) load(ctx context.Context) error {
	log := d.recorder.log
	checkpoint, err := log.Checkpoint(ctx, history.Documents())
	if err != nil {
		return wrap("read the checkpoint of", history.Documents(), err)
	}
	d.read, d.known, d.unread = checkpoint.Time, map[string]history.DocumentVersion{}, map[string]time.Time{}
	for h, err := range log.Heads(ctx, history.Documents()) {
		if err != nil {
			return wrap("read the heads of", history.Documents(), err)
		}
		// Another text has no hash. The content of the next read differs.
		d.known[h.Ref.Name], _ = history.ParseDocumentVersion(h.RV)
	}
	var paths []string
	for h, err := range log.Heads(ctx, history.UnreadDocuments()) {
		if err != nil {
			return wrap("read the heads of", history.UnreadDocuments(), err)
		}
		paths = append(paths, h.Ref.Name)
	}
	for _, path := range paths {
		first, err := d.latest(ctx, documentRef(history.UnreadDocuments(), path))
		if err != nil {
			return err
		}
		d.unread[path] = first.InferredSince
	}
	d.loaded = true
	return nil
}

// latest returns the newest record of an object, or an empty one if it was lost
// with a damaged file.
func (d *Documents) latest(ctx context.Context, ref history.ObjectRef) (*history.Record, error) {
	last, err := d.recorder.log.Latest(ctx, ref)
	if history.CodeOf(err) == history.NotFound {
		return &history.Record{}, nil
	}
	if err != nil {
		return nil, wrap("read the last version of", ref.GroupResource(), err)
	}
	return last, nil
}

// documentRef returns an object of a reserved resource.
func documentRef(r schema.GroupResource, name string) history.ObjectRef {
	return history.ObjectRef{Group: r.Group, Resource: r.Resource, Name: name, UID: types.UID(name)}
}

// ServerHash returns the API server's hash of the recorded content of a
// document. It returns "" if there is none.
func (d *Documents) ServerHash(name string) string { return d.known[name].ServerHash }

// Unchanged notes that the API server still serves the recorded content.
func (d *Documents) Unchanged(name string) { d.named[name] = true }

// Observe accepts the content of a document, which must be JSON and is not kept
// after the call. serverHash is the API server's hash of it, or empty. Observe
// records the content, unless it is the recorded one, and returns when it is
// durable.
func (d *Documents) Observe(ctx context.Context, name, serverHash string, content []byte) error {
	if !json.Valid(content) {
		d.Unread(name, gap.Cause{Reason: history.GapServerError, Detail: "the answer is not JSON"})
		return nil
	}
	version := history.VersionOfDocument(content, serverHash)
	before, exists := d.known[name]
	d.named[name] = true
	if exists && before.Hash == version.Hash {
		d.known[name] = version // with the hash of this server
		return nil
	}
	ref := documentRef(history.Documents(), name)
	record := documentRecord(ref, history.Create, d.seen(name))
	record.RV, record.Object = version.String(), history.EncodeDocument(name, content)
	record.Initial = record.InferredSince.IsZero()
	if exists {
		record.Verb = history.Update
		last, err := d.latest(ctx, ref)
		if err != nil {
			return err
		}
		record.Before = last.Object
	}
	if err := d.append(ctx, &history.Batch{Versions: []history.NewVersion{record}}); err != nil {
		return err
	}
	d.known[name] = version
	return nil
}

// Unread notes that a path can't be read, so that nothing is known about its
// document and about those below it.
func (d *Documents) Unread(path string, cause gap.Cause) { d.failing[path] = cause }

// End ends the read. A document that it did not name, and whose path and the
// paths above could be read, is not served any more.
func (d *Documents) End(ctx context.Context) error {
	var b history.Batch
	for _, name := range slices.Sorted(maps.Keys(d.known)) {
		if !d.named[name] && !covers(d.failing, name) {
			ref := documentRef(history.Documents(), name)
			deletion := documentRecord(ref, history.Delete, d.seen(name))
			deletion.RV = d.known[name].String()
			b.Versions = append(b.Versions, deletion)
		}
	}
	deleted := len(b.Versions)
	for _, path := range slices.Sorted(maps.Keys(d.unread)) {
		if _, still := d.failing[path]; !still {
			ref := documentRef(history.UnreadDocuments(), path)
			readable := documentRecord(ref, history.Delete, d.read)
			readable.RV = readRV
			b.Versions = append(b.Versions, readable)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(d.failing)) {
		if _, known := d.unread[path]; !known {
			record, err := d.unreadable(path)
			if err != nil {
				return err
			}
			b.Versions = append(b.Versions, record)
		}
	}
	documents := history.Documents()
	b.Checkpoints = []history.Checkpoint{{
		Group: documents.Group, Resource: documents.Resource, RV: readRV, Time: d.began,
	}}
	if g, missed := d.gap(); missed {
		b.Gaps = append(b.Gaps, g)
	}
	if err := d.append(ctx, &b); err != nil {
		return err
	}
	d.ended(b.Versions[:deleted])
	return nil
}

// ended updates the state after a read. deleted has the documents that are not
// served any more.
func (d *Documents) ended(deleted []history.NewVersion) {
	for _, r := range deleted {
		delete(d.known, r.Ref.Name)
	}
	unread := map[string]time.Time{}
	for path := range d.failing {
		since, known := d.unread[path]
		if !known {
			since = d.seen(path)
		}
		unread[path] = since
	}
	d.unread, d.read, d.here = unread, d.began, true
	d.recorder.metrics.countRead(len(d.known), len(d.unread), d.read)
}

// unreadable returns the first record of a path that can't be read.
func (d *Documents) unreadable(path string) (history.NewVersion, error) {
	cause := d.failing[path]
	content, err := json.Marshal(history.UnreadCause{Reason: cause.Reason, Detail: cause.Detail})
	if err != nil {
		return history.NewVersion{}, fmt.Errorf("encode the cause of %s: %w", path, err)
	}
	record := documentRecord(documentRef(history.UnreadDocuments(), path), history.Create, d.seen(path))
	record.RV, record.Object = readRV, history.EncodeDocument(path, content)
	record.Initial = record.InferredSince.IsZero()
	return record, nil
}

// documentRecord returns a record of an object of a reserved resource, without
// its content.
func documentRecord(ref history.ObjectRef, verb history.Verb, since time.Time) history.NewVersion {
	return history.NewVersion{Record: &history.Record{
		Ref: ref, Version: "v1", Kind: "Document", Verb: verb, InferredSince: since, Summary: &history.Summary{},
	}}
}

// seen returns the newest time at which the recorded state of a document was
// known to be the present one. It is zero if it never was.
func (d *Documents) seen(name string) time.Time {
	at := d.read
	for path, since := range d.unread {
		if isBelow(name, path) && since.Before(at) {
			at = since
		}
	}
	return at
}

// covers reports whether one of the paths is that of a document or above it.
func covers(paths map[string]gap.Cause, name string) bool {
	for path := range paths {
		if isBelow(name, path) {
			return true
		}
	}
	return false
}

// isBelow reports whether a document has this path, or is below it.
func isBelow(name, path string) bool {
	rest, below := strings.CutPrefix(name, path)
	return below && (rest == "" || rest[0] == '/')
}

// gap returns the gap before the running read: the documents may have changed
// and changed back. There is one if the recorder was restarted, and if the last
// read was long ago.
func (d *Documents) gap() (g history.Gap, missed bool) {
	if d.read.IsZero() || d.here && d.began.Sub(d.read) <= maxReadPause {
		return g, false
	}
	documents := history.Documents()
	return history.Gap{
		Group: documents.Group, Resource: documents.Resource, Start: d.read, End: d.recorder.opts.Now().UTC(),
		Reason: cmp.Or(d.cause.Reason, history.GapRestarted), Detail: d.cause.Detail,
	}, true
}

// append commits a batch without retries: the next read repeats it.
func (d *Documents) append(ctx context.Context, b *history.Batch) error {
	if err := d.recorder.append(ctx, b); err != nil {
		d.loaded = false // it may be committed or not
		return wrap("record", history.Documents(), err)
	}
	d.recorder.metrics.documentVersions.Add(float64(len(b.Versions)))
	return nil
}
