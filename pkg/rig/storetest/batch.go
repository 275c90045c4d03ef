package storetest

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// invalidBatchesChangeNothing appends batches in which everything is right but one thing: the log has nothing of them, and goes on.
func invalidBatchesChangeNothing(s *subject) {
	long := strings.Repeat("n", 2000)
	for what, spoil := range map[string]func(*history.Batch){
		"no verb":               func(b *history.Batch) { b.Records[1].Verb = 0 },
		"no resource":           func(b *history.Batch) { b.Records[1].Ref.Resource = "" },
		"no name":               func(b *history.Batch) { b.Records[1].Ref.Name = "" },
		"no namespace's name":   func(b *history.Batch) { b.Records[1].Ref.Namespace = history.ClusterScoped.String() },
		"a long namespace":      func(b *history.Batch) { b.Records[1].Ref.Namespace = long },
		"a long name":           func(b *history.Batch) { b.Records[1].Ref.Name = long },
		"a long resource":       func(b *history.Batch) { b.Records[1].Ref.Resource = long },
		"checkpoint of nothing": func(b *history.Batch) { b.Checkpoints[1].Resource = "" },
		"gap of nothing":        func(b *history.Batch) { b.Gaps[1].Resource = "" },
		"gap without a start":   func(b *history.Batch) { b.Gaps[1].Start = b.Gaps[1].End },
	} {
		b := &history.Batch{
			Records:     []*history.Record{version("good", "1", history.Create), version("bad", "2", history.Create)},
			Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "2"}, {Resource: "nodes"}},
			Gaps:        []history.Gap{{Resource: "pods", Start: s.now}, {Resource: "nodes", Start: s.now}},
		}
		spoil(b)
		if err := s.Append(s.t.Context(), b); history.CodeOf(err) != history.Invalid {
			s.t.Errorf("%s: %v", what, err)
		}
		s.isEmpty("a batch that has " + what)
	}
	r := version("good", "1", history.Create)
	if s.put(r); r.Revision != 1 {
		s.t.Errorf("the first version has the revision %d", r.Revision)
	}
}

// isEmpty checks that the log has nothing of pods and nodes.
func (s *subject) isEmpty(behind string) {
	s.t.Helper()
	records, gaps, heads := s.all(history.Scan{}), s.gaps(s.now.Add(-aDay), s.now.Add(aDay)), s.heads(pods())
	if len(records)+len(gaps)+len(heads) != 0 || s.checkpoint(pods()).RV != "" {
		s.t.Errorf("%s left %d records, %d heads, the gaps %+v and the checkpoint %q",
			behind, len(records), len(heads), gaps, s.checkpoint(pods()).RV)
	}
}

// batchesAreSeenWhole reads while batches of some records are appended: readers see all of a batch, or nothing.
func batchesAreSeenWhole(s *subject) {
	const size, batches = 7, 150
	s.beside(2, func(reader int) bool {
		n := 0
		for _, err := range s.Scan(s.t.Context(), history.Scan{Order: history.Order(reader)}) {
			if n++; err != nil {
				s.t.Error(err)
				return false
			}
		}
		if n%size != 0 {
			s.t.Errorf("%d records are seen of batches of %d", n, size)
		}
		return n%size == 0
	}, func() {
		for i := range batches {
			var b history.Batch
			for j := range size {
				b.Records = append(b.Records, version(fmt.Sprint("web-", j), fmt.Sprint(i), history.Update))
			}
			s.commit(&b)
		}
	})
}

// batchesMayBeLarge appends more records at once than any transaction takes, of objects that have one version and two.
func batchesMayBeLarge(s *subject) {
	const records, objects = 9000, 5000
	b := &history.Batch{Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "9000"}, {Group: "apps", Resource: "deployments", RV: "1"}}}
	for i := range records {
		b.Records = append(b.Records, version(fmt.Sprint("web-", i%objects), fmt.Sprint(i), history.Update))
	}
	s.commit(b)
	s.same("the batch", read(true, b.Records...), s.all(history.Scan{Bodies: true}))
	if r := b.Records[records-1]; r.Revision != 2 {
		s.t.Errorf("revision %d of %s, want 2", r.Revision, r.Ref)
	}
	if n := len(s.heads(pods())); n != objects {
		s.t.Errorf("%d heads of %d objects", n, objects)
	}
	c := s.checkpoint(pods())
	if c.RV != "9000" || !c.Time.Equal(b.Checkpoints[0].Time) || c.Time.Before(b.Records[records-1].Time) {
		s.t.Errorf("checkpoint %+v; committed %+v", c, b.Checkpoints[0])
	}
	if c := s.checkpoint(schema.GroupResource{Group: "apps", Resource: "deployments"}); c.RV != "1" {
		s.t.Errorf("checkpoint %+v", c)
	}
}
