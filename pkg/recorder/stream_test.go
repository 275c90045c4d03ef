package recorder_test

import (
	"strings"
	"testing"

	"github.com/watchhistory/watchhistory/pkg/history"
	"github.com/watchhistory/watchhistory/pkg/recorder"
)

func TestStream_FirstSyncMarksInitial(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	if s.Checkpoint() != "" {
		t.Errorf("empty log: got checkpoint %q, want none", s.Checkpoint())
	}
	w.feed(s, "sync", "+a/u1@5", "+b/u2@3", "end 7", "+c/u3@8", "~a/u1@9", "-b/u2@10")
	if s.Checkpoint() != "10" {
		t.Errorf("got checkpoint %q, want 10 of the last watch event", s.Checkpoint())
	}
	expect(t, w.records(pods),
		"create a/u1@5 initial", "create b/u2@3 initial", "create c/u3@8", "update a/u1@9", "delete b/u2@10")
	if got := w.stream(pods).Checkpoint(); got != "10" {
		t.Errorf("after a restart: got checkpoint %q, want 10", got)
	}
}

func TestStream_RecordsRepeatedVersionOnce(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@5", "+a/u1@5", "end 7", "~a/u1@8", "~a/u1@8",
		"-a/u1@9", "-a/u1@9", "+b/u2@10")
	w.restart()
	w.feed(w.stream(pods), "+b/u2@10", "-a/u1@9", "sync", "+b/u2@10", "end 11")
	expect(t, w.records(pods), "create a/u1@5 initial", "update a/u1@8", "delete a/u1@9", "create b/u2@10")
}

func TestStream_LaterSyncInfersMissedChanges(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+same/u1@1", "+changed/u2@2", "+gone/u3@3", "+replaced/u4@4", "end 7")
	w.restart()
	before, err := w.store.Checkpoint(t.Context(), pods.GroupResource())
	if err != nil {
		t.Fatal(err)
	}
	w.feed(w.stream(pods), "sync", "+same/u1@1", "+changed/u2@12", "~changed/u2@13", "+replaced/u5@11",
		"+new/u6@10", "-same/u1@14", "end 15", "+late/u7@16")
	records := w.records(pods)
	expect(t, records[4:], "update changed/u2@12 inferred", "update changed/u2@13",
		"delete replaced/u4@4 inferred", "create replaced/u5@11 inferred",
		"create new/u6@10 inferred", "delete same/u1@14", "delete gone/u3@3 inferred", "create late/u7@16")
	for _, r := range records {
		if !r.InferredSince.IsZero() && !r.InferredSince.Equal(before.CompleteUntil()) {
			t.Errorf("%s: got inferred since %s, want %s of the checkpoint",
				r.Ref, r.InferredSince, before.CompleteUntil())
		}
		if r.Verb == history.Delete && r.Ref.Name != "same" && !strings.Contains(string(r.Object), `"node-`+r.RV+`"`) {
			t.Errorf("deletion of %s: got object %s, want that of version %s", r.Ref, r.Object, r.RV)
		}
	}
}

func TestStream_BrokenSyncInfersNoDeletion(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "+b/u2@2", "end 7", "~a/u1@8", "sync", "+a/u1@9", "abort")
	if s.Checkpoint() != "" {
		t.Errorf("after a broken sync: got checkpoint %q, want none", s.Checkpoint())
	}
	w.feed(s, "sync", "+b/u2@2", "+a/u1@9", "end 10")
	expect(t, w.records(pods), "create a/u1@1 initial", "create b/u2@2 initial",
		"update a/u1@8", "update a/u1@9 inferred")
}

func TestStream_InfersDeletionAfterBrokenSync(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "+b/u2@2", "abort", "sync", "+b/u2@3", "+c/u3@4", "end 5")
	records := w.records(pods)
	expect(t, records, "create a/u1@1 initial", "create b/u2@2 initial", "update b/u2@3 inferred",
		"create c/u3@4 initial", "delete a/u1@1 inferred")
	if !records[2].InferredSince.Equal(records[1].Time) || !records[4].InferredSince.Equal(records[0].Time) {
		t.Errorf("without a checkpoint: got changes inferred since %s and %s, "+
			"want since the last versions at %s and %s",
			records[2].InferredSince, records[4].InferredSince, records[1].Time, records[0].Time)
	}
}

