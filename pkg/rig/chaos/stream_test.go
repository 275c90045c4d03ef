package chaos_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/watchhistory/watchhistory/pkg/api/v1"
	"github.com/watchhistory/watchhistory/pkg/client"
	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/rig/recordertest"
)

// TestStream_KillLosesNothing kills the recorder under load while a client
// follows it, and compares the stream with the pages afterwards.
func TestStream_KillLosesNothing(t *testing.T) {
	random := newRand(t)
	r := newRecorder(t, cluster.Kubeconfig)
	w := newScenario(t, "streamed")
	w.caughtUp(t, r)
	s := newFollower(t, w.namespace)
	s.moveTo(r)
	last := r.events(t, w.namespace)
	s.follow(t, last[len(last)-1].Timestamp)
	w.runLoad(t, round(), rounds(), func() {
		for range shortOrLong(3, 15) {
			pause(random, 2*time.Second)
			if random.IntN(3) == 0 {
				r.Terminate(t)
			} else {
				r.Kill(t)
			}
			r.Start(t)
			r.ready(t)
			s.moveTo(r)
		}
	})
	w.caughtUp(t, r)
	want := r.events(t, w.namespace)[len(last):]
	recordertest.Eventually(t, "the stream has the newest record", func() (bool, string) {
		n := s.n.Load()
		return n >= int64(len(want)), time.Duration(n).String()
	})
	got := s.stop()
	if len(got) != len(want) {
		t.Errorf("got %d events, want %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if !got[i].Timestamp.Equal(want[i].Timestamp) || got[i].ResourceVersion != want[i].ResourceVersion {
			t.Fatalf("event %d: got %s at %v, want %s at %v", i,
				got[i].ResourceName, got[i].Timestamp, want[i].ResourceName, want[i].Timestamp)
		}
	}
	if s.interruptions.Load() == 0 {
		t.Error("got no interruption of the stream, want some")
	}
	w.verify(t, r)
}

// follower is a client of a recorder whose address changes.
type follower struct {
	namespace     string
	address       atomic.Pointer[string]
	n             atomic.Int64 // events
	interruptions atomic.Int64

	client *client.Client
	events []v1.Event
	cancel context.CancelFunc
	ended  chan struct{}
}

func newFollower(t *testing.T, namespace string) *follower {
	t.Helper()
	s := &follower{namespace: namespace, ended: make(chan struct{})}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, *s.address.Load())
	}}
	c, err := client.New("http://127.0.0.1", client.Options{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	s.client = c
	return s
}

// moveTo connects the next time to this recorder.
func (s *follower) moveTo(r *recorder) {
	address := strings.TrimPrefix(r.URL, "http://")
	s.address.Store(&address)
}

// follow follows the records after a time.
func (s *follower) follow(t *testing.T, after time.Time) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s.cancel = cancel
	q := client.EventsQuery{
		Namespace: history.NamespaceScope(s.namespace), Start: after.Add(1), Summary: true,
	}
	go func() {
		defer close(s.ended)
		for u, err := range s.client.Watch(ctx, q) {
			switch {
			case err != nil && ctx.Err() == nil:
				t.Errorf("stream: got error %v, want none", err)
			case u.Type == client.Recorded:
				s.events = append(s.events, u.Event)
				s.n.Add(1)
			case u.Type == client.Disconnected:
				s.interruptions.Add(1)
			}
		}
	}()
	t.Cleanup(func() { s.stop() })
}

// stop ends the stream, and returns its events.
func (s *follower) stop() []v1.Event {
	s.cancel()
	<-s.ended
	return s.events
}
