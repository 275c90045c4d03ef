package watcher

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher/internal/apiserver"
)

const (
	// documentTimeout bounds the answer with one document.
	documentTimeout = 30 * time.Second
	// documentPause is the time between two schemas. The API server computes a
	// schema when it is requested first.
	documentPause = 50 * time.Millisecond
	// documentInterval is the shortest time between two reads because of
	// changes of CRDs.
	documentInterval = 5 * time.Second
	// maxSilent is how many documents in a row may get no complete answer
	// before the read ends: the API server is away, and not only an aggregated
	// one.
	maxSilent = 3
)

// settlePeriods returns the times after a change at which discovery and the
// documents are read again. The API server updates them one after the other,
// those of CRDs within seconds, and those of aggregated API servers within a
// minute.
func settlePeriods() []time.Duration {
	return []time.Duration{2 * time.Second, 13 * time.Second, time.Minute}
}

// DocumentSink receives reads of the documents in which the API server
// describes what it serves. The name of a document is its path without the
// first slash. An error ends the read, which is repeated later.
type DocumentSink interface {
	// Begin begins a read of everything that the API server served after the
	// time at. cause is why it was not read since the last read, if that is
	// known.
	Begin(ctx context.Context, at time.Time, cause gap.Cause) error
	// ServerHash returns the API server's hash of the recorded content of a
	// document, or "".
	ServerHash(name string) string
	// Unchanged notes that a document has the recorded content.
	Unchanged(name string)
	// Observe accepts the content of a document, which is valid during the
	// call. serverHash is the API server's hash of it, or "".
	Observe(ctx context.Context, name, serverHash string, content []byte) error
	// Unread notes that nothing is known about the document of a path, and
	// about those below it.
	Unread(path string, cause gap.Cause)
	// End ends a complete read. The other documents are not served any more.
	End(ctx context.Context) error
}

// discoveryOutcome is the outcome of one discovery.
type discoveryOutcome struct {
	apiserver.Discovery

	began time.Time
	err   error // of some or of all groups
}

// offer passes the outcome of a discovery to readDocuments. It replaces one
// that was not taken yet. Only discover calls it.
func (s *Set) offer(o discoveryOutcome) {
	select {
	case <-s.discovered:
	default:
	}
	s.discovered <- o // does not block: discover is the only sender
}

// readDocuments reads the API server's documents after discoveries, until ctx
// is done: after the first one, after each change, some times while the change
// settles, and otherwise once per rediscoveryPeriod. It makes no discovery of
// its own.
func (s *Set) readDocuments(ctx context.Context) {
	if s.opts.Documents == nil {
		return
	}
	r := &documentReader{
		Set: s, sink: s.opts.Documents, retry: newBackoff(s.opts.RetryAfter), logged: map[string]string{},
	}
	for {
		var due <-chan time.Time
		if !r.due.IsZero() {
			due = time.After(time.Until(r.due))
		}
		select {
		case <-ctx.Done():
			return
		case <-due:
			s.discoverSoon()
			r.due, r.isDue = time.Time{}, true
		case <-s.redefined:
			r.redefined()
		case o := <-s.discovered:
			r.handle(ctx, o)
		}
	}
}

// documentReader reads the documents. It must be used by one goroutine.
type documentReader struct {
	*Set

	sink  DocumentSink
	retry backoff

	seen   [sha256.Size]byte // the digest of the last discovery that was read
	tried  time.Time         // when the last read began
	read   time.Time         // when the discovery of the last complete read began
	missed gap.Cause         // why there is no later one
	settle []time.Duration   // until the next reads
	due    time.Time         // of the next read; zero: after a change, or after rediscoveryPeriod
	isDue  bool              // the documents are read with the next discovery
	fresh  bool              // a CRD has changed since the last read
	logged map[string]string // the last message about a path
	silent int               // documents in a row without a complete answer
}

// redefined makes the documents be read soon after a change of a CRD.
func (r *documentReader) redefined() {
	if !r.targets.Load().Documents {
		return
	}
	r.fresh = true
	if at := r.tried.Add(documentInterval); r.due.IsZero() || at.Before(r.due) {
		r.due = at
	}
}

