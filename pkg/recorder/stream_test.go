package recorder_test

import (
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

func TestFirstSyncMarksWhatExisted(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	if s.Checkpoint() != "" {
		t.Errorf("an empty log resumes from %q", s.Checkpoint())
	}
	w.feed(s, "sync", "+a/u1@5", "+b/u2@3", "end 7", "+c/u3@8", "~a/u1@9", "-b/u2@10")
	if s.Checkpoint() != "10" {
		t.Errorf("checkpoint %q, want that of the last frame", s.Checkpoint())
	}
	expect(t, w.records(pods),
		"create a/u1@5 initial", "create b/u2@3 initial", "create c/u3@8", "update a/u1@9", "delete b/u2@10")
	if got := w.stream(pods).Checkpoint(); got != "10" {
		t.Errorf("after a restart the checkpoint is %q", got)
	}
}

func TestRepeatedFramesAreRecordedOnce(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@5", "+a/u1@5", "end 7", "~a/u1@8", "~a/u1@8", "-a/u1@9", "-a/u1@9", "+b/u2@10")
	w.restart()
	w.feed(w.stream(pods), "+b/u2@10", "-a/u1@9", "sync", "+b/u2@10", "end 11")
	expect(t, w.records(pods), "create a/u1@5 initial", "update a/u1@8", "delete a/u1@9", "create b/u2@10")
}

func TestLaterSyncInfersWhatWasMissed(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+same/u1@1", "+changed/u2@2", "+gone/u3@3", "+replaced/u4@4", "end 7")
	w.restart()
	before, err := w.store.Checkpoint(t.Context(), pods.GroupResource())
	if err != nil {
		t.Fatal(err)
	}
	w.feed(w.stream(pods), "sync", "+same/u1@1", "+changed/u2@12", "~changed/u2@13", "+replaced/u5@11", "+new/u6@10", "-same/u1@14", "end 15", "+late/u7@16")
	records := w.records(pods)
	expect(t, records[4:], "update changed/u2@12 inferred", "update changed/u2@13", "delete replaced/u4@4 inferred", "create replaced/u5@11 inferred",
		"create new/u6@10 inferred", "delete same/u1@14", "delete gone/u3@3 inferred", "create late/u7@16")
	for _, r := range records {
		if !r.InferredSince.IsZero() && !r.InferredSince.Equal(before.CompleteUntil()) {
			t.Errorf("%s is inferred since %s, want the checkpoint's %s", r.Ref, r.InferredSince, before.CompleteUntil())
		}
		if r.Verb == history.Delete && r.Ref.Name != "same" && !strings.Contains(string(r.Object), `"node-`+r.RV+`"`) {
			t.Errorf("the deletion of %s carries %s, want the last state", r.Ref, r.Object)
		}
	}
}

func TestBrokenSyncInfersNoDeletion(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "+b/u2@2", "end 7", "~a/u1@8", "sync", "+a/u1@9", "abort")
	if s.Checkpoint() != "" {
		t.Errorf("a broken sync leaves %q to resume from", s.Checkpoint())
	}
	w.feed(s, "sync", "+b/u2@2", "+a/u1@9", "end 10")
	expect(t, w.records(pods), "create a/u1@1 initial", "create b/u2@2 initial", "update a/u1@8", "update a/u1@9 inferred")
}

func TestObjectsSeenOnlyInABrokenSyncAreFoundGone(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "+b/u2@2", "abort", "sync", "+b/u2@3", "+c/u3@4", "end 5")
	records := w.records(pods)
	expect(t, records, "create a/u1@1 initial", "create b/u2@2 initial", "update b/u2@3 inferred", "create c/u3@4 initial", "delete a/u1@1 inferred")
	if !records[2].InferredSince.Equal(records[1].Time) || !records[4].InferredSince.Equal(records[0].Time) {
		t.Error("without a checkpoint, what is inferred happened since the object's last version")
	}
}

func TestSyncThatACrashCutOffIsBegunAgain(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "+b/u2@2", "end 3")
	w.restart()
	w.feed(w.stream(pods), "sync", "+a/u1@9")
	w.restart()
	s := w.stream(pods)
	if s.Checkpoint() != "" {
		t.Errorf("a sync that did not end leaves %q to resume from: versions before 9 would come after it", s.Checkpoint())
	}
	w.feed(s, "sync", "+a/u1@9", "+c/u3@8", "end 10")
	records := w.records(pods)
	expect(t, records[2:], "update a/u1@9 inferred", "create c/u3@8 inferred", "delete b/u2@2 inferred")
	if !records[4].InferredSince.Before(records[1].Time) || !records[3].InferredSince.Equal(records[4].InferredSince) {
		t.Error("with the checkpoint withdrawn, what is inferred happened since the gap began")
	}
	if got := w.stream(pods).Checkpoint(); got != "10" {
		t.Errorf("checkpoint %q after the sync has ended", got)
	}
}

func TestAnotherUIDUnderANameEndsTheOldOne(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 2", "+a/u2@5", "-a/u1@6", "~a/u2@7")
	records := w.records(pods)
	expect(t, records, "create a/u1@1 initial", "delete a/u1@1 inferred", "create a/u2@5", "update a/u2@7")
	if records[1].Revision != 2 || records[3].Revision != 2 {
		t.Errorf("revisions %d and %d: each incarnation has its own", records[1].Revision, records[3].Revision)
	}
}

func TestUnknownObjectThatWasModifiedIsNoCreation(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "end 2", "~a/u1@5", "-b/u2@6")
	expect(t, w.records(pods), "create a/u1@5 initial")
}

func TestFramesAndBookmarksNeedASyncFirst(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	for _, step := range []string{"+a/u1@1", "bookmark 3", "end 4"} {
		if err := w.tell(s, step); err == nil {
			t.Errorf("%s is taken without a sync", step)
		}
	}
	w.feed(s, "sync", "bookmark 3", "+a/u1@1", "abort")
	for _, step := range []string{"~a/u1@2", "bookmark 3", "end 4"} {
		if err := w.tell(s, step); err == nil {
			t.Errorf("%s is taken after a broken sync", step)
		}
	}
	expect(t, w.records(pods), "create a/u1@1 initial")
	if got := w.stream(pods).Checkpoint(); got != "" {
		t.Errorf("checkpoint %q", got)
	}
}

func TestBookmarksMoveTheCheckpoint(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 2", "bookmark 30")
	if s.Checkpoint() != "30" {
		t.Errorf("checkpoint %q", s.Checkpoint())
	}
	expect(t, w.records(pods), "create a/u1@1 initial")
	if got := w.stream(pods).Checkpoint(); got != "30" {
		t.Errorf("after a restart the checkpoint is %q", got)
	}
}

func TestStreamIsOnePerResource(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	first := w.stream(pods)
	w.feed(first, "sync", "+a/u1@1", "end 2")
	newer := pods
	newer.Version = "v2"
	second := w.stream(newer)
	w.feed(second, "~a/u1@1")
	if second.Checkpoint() != "2" {
		t.Errorf("asked again, the stream resumes from %q", second.Checkpoint())
	}
	if err := second.Observe(t.Context(), frame("~", `{"metadata":{"name":"a","namespace":"shop","uid":"u1","resourceVersion":"9"}}`)); err != nil {
		t.Fatal(err)
	}
	records := w.records(pods)
	expect(t, records, "create a/u1@1 initial", "update a/u1@9")
	if records[1].Version != "v2" {
		t.Errorf("version %q, want the new one", records[1].Version)
	}
}
