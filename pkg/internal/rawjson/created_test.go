package rawjson_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/internal/rawjson"
)

func TestCreationTime(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for object, want := range map[string]time.Time{
		`{"metadata":{"name":"a","creationTimestamp":"2026-01-02T03:04:05Z"}}`:                  at,
		`{"spec":{"metadata":{}},"metadata":{"creationTimestamp":"2026-01-02T04:04:05+01:00"}}`: at,
		`{"creationTimestamp":"2026-01-02T03:04:05Z","metadata":{}}`:                            {},
		`{"metadata":{"creationTimestamp":null}}`:                                               {},
		`{"metadata":{"creationTimestamp":"yesterday"}}`:                                        {},
		`{"metadata":{"creationTimestamp":{}}}`:                                                 {},
		`{"metadata":[]}`:                                                                       {},
		`[]`:                                                                                    {}, `{`: {}, ``: {},
	} {
		if got := rawjson.CreationTime([]byte(object)); !got.Equal(want) || got.IsZero() != want.IsZero() {
			t.Errorf("%s: got %v, want %v", object, got, want)
		}
	}
}
