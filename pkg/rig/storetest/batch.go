package storetest

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// invalidBatchChangesNothing appends batches with one mistake. Nothing of them
// is in the log, and the log accepts the next batch.
func invalidBatchChangesNothing(s *subject) {
	long := strings.Repeat("n", 2000)
	for what, spoil := range map[string]func(*history.Batch){
		"no verb":     func(b *history.Batch) { b.Versions[1].Verb = 0 },
		"no resource": func(b *history.Batch) { b.Versions[1].Ref.Resource = "" },
		"no name":     func(b *history.Batch) { b.Versions[1].Ref.Name = "" },
		"an invalid namespace": func(b *history.Batch) {
			b.Versions[1].Ref.Namespace = history.ClusterScoped.String()
		},
		"a long namespace":                func(b *history.Batch) { b.Versions[1].Ref.Namespace = long },
		"a long name":                     func(b *history.Batch) { b.Versions[1].Ref.Name = long },
		"a long resource":                 func(b *history.Batch) { b.Versions[1].Ref.Resource = long },
		"a checkpoint without a resource": func(b *history.Batch) { b.Checkpoints[1].Resource = "" },
		"a gap without a resource":        func(b *history.Batch) { b.Gaps[1].Resource = "" },
		"gap without a start":             func(b *history.Batch) { b.Gaps[1].Start = b.Gaps[1].End },
	} {
		b := &history.Batch{
			Versions:    newVersions(version("good", "1", history.Create), version("bad", "2", history.Create)),
			Checkpoints: []history.Checkpoint{{Resource: "pods", RV: "2"}, {Resource: "nodes"}},
			Gaps:        []history.Gap{{Resource: "pods", Start: s.now}, {Resource: "nodes", Start: s.now}},
		}
		spoil(b)
		if err := s.Append(s.t.Context(), b); history.CodeOf(err) != history.Invalid {
			s.t.Errorf("%s: got error %v, want an invalid one", what, err)
		}
		s.isEmpty("after a batch with " + what)
	}
	r := version("good", "1", history.Create)
	if s.put(r); r.Revision != 1 {
		s.t.Errorf("first version: got revision %d, want 1", r.Revision)
	}
}

// isEmpty checks that the log has no records, heads, gaps or checkpoint of pods
// and nodes.
func (s *subject) isEmpty(when string) {
	s.t.Helper()
	records, gaps, heads := s.all(history.Scan{}), s.gaps(s.now.Add(-aDay), s.now.Add(aDay)), s.heads(pods())
	if len(records)+len(gaps)+len(heads) != 0 || s.checkpoint(pods()).RV != "" {
		s.t.Errorf("%s: got %d records, %d heads, gaps %+v and checkpoint %q, want nothing",
			when, len(records), len(heads), gaps, s.checkpoint(pods()).RV)
	}
}

// batchIsAtomic reads while batches are appended. Readers see a whole batch or
// nothing of it.
func batchIsAtomic(s *subject) {
	const size, batches = 7, 150
	s.concurrently(2, func(reader int) bool {
		n := 0
		for _, err := range s.Scan(s.t.Context(), history.Scan{Order: history.Order(reader)}) {
			if n++; err != nil {
				s.t.Error(err)
				return false
			}
		}
		if n%size != 0 {
			s.t.Errorf("got %d records, want a multiple of %d", n, size)
		}
		return n%size == 0
	}, func() {
		for i := range batches {
			var b history.Batch
			for j := range size {
				b.Versions = append(b.Versions,
					newVersion(version(fmt.Sprint("web-", j), fmt.Sprint(i), history.Update)))
			}
			s.commit(&b)
		}
	})
}

// batchOfThousands appends more records than fit in a transaction, with one and
// with two versions of an object.
func batchOfThousands(s *subject) {
	const size, objects = 9000, 5000
	b := &history.Batch{Checkpoints: []history.Checkpoint{
		{Resource: "pods", RV: "9000"}, {Group: "apps", Resource: "deployments", RV: "1"},
	}}
	var records []*history.Record
	for i := range size {
		records = append(records, version(fmt.Sprint("web-", i%objects), fmt.Sprint(i), history.Update))
	}
	b.Versions = newVersions(records...)
	s.commit(b)
	s.same("the batch", read(true, records...), s.all(history.Scan{Bodies: true}))
	if r := records[size-1]; r.Revision != 2 {
		s.t.Errorf("%s: got revision %d, want 2", r.Ref, r.Revision)
	}
	if n := len(s.heads(pods())); n != objects {
		s.t.Errorf("got %d heads, want %d", n, objects)
	}
	c := s.checkpoint(pods())
	if c.RV != "9000" || !c.Time.Equal(b.Checkpoints[0].Time) || c.Time.Before(records[size-1].Time) {
		s.t.Errorf("got checkpoint %+v, want %+v", c, b.Checkpoints[0])
	}
	if c := s.checkpoint(schema.GroupResource{Group: "apps", Resource: "deployments"}); c.RV != "1" {
		s.t.Errorf("got checkpoint %+v, want resourceVersion 1", c)
	}
}
