package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// reservedOnlyByName adds records of reserved resources that every other
// condition of a filter selects, and a gap. Only filters that name a reserved
// resource select them, in scans, counts, states and comparisons.
func reservedOnlyByName(s *subject) {
	records := s.population()
	asked := filters(records)
	before := records[len(records)-1].Time
	documents, unread := history.Documents(), history.UnreadDocuments()
	by := func(of ...schema.GroupResource) history.Filter { return history.Filter{Resources: of} }
	asked["of documents"], asked["of unread documents"] = by(documents), by(unread)
	asked["of documents and pods"] = by(documents, pods())
	asked["of all reserved resources"] = by(history.ReservedResources()...)
	s.now = s.now.Add(time.Hour)
	for _, verb := range []history.Verb{history.Create, history.Update} {
		for i, r := range []schema.GroupResource{documents, unread} {
			for _, namespace := range []string{"", "shop"} {
				record := of(history.ObjectRef{
					Group: r.Group, Resource: r.Resource, Namespace: namespace, Name: "web", UID: "uid-web",
				}, verb)
				s.adorn(record, len(records)+i)
				record.Owners = []types.UID{"owner-2"}
				record.Managers = []history.Manager{{Name: "kubelet"}, {Name: "kubectl"}}
				record.Regarding = &history.Target{Kind: "Pod", Namespace: "shop", Name: "web"}
				s.put(record)
				records = append(records, record)
			}
		}
	}
	last := records[len(records)-1].Time
	gap := history.Gap{
		Group: documents.Group, Resource: documents.Resource, Start: before, End: last, Reason: history.GapRestarted,
	}
	s.commit(&history.Batch{Gaps: []history.Gap{gap}})
	for range 2 {
		for what, f := range asked {
			for _, order := range []history.Order{history.OldestFirst, history.NewestFirst} {
				want := read(false, matching(f, order, records)...)
				got := s.all(history.Scan{Filter: f, Order: order})
				s.same(fmt.Sprintf("records %s, order %d", what, order), want, got)
			}
			want := len(matching(f, history.OldestFirst, records))
			if n, _, err := s.Count(s.t.Context(), f, 1_000_000); n != want || err != nil {
				s.t.Errorf("records %s: got count %d, error %v, want %d", what, n, err, want)
			}
			s.same("state of records "+what, read(false, stateOf(records, f, last, last)...),
				s.state(history.StateScan{Filter: f, At: last}))
			changed := differencesOf(records, f, before, last)
			if got := s.differences(history.CompareScan{Filter: f, From: before, To: last}); len(got) != len(changed) {
				s.t.Errorf("comparison of records %s: got %d differences, want %d", what, len(got), len(changed))
			}
		}
		if got := s.everyGap(); len(got) > 0 {
			s.t.Errorf("gaps of all resources: got %+v, want none", got)
		}
		if d := cmp.Diff([]history.Gap{gap}, s.gaps(time.Time{}, time.Time{}, documents)); d != "" {
			s.t.Errorf("gaps of documents (-want +got):\n%s", d)
		}
		catalogue, err := s.Resources(s.t.Context())
		if err != nil || slices.ContainsFunc(catalogue, func(r history.Resource) bool {
			return history.IsReserved(r.GroupResource())
		}) {
			s.t.Errorf("catalogue: got %+v, error %v, want no reserved resource", catalogue, err)
		}
		s.reopen()
	}
}
