package kube_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/watchhistory/watchhistory/pkg/client/kube"
)

// The cause of an error shows what the user can do. This cluster has no
// recorder.
func ExampleConnect() {
	apiServer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := "ServiceList"
		if strings.HasSuffix(r.URL.Path, "/pods") {
			kind = "PodList"
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"`+kind+`","items":[]}`)
	}))
	defer apiServer.Close()
	config := &rest.Config{Host: apiServer.URL} // use the configuration of your cluster instead

	c, err := kube.Connect(context.Background(), kube.Options{RESTConfig: config})
	if cause, ok := errors.AsType[*kube.ConnectError](err); ok {
		switch cause.Reason {
		case kube.NotInstalled:
			fmt.Println("Install a recorder first.")
		case kube.PermissionDenied:
			fmt.Print("Ask for this Role:\n", cause.Role.Manifest())
		}
	}
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	defer c.Close()
	// Output:
	// Install a recorder first.
	// error: no watchhistory recorder found in the cluster
}