func TestStream_SyncStartsAgainAfterCrash(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "+b/u2@2", "end 3")
	w.restart()
	w.feed(w.stream(pods), "sync", "+a/u1@9")
	w.restart()
	s := w.stream(pods)
	if s.Checkpoint() != "" {
		t.Errorf("after a crash in a sync: got checkpoint %q, want none: versions before 9 would follow it",
			s.Checkpoint())
	}
	w.feed(s, "sync", "+a/u1@9", "+c/u3@8", "end 10")
	records := w.records(pods)
	expect(t, records[2:], "update a/u1@9 inferred", "create c/u3@8 inferred", "delete b/u2@2 inferred")
	if !records[4].InferredSince.Before(records[1].Time) || !records[3].InferredSince.Equal(records[4].InferredSince) {
		t.Errorf("after the checkpoint was withdrawn: got changes inferred since %s and %s, "+
			"want since the start of the gap, before %s",
			records[3].InferredSince, records[4].InferredSince, records[1].Time)
	}
	if got := w.stream(pods).Checkpoint(); got != "10" {
		t.Errorf("after the sync: got checkpoint %q, want 10", got)
	}
}

func TestStream_NewUIDInfersDeletionOfOldObject(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "+a/u1@1", "end 2", "+a/u2@5", "-a/u1@6", "~a/u2@7")
	records := w.records(pods)
	expect(t, records, "create a/u1@1 initial", "delete a/u1@1 inferred", "create a/u2@5", "update a/u2@7")
	if records[1].Revision != 2 || records[3].Revision != 2 {
		t.Errorf("got revisions %d and %d, want 2 and 2: each incarnation has its own",
			records[1].Revision, records[3].Revision)
	}
}

func TestStream_ModifiedUnknownObjectIsInitial(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	w.feed(w.stream(pods), "sync", "end 2", "~a/u1@5", "-b/u2@6")
	expect(t, w.records(pods), "create a/u1@5 initial")
}

func TestStream_RequiresSyncFirst(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	for _, step := range []string{"+a/u1@1", "bookmark 3", "end 4"} {
		if err := w.tell(s, step); err == nil {
			t.Errorf("%s without a sync: got no error, want one", step)
		}
	}
	w.feed(s, "sync", "bookmark 3", "+a/u1@1", "abort")
	for _, step := range []string{"~a/u1@2", "bookmark 3", "end 4"} {
		if err := w.tell(s, step); err == nil {
			t.Errorf("%s after a broken sync: got no error, want one", step)
		}
	}
	expect(t, w.records(pods), "create a/u1@1 initial")
	if got := w.stream(pods).Checkpoint(); got != "" {
		t.Errorf("got checkpoint %q, want none", got)
	}
}

func TestStream_BookmarkMovesCheckpoint(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	s := w.stream(pods)
	w.feed(s, "sync", "+a/u1@1", "end 2", "bookmark 30")
	if s.Checkpoint() != "30" {
		t.Errorf("got checkpoint %q, want 30", s.Checkpoint())
	}
	expect(t, w.records(pods), "create a/u1@1 initial")
	if got := w.stream(pods).Checkpoint(); got != "30" {
		t.Errorf("after a restart: got checkpoint %q, want 30", got)
	}
}

func TestRecorder_OneStreamPerResource(t *testing.T) {
	w := open(t, recorder.Options{}, nil)
	first := w.stream(pods)
	w.feed(first, "sync", "+a/u1@1", "end 2")
	newer := pods
	newer.Version = "v2"
	second := w.stream(newer)
	w.feed(second, "~a/u1@1")
	if second.Checkpoint() != "2" {
		t.Errorf("second call: got a stream at checkpoint %q, want 2", second.Checkpoint())
	}
	if err := second.Observe(t.Context(),
		watchEvent("~", `{"metadata":{"name":"a","namespace":"shop","uid":"u1","resourceVersion":"9"}}`)); err != nil {
		t.Fatal(err)
	}
	records := w.records(pods)
	expect(t, records, "create a/u1@1 initial", "update a/u1@9")
	if records[1].Version != "v2" {
		t.Errorf("got API version %q, want v2", records[1].Version)
	}
}
