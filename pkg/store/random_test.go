package store_test

import (
	"bytes"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

func groupResources() []schema.GroupResource {
	return []schema.GroupResource{
		{Resource: "pods"},
		{Resource: "events"},
		{Resource: "nodes"},
		{Group: "apps", Resource: "deployments"},
		{Group: "example.com", Resource: "pods"},
	}
}

func pick[T any](m *model, of ...T) T { return of[m.rng.IntN(len(of))] }

func (m *model) chance(percent int) bool { return m.rng.IntN(100) < percent }

func (m *model) uid() types.UID { return types.UID(fmt.Sprintf("uid-%d", m.rng.IntN(6))) }

func (m *model) namespace() string { return pick(m, "shop", "kube-system", "café\xff\x00") }

func (m *model) name() string {
	return pick(m, "web", "web-1", "db", "", "\x00\xff", string(bytes.Repeat([]byte{'n'}, 253)))
}

func (m *model) target() *history.Target {
	return &history.Target{
		Group: pick(m, "", "apps"), Kind: pick(m, "Pod", "Node"), Namespace: pick(m, "", m.namespace()),
		Name: m.name(), UID: pick(m, "", types.UID("web"), m.uid()),
	}
}

// ref is an object's, often that of a record before.
func (m *model) ref() history.ObjectRef {
	if len(m.records) > 0 && m.chance(40) {
		return m.records[max(0, len(m.records)-1-m.rng.IntN(8))].Ref
	}
	gr := pick(m, groupResources()...)
	ref := history.ObjectRef{Group: gr.Group, Resource: gr.Resource, Name: m.name(), UID: m.uid()}
	if ref.Name == "" {
		ref.Name = "x"
	}
	if gr.Resource != "nodes" {
		ref.Namespace = m.namespace()
	}
	return ref
}

func (m *model) record() *history.Record {
	m.rv++
	r := &history.Record{
		Ref: m.ref(), Version: pick(m, "v1", "v1beta1"), Kind: pick(m, "Pod", "Thing"),
		Verb: pick(m, history.Create, history.Update, history.Update, history.Delete),
		RV:   fmt.Sprint(m.rv), Initial: m.chance(10), ManagedHashes: []uint64{m.rng.Uint64(), 7},
		Object: fmt.Appendf(nil, `{"rv":"%d","junk":"%x\xff","spec":"which is the same in all versions of all objects, and so takes room only once"}`, m.rv, m.rng.Uint64()),
	}
	// What is said to be the version before may be none, or another object's.
	r.Before = pick(m, m.bodies[r.Ref], m.bodies[r.Ref], m.bodies[r.Ref], m.bodies[m.ref()], nil)
	m.bodies[r.Ref] = r.Object
	if m.chance(10) {
		r.InferredSince = m.clock.t.Add(-time.Minute).UTC()
	}
	for range m.rng.IntN(3) {
		r.Managers = append(r.Managers, history.Manager{
			Name: pick(m, "kubectl-edit", "kubelet"), Operation: "Update", Subresource: pick(m, "", "status"),
			Time: pick(m, time.Time{}, m.clock.t.UTC()),
		})
		r.Owners = append(r.Owners, m.uid())
	}
	if m.chance(30) {
		r.Regarding = m.target()
	}
	return r
}

func (m *model) batch() *history.Batch {
	b := &history.Batch{}
	for range m.rng.IntN(6) {
		b.Records = append(b.Records, m.record())
	}
	if m.chance(50) {
		gr := pick(m, groupResources()...)
		b.Checkpoints = append(b.Checkpoints, history.Checkpoint{Group: gr.Group, Resource: gr.Resource, RV: fmt.Sprint(m.rv)})
	}
	return b
}

func maybe[T any](m *model, percent int, v T) (none T) {
	if m.chance(percent) {
		return v
	}
	return none
}

func (m *model) filter() history.Filter {
	f := history.Filter{
		Namespace: history.ParseNamespaceScope(maybe(m, 30, pick(m, "-", m.namespace(), "nowhere"))), Name: maybe(m, 25, m.name()), UID: maybe(m, 20, m.uid()),
		Owner: maybe(m, 15, m.uid()), Manager: maybe(m, 15, "kubelet"), Regarding: maybe(m, 15, m.target()),
		Verbs: maybe(m, 25, []history.Verb{pick(m, history.Create, history.Update), history.Delete}),
	}
	if m.chance(40) {
		f.Resources = []schema.GroupResource{pick(m, groupResources()...), pick(m, append(groupResources(), schema.GroupResource{Resource: "no"})...)}
	}
	if m.chance(15) {
		f.Revisions = []uint64{1, uint64(m.rng.IntN(5))}
	}
	if m.chance(30) {
		f.Start = m.someTime()
	}
	if m.chance(30) {
		f.End = m.someTime()
	}
	return f
}

// someTime is the time of a record, one beside it, or one far away.
func (m *model) someTime() time.Time {
	if len(m.records) == 0 || m.chance(10) {
		return pick(m, time.Unix(0, 0), time.Unix(-1, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	}
	return pick(m, m.records...).Time.Add(time.Duration(m.rng.IntN(3) - 1))
}
