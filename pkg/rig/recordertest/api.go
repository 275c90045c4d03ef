package recordertest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/query"
	"github.com/watchhistory/watchhistory/pkg/store"
)

// API is the REST API of a recorder that runs in the test's process and watches
// no cluster. It serves what the test records.
type API struct {
	http.Handler

	log *store.Store
}

// NewAPI returns the API of a recorder that has recorded these batches. Its
// database is closed when the test ends.
func NewAPI(tb testing.TB, resources []history.Resource, batches ...*history.Batch) *API {
	tb.Helper()
	a, err := OpenAPI(tb.TempDir(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := a.Close(); err != nil {
			tb.Errorf("close the database: got error %v, want none", err)
		}
	})
	if err := a.Record(tb.Context(), resources, batches...); err != nil {
		tb.Fatal(err)
	}
	return a
}

// OpenAPI returns the API of a recorder with a new database in dir, for
// examples, which have no [testing.TB]. The caller must close it. now is the
// clock that dates records; nil means time.Now.
func OpenAPI(dir string, now func() time.Time) (*API, error) {
	log, err := store.Open(dir, store.Options{NoSync: true, Now: now})
	if err != nil {
		return nil, err
	}
	return &API{api.New(query.New(log, query.Options{Feed: log}), api.Options{}), log}, nil
}

// Record adds resources to the catalogue, and records batches one by one.
func (a *API) Record(ctx context.Context, resources []history.Resource, batches ...*history.Batch) error {
	for _, r := range resources {
		if err := a.log.Register(ctx, r); err != nil {
			return err
		}
	}
	for _, b := range batches {
		if err := a.log.Append(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// Close closes the database. No request may be running.
func (a *API) Close() error { return a.log.Close() }
