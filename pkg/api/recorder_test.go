package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/api"
	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/history"
)

// TestRecorder_NamesTheCluster checks that the recorder returns the UID of the
// cluster as soon as it is recorded.
func TestRecorder_NamesTheCluster(t *testing.T) {
	s := newServerAt(t, api.Options{}, time.Now().Add(-time.Hour))
	cluster := func() string {
		t.Helper()
		code, _, body := s.do("GET", v1.RecorderPath)
		var found v1.Recorder
		if err := json.Unmarshal([]byte(body), &found); code != 200 || err != nil {
			t.Fatalf("got %d %s, error %v, want 200", code, body, err)
		}
		return found.ClusterUID
	}
	if got := cluster(); got != "" {
		t.Errorf("before: got %q, want none", got)
	}
	system := history.ObjectRef{Resource: "namespaces", Name: history.ClusterNamespace, UID: "uid-system"}
	s.put(&history.Record{
		Ref: system, Version: "v1", Kind: "Namespace", Verb: history.Create, RV: "1", Object: []byte(`{}`),
	})
	for range 2 {
		if got := cluster(); got != "uid-system" {
			t.Errorf("got %q, want uid-system", got)
		}
	}
}
