package local

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/archive"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
)

// File is the history in a file: the REST API of a recorder whose clock stands
// at the end of the file. It is safe for concurrent use.
type File struct {
	*server

	reader *archive.Reader
}

// Open reads an export to its end. progress, which may be nil, is called often
// with the number of bytes that were read. The caller must close the file.
//
// A file that is not a complete export is a [history.Invalid] error.
func Open(ctx context.Context, export io.Reader, progress func(bytes int64)) (*File, error) {
	var done archive.Progress
	if progress != nil {
		done = func(_, bytes int64) { progress(bytes) }
	}
	r, err := archive.Open(ctx, export, "", done)
	if err != nil {
		return nil, err
	}
	end := func() time.Time { return r.Header().End }
	service := query.New(r, query.Options{
		Now:        end,
		Unrecorded: func() []history.UnrecordedResource { return r.Header().Unrecorded },
	})
	handler := at(end, api.New(service, api.Options{
		Rate: api.NoRate, Recorder: v1.Recorder{ClusterUID: string(r.Header().Cluster)},
	}))
	return &File{server: serve(handler), reader: r}, nil
}

// at dates the answers of a handler: clients take the recorder's time from
// them. The header has whole seconds, so it is the end of the second.
func at(now func() time.Time, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		second := now().Add(time.Second - 1).Truncate(time.Second)
		w.Header().Set("Date", second.UTC().Format(http.TimeFormat))
		handler.ServeHTTP(w, r)
	})
}

// End returns the time before which the file ends.
func (f *File) End() time.Time { return f.reader.Header().End }

// Namespace returns the only namespace whose objects are in the file, or "".
func (f *File) Namespace() string {
	h := f.reader.Header()
	if name, one := history.ParseNamespaceScope(h.Namespace).Namespace(); one && name != "" {
		return name
	}
	return h.Watched
}

// ClusterScoped reports whether cluster-scoped objects are in the file, or may
// be: an export of one namespace has none.
func (f *File) ClusterScoped() bool {
	name, one := history.ParseNamespaceScope(f.reader.Header().Namespace).Namespace()
	return !one || name == ""
}

// Interrupted reports whether the file is a recording without an end: its
// process was killed, or is running. unusable is the number of bytes at the end
// of the file that can't be read.
func (f *File) Interrupted() (interrupted bool, unusable int64) { return f.reader.Interrupted() }

// Close ends all requests, and removes what reading the file has stored.
func (f *File) Close() error { return errors.Join(f.server.Close(), f.reader.Close()) }
