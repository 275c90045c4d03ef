package watcher_test

import (
	"context"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/gap"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/watcher"
)

func (l *lab) testScopeComesFromDiscovery(t *testing.T) {
	t.Helper()
	set, err := watcher.NewSet(l.cluster.Config(), watcher.SetOptions{
		Open: func(context.Context, history.Resource) (watcher.Sink, gap.Cause, error) {
			return nil, gap.Cause{}, history.Errorf(history.Invalid, "nothing is opened")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if served := set.Served(); served != nil {
		t.Errorf("before discovery: got %d served resources, want none", len(served))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- set.Run(ctx) }()
	eventually(t, "discovery answers", func() bool { return set.Served() != nil })
	for _, tc := range []struct {
		group, kind       string
		namespaced, known bool
	}{
		{"", "Pod", true, true},
		{"", "Namespace", false, true},
		{"apps", "Deployment", true, true},
		{"", "Deployment", true, true}, // controllers often write no group
		{"", "ClusterRole", false, true},
		{"rbac.authorization.k8s.io", "ClusterRole", false, true},
		{"apps", "Pod", false, false},
		{"", "Unheard", false, false},
	} {
		if namespaced, known := set.Scope(tc.group, tc.kind); namespaced != tc.namespaced || known != tc.known {
			t.Errorf("%s of group %q: got namespaced %t, known %t, want %t, %t",
				tc.kind, tc.group, namespaced, known, tc.namespaced, tc.known)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("run: got %v, want nil", err)
	}
}
