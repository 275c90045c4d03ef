package recorder_test

import (
	"testing"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

// TestObserve_SkipsRepeatedVersions: a server that lags behind, or ignores the
// resourceVersion to resume from, repeats versions. They are of live objects,
// of deleted objects, and of objects whose names were reused.
func TestObserve_SkipsRepeatedVersions(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "end 1",
		"+live/u1@2", "+gone/u2@3", "-gone/u2@4", "+again/u3@5", "-again/u3@6", "+again/u4@7", "~live/u1@8",
		"+live/u1@2", "+gone/u2@3", "-gone/u2@4", "+again/u3@5", "-again/u3@6", "+again/u4@7",
		"~live/u1@8", "bookmark 5")
	if got := s.Checkpoint(); got != "8" {
		t.Errorf("got checkpoint %s, want it unchanged at 8", got)
	}
	want := []string{
		"create live/u1@2", "create gone/u2@3", "delete gone/u2@4", "create again/u3@5",
		"delete again/u3@6", "create again/u4@7", "update live/u1@8",
	}
	expect(t, w.records(pods), want...)
	w.feed(w.stream(pods), "+gone/u2@3", "-gone/u2@4", "~live/u1@9") // and after a restart
	expect(t, w.records(pods), append(want, "update live/u1@9")...)
}

// TestObserve_RecordsVersionsCountedPerObject: some servers count
// resourceVersions per object, so that they are ordered only for one object.
func TestObserve_RecordsVersionsCountedPerObject(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@70", "end 70", "+b/u2@1", "~b/u2@2", "~a/u1@71", "-b/u2@2", "+c/u3@1")
	expect(t, w.records(pods),
		"create a/u1@70 initial", "create b/u2@1", "update b/u2@2", "update a/u1@71", "delete b/u2@2", "create c/u3@1")
}

// TestObserve_RecordsVersionsOfRestoredServer: a sync may lead back in time if
// etcd was restored from a backup.
func TestObserve_RecordsVersionsOfRestoredServer(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@5", "end 70", "~a/u1@71", "sync", "+a/u1@5", "end 6", "~a/u1@7")
	expect(t, w.records(pods), "create a/u1@5 initial", "update a/u1@71", "update a/u1@5 inferred", "update a/u1@7")
}

// TestGap_BeginsWhenTheWatchWasLastKnownToBeAlive: bookmarks come once a
// minute.
func TestGap_BeginsWhenTheWatchWasLastKnownToBeAlive(t *testing.T) {
	w, pass := clocked(t)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 2", "bookmark 3")
	broke := pass(50 * time.Second)
	for range 2 { // what is known by then stays known
		if err := s.Alive(t.Context(), broke); err != nil {
			t.Fatal(err)
		}
		broke = broke.Add(-10 * time.Second)
	}
	broke = broke.Add(20 * time.Second)
	w.restart()
	pass(time.Minute)
	w.feed(w.stream(pods), "sync", "end 9")
	w.restart()
	if gap := w.one(pods, history.GapRestarted, false); !gap.Start.Equal(broke.Add(-time.Second)) {
		t.Errorf("the gap starts at %s, want it a second before the watch broke at %s", gap.Start, broke)
	}
}

// TestAlive_SaysNothingOfWhatIsYetToCome: before a watch has caught up, its
// connection proves nothing.
func TestAlive_SaysNothingOfWhatIsYetToCome(t *testing.T) {
	w, pass := clocked(t)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 2", "bookmark 3")
	left := pass(0)
	w.restart()
	pass(time.Hour)
	s := w.stream(pods)
	s.Resume()
	w.feed(s, "~a/u1@5")
	if err := s.Alive(t.Context(), pass(time.Second)); err != nil {
		t.Fatal(err)
	}
	w.restart()
	if got := w.checkpoint(pods); got.RV != "5" || !got.Time.Equal(left) {
		t.Errorf("the checkpoint %+v, want it of %s", got, left)
	}
}

// TestACheckpointIsAsOldAsTheQuestionThatItsSyncAnswers: the server reads its
// state before it sends the first object.
func TestACheckpointIsAsOldAsTheQuestionThatItsSyncAnswers(t *testing.T) {
	w, pass := clocked(t)
	s := w.stream(pods)
	asked := pass(time.Minute)
	s.ListRequested()
	pass(20 * time.Second)
	w.feed(s, "sync", "+a/u1@1", "end 3")
	w.restart()
	if got := w.checkpoint(pods); !got.Time.Equal(asked) {
		t.Errorf("the checkpoint %+v, want it of when it was asked for, %s", got, asked)
	}
}