// handle reads the documents after a discovery, unless nothing has changed.
func (r *documentReader) handle(ctx context.Context, o discoveryOutcome) {
	if !r.targets.Load().Documents {
		r.missed = gap.Cause{Reason: history.GapNotConfigured, Detail: "the configuration excludes the documents"}
		r.read, r.due = time.Time{}, time.Time{}
		return
	}
	if len(o.Groups) == 0 {
		r.missed = documentCause("apis", o.err)
		return
	}
	documents, digest, err := discoveryDocuments(o.Discovery)
	if err != nil { // not reached: the types can be encoded
		r.log.ErrorContext(ctx, "encode discovery failed", "err", err)
		return
	}
	changed := r.fresh || digest != r.seen
	if !changed && !r.isDue && o.began.Sub(r.read) < rediscoveryPeriod-time.Minute {
		return
	}
	if r.fresh = false; changed {
		r.settle = settlePeriods()
	}
	r.tried = time.Now()
	if err := r.readAll(ctx, o, documents); err != nil {
		if ctx.Err() != nil {
			return
		}
		r.missed = documentCause("apis", err)
		delay := r.retry.next(err)
		r.due = time.Now().Add(delay)
		if r.isNews("", err.Error()) {
			r.log.WarnContext(ctx, "read of the API server's documents failed, retrying", "delay", delay, "err", err)
		}
		return
	}
	r.retry.reset()
	delete(r.logged, "")
	r.seen, r.read, r.missed, r.isDue, r.due = digest, o.began, gap.Cause{}, false, time.Time{}
	if len(r.settle) > 0 {
		r.due, r.settle = time.Now().Add(r.settle[0]), r.settle[1:]
	}
}

// isNews reports whether a message about a path differs from the last one.
func (r *documentReader) isNews(path, message string) bool {
	news := r.logged[path] != message
	r.logged[path] = message
	return news
}

// readAll reads all documents. An error means that the read was not complete.
func (r *documentReader) readAll(ctx context.Context, o discoveryOutcome, documents map[string][]byte) error {
	r.silent = 0
	if err := r.sink.Begin(ctx, o.began, r.missed); err != nil {
		return err
	}
	if err := r.readOne(ctx, serverVersionPath, ""); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		if err := r.sink.Observe(ctx, name, "", documents[name]); err != nil {
			return err
		}
	}
	for gv, err := range o.Failed {
		r.unread(ctx, strings.TrimPrefix(versionPath(gv), "/"), err)
	}
	if err := r.readSchemas(ctx, o.Failed); err != nil {
		return err
	}
	return r.sink.End(ctx)
}

// The paths of documents of the API server itself. The schemas are below their
// list.
const (
	serverVersionPath = "version"
	schemasPath       = "openapi/v3"
)

// schemaList is the document at schemasPath.
type schemaList struct {
	Paths map[string]struct {
		URL string `json:"serverRelativeURL"`
	} `json:"paths"`
}

// readSchemas reads the schemas of the group versions whose hashes differ from
// the recorded ones. failed are group versions that are not available.
func (r *documentReader) readSchemas(ctx context.Context, failed map[schema.GroupVersion]error) error {
	content, err := r.fetch(ctx, schemasPath)
	if err != nil {
		return r.readFailed(ctx, schemasPath, err)
	}
	var list schemaList
	if err := json.Unmarshal(content, &list); err != nil {
		r.unread(ctx, schemasPath, fmt.Errorf("decode the list of schemas: %w", err))
		return nil
	}
	r.readable(schemasPath)
	for gv, err := range failed {
		if path := strings.TrimPrefix(versionPath(gv), "/"); list.Paths[path].URL == "" {
			r.unread(ctx, schemasPath+"/"+path, err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(list.Paths)) {
		if !isVersionPath(path) {
			continue
		}
		name, hash := schemasPath+"/"+path, ""
		if u, err := url.Parse(list.Paths[path].URL); err == nil {
			hash = u.Query().Get("hash")
		}
		if hash != "" && hash == r.sink.ServerHash(name) {
			r.sink.Unchanged(name)
			r.readable(name)
			continue
		}
		if err := r.readOne(ctx, name, hash); err != nil {
			return err
		}
		if !sleep(ctx, documentPause) {
			return ctx.Err()
		}
	}
	return nil
}

// isVersionPath reports whether a path is that of a group version.
func isVersionPath(path string) bool {
	parts := strings.Split(path, "/")
	return len(parts) == 2 && parts[0] == "api" || len(parts) == 3 && parts[0] == "apis"
}

// versionPath returns the path of a group version.
func versionPath(gv schema.GroupVersion) string {
	return (&history.Resource{Group: gv.Group, Version: gv.Version}).Path("", "")
}

// readOne reads one document. It returns an error if the read can't go on.
//
// The hash is not part of the request: an API server redirects if it is
// outdated, and a proxy may have another path. So the content may be newer than
// the hash, and is then read again.
func (r *documentReader) readOne(ctx context.Context, name, hash string) error {
	content, err := r.fetch(ctx, name)
	if err != nil {
		return r.readFailed(ctx, name, err)
	}
	r.readable(name)
	return r.sink.Observe(ctx, name, hash, content)
}

// fetch returns the content of a document.
func (r *documentReader) fetch(ctx context.Context, name string) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, documentTimeout)
	defer cancel()
	content, err := r.server.Read(bounded, "/"+name)
	if err != nil && ctx.Err() == nil && errors.Is(bounded.Err(), context.DeadlineExceeded) {
		return nil, errNoAnswer
	}
	return content, err
}

