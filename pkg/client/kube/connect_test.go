package kube_test

import (
	"errors"
	"testing"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client/kube"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestConnect_RejectsInvalidOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		options kube.Options
		want    string
	}{
		"no cluster": {kube.Options{}, "no cluster configuration"},
		"unknown mode": {
			kube.Options{Mode: "carrier-pigeon", RESTConfig: &rest.Config{Host: "http://127.0.0.1:1"}},
			`unknown connection mode "carrier-pigeon"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect(t, tc.options)
			wantError(t, err, history.Invalid, tc.want)
		})
	}
}

func TestConnect_NamesClusterThatDoesNotAnswer(t *testing.T) {
	_, err := connect(t, kube.Options{RESTConfig: &rest.Config{Host: "http://127.0.0.1:1"}})
	wantError(t, err, history.Unavailable, "can't look for the recorder's Service", "127.0.0.1:1")
	wantReason(t, err, kube.NoAPIServer)
}

// wantReason checks the cause of an error, and returns it.
func wantReason(t *testing.T, err error, want kube.Reason) kube.ConnectError {
	t.Helper()
	cause, ok := errors.AsType[*kube.ConnectError](err)
	if !ok {
		t.Errorf("cause of %v: got none, want %q", err, want)
		return kube.ConnectError{}
	}
	if cause.Reason != want {
		t.Errorf("cause of %v: got %q, want %q", err, cause.Reason, want)
	}
	return *cause
}
