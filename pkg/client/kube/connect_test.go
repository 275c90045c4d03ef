package kube_test

import (
	"testing"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
)

func TestConnectRefusesContradictions(t *testing.T) {
	cluster := &rest.Config{Host: "http://127.0.0.1:1"}
	for name, tc := range map[string]struct {
		options client.ConnectOptions
		want    string
	}{
		"nothing":              {client.ConnectOptions{}, "neither a cluster nor a --recorder-url"},
		"direct to nowhere":    {client.ConnectOptions{Mode: client.Direct, RESTConfig: cluster}, "--connect=direct needs --recorder-url"},
		"URL and port-forward": {client.ConnectOptions{Mode: client.PortForward, URL: "http://h"}, "exclude each other"},
		"URL and proxy":        {client.ConnectOptions{Mode: client.Proxy, URL: "http://h"}, "exclude each other"},
		"unknown mode":         {client.ConnectOptions{Mode: "carrier-pigeon", RESTConfig: cluster}, "carrier-pigeon is unknown"},
		"URL that is none":     {client.ConnectOptions{URL: "recorder:8080"}, "recorder URL recorder:8080 is none"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := connect(t, tc.options)
			wantCode(t, err, history.Invalid, tc.want)
		})
	}
}

func TestConnectTakesAURLWithoutACluster(t *testing.T) {
	s := answering(t, 200, "application/json", `{"status":"healthy"}`)
	for _, mode := range []client.Mode{"", client.Auto, client.Direct} {
		c, err := connect(t, client.ConnectOptions{Mode: mode, URL: s.URL, Options: client.Options{UserAgent: "agent/1"}})
		if err != nil {
			t.Fatalf("mode %q: %v", mode, err)
		}
		if err = c.Health(t.Context()); err != nil || s.request.UserAgent() != "agent/1" || c.Target() != s.URL {
			t.Errorf("mode %q: got %v, agent %q, target %q", mode, err, s.request.UserAgent(), c.Target())
		}
	}
}

func TestConnectSaysWhichClusterDoesNotAnswer(t *testing.T) {
	_, err := connect(t, client.ConnectOptions{RESTConfig: &rest.Config{Host: "http://127.0.0.1:1"}})
	wantCode(t, err, history.Unavailable, "can't look for the recorder's Service", "127.0.0.1:1", "kubectl version")
}
