package kube_test

import (
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	"k8s.io/klog/v2"

	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

func TestMain(m *testing.M) {
	klog.SetLogger(logr.Discard()) // as the plugin's main does
	goleak.VerifyTestMain(m,
		// After a tunnel broke, this goroutine offers the error for a second.
		goleak.IgnoreAnyFunction("github.com/moby/spdystream.(*Connection).shutdown"))
}

// records is the number of records of the recorder under test.
const records = 10

// newRecorder returns the API of a recorder with versions of one node.
func newRecorder(t *testing.T) *recordertest.API {
	t.Helper()
	batch := &history.Batch{}
	for range records {
		batch.Versions = append(batch.Versions, newVersion())
	}
	return recordertest.NewAPI(t, nil, batch)
}

// newVersion returns a version of the node.
func newVersion() history.NewVersion {
	return history.NewVersion{Record: &history.Record{
		Ref:     history.ObjectRef{Resource: "nodes", Name: "node-1", UID: "u-node"},
		Version: "v1", Kind: "Node", Verb: history.Update, RV: "1", Object: []byte(`{}`),
	}}
}

// connect connects and closes the client at the end of the test.
func connect(t *testing.T, o kube.Options) (*kube.Client, error) {
	t.Helper()
	c, err := kube.Connect(t.Context(), o)
	if err == nil {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: got error %v", err)
			}
		})
	}
	return c, err
}

// wantError checks the code of an error, and that its text contains all parts.
func wantError(t *testing.T, err error, code history.Code, parts ...string) {
	t.Helper()
	if got := history.CodeOf(err); got != code {
		t.Errorf("code of error %v: got %q, want %q", err, got, code)
	}
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("got error %v, want one with %q", err, part)
		}
	}
}
