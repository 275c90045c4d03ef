// Package sample makes up the versions of a cluster's objects for tests and benchmarks: pods whose status changes, nodes
// that report their condition, and Events about the pods.
//
// The same seed gives the same versions. Objects have the fields, the field order and about the sizes that an API server
// serves, without managedFields; identifiers, addresses and hashes are random, since they are what compresses worst.
package sample

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Cluster is a source of versions. It is for one goroutine.
type Cluster struct {
	rng   *rand.Rand
	rv    int
	now   time.Time
	pods  []*corev1.Pod
	nodes []*corev1.Node
	last  map[types.UID][]byte // the newest versions' JSON
}

// New returns a cluster that holds so many pods at a time, and a node for every ten of them.
func New(seed uint64, pods int) *Cluster {
	c := &Cluster{rng: rand.New(rand.NewPCG(seed, 0)), now: time.Unix(1_790_000_000, 0), last: map[types.UID][]byte{}}
	c.pods = make([]*corev1.Pod, pods)
	c.nodes = make([]*corev1.Node, pods/10+1)
	return c
}

// Next returns the next version of some object: 60 of 100 are of pods, 15 of nodes and 25 of new Events. Objects are
// deleted now and then, and others come in their place.
func (c *Cluster) Next() *history.Record {
	c.rv += 1 + c.rng.IntN(20)
	c.now = c.now.Add(time.Duration(c.rng.IntN(300)) * time.Millisecond)
	switch n := c.rng.IntN(100); {
	case n < 60:
		return c.nextPod(c.rng.IntN(len(c.pods)))
	case n < 75:
		return c.nextNode(c.rng.IntN(len(c.nodes)))
	default:
		return c.nextEvent(c.rng.IntN(len(c.pods)))
	}
}

// Take returns the next n versions.
func (c *Cluster) Take(n int) []*history.Record {
	list := make([]*history.Record, n)
	for i := range list {
		list[i] = c.Next()
	}
	return list
}

func (c *Cluster) uid() types.UID {
	a, b := c.rng.Uint64(), c.rng.Uint64()
	return types.UID(fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48, b&0xffffffffffff))
}

// suffix is the random end of a generated name.
func (c *Cluster) suffix(n int) string {
	const letters = "bcdfghjklmnpqrstvwxz2456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[c.rng.IntN(len(letters))]
	}
	return string(b)
}

func (c *Cluster) digest() string {
	return fmt.Sprintf("sha256:%016x%016x%016x%016x", c.rng.Uint64(), c.rng.Uint64(), c.rng.Uint64(), c.rng.Uint64())
}

func (c *Cluster) time() metav1.Time { return metav1.NewTime(c.now.Truncate(time.Second)) }

// record wraps an object's JSON. The object is one of ours: it always marshals.
func (c *Cluster) record(verb history.Verb, resource, kind string, m *metav1.ObjectMeta, object any) *history.Record {
	m.ResourceVersion = strconv.Itoa(c.rv)
	b, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	r := &history.Record{
		Ref:     history.ObjectRef{Resource: resource, Namespace: m.Namespace, Name: m.Name, UID: m.UID},
		Version: "v1", Kind: kind, Verb: verb, RV: m.ResourceVersion, Object: b,
		Writers: []uint64{c.rng.Uint64(), 1, 2}, Before: c.last[m.UID],
	}
	if c.last[m.UID] = b; verb == history.Delete || kind == "Event" {
		delete(c.last, m.UID) // no other version follows
	}
	for _, o := range m.OwnerReferences {
		r.Owners = append(r.Owners, o.UID)
	}
	return r
}