// readFailed handles the error of one document. If the API server itself is
// away, it returns the error, because the read can't go on. Otherwise the
// document is unknown, and the others are read.
func (r *documentReader) readFailed(ctx context.Context, path string, err error) error {
	silent := errors.Is(err, errNoAnswer) || apiserver.IsNetworkError(err) || apierrors.IsTooManyRequests(err)
	if r.silent++; !silent {
		r.silent = 0
	}
	own := path == serverVersionPath || path == schemasPath // never of an aggregated API server
	if ctx.Err() != nil || silent && own || r.silent >= maxSilent {
		return fmt.Errorf("read %s: %w", path, err)
	}
	r.unread(ctx, path, err)
	return nil
}

// unread notes that a path can't be read. It logs each cause once until the
// path can be read again.
func (r *documentReader) unread(ctx context.Context, path string, err error) {
	cause := documentCause(path, err)
	r.sink.Unread(path, cause)
	level := slog.LevelWarn
	if apierrors.IsForbidden(err) || apierrors.IsNotFound(err) {
		level = slog.LevelInfo
	}
	if r.isNews(path, cause.Detail) {
		r.log.Log(ctx, level, "document of the API server can't be read, its history has a gap",
			"path", "/"+path, "reason", cause.Reason, "detail", cause.Detail)
	}
}

// documentCause returns the cause of a path that can't be read.
func documentCause(path string, err error) gap.Cause {
	cause := waiting(discoveryResource(), err).Cause
	if cause.Detail = err.Error(); apierrors.IsForbidden(err) {
		cause.Detail = fmt.Sprintf("the recorder needs the verb get on the non-resource URL /%s: %v", path, err)
	}
	return cause
}

// readable notes that a path was read.
func (r *documentReader) readable(path string) {
	r.silent = 0
	delete(r.logged, path)
}

// discoveryDocuments returns the documents that a discovery consists of, and a
// digest of them and of the group versions that failed. They have the form of
// the API server without aggregated discovery, which most clients can read.
func discoveryDocuments(d apiserver.Discovery) (all map[string][]byte, digest [sha256.Size]byte, err error) {
	all = map[string][]byte{}
	var groups []metav1.APIGroup
	core := metav1.APIVersions{TypeMeta: metav1.TypeMeta{Kind: "APIVersions"}}
	for _, g := range d.Groups {
		if g.Name != "" {
			g.TypeMeta = metav1.TypeMeta{}
			groups = append(groups, g)
			continue
		}
		for _, v := range g.Versions {
			core.Versions = append(core.Versions, v.Version)
		}
	}
	contents := map[string]any{"api": core, "apis": metav1.APIGroupList{
		TypeMeta: metav1.TypeMeta{Kind: "APIGroupList", APIVersion: "v1"}, Groups: groups,
	}}
	for gv, l := range d.Resources {
		list := *l
		list.TypeMeta = metav1.TypeMeta{Kind: "APIResourceList", APIVersion: "v1"}
		contents[strings.TrimPrefix(versionPath(gv), "/")] = list
	}
	hash := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if all[name], err = json.Marshal(contents[name]); err != nil {
			return nil, digest, fmt.Errorf("encode %s: %w", name, err)
		}
		fmt.Fprintf(hash, "%s\n%s\n", name, all[name])
	}
	for _, gv := range slices.SortedFunc(maps.Keys(d.Failed), func(a, b schema.GroupVersion) int {
		return strings.Compare(a.String(), b.String())
	}) {
		fmt.Fprintf(hash, "failed %s\n", gv)
	}
	return all, [sha256.Size]byte(hash.Sum(nil)), nil
}
