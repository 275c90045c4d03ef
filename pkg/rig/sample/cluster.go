package sample

import (
	"math/rand/v2"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Options describe a generated cluster.
type Options struct {
	Seed uint64
	// Objects is the approximate number of objects that exist, after 50 watch
	// events for each of them.
	Objects int
	Start   time.Time     // time of the first watch event
	Every   time.Duration // time between two watch events
}

// kind generates the watch events of one kind.
type kind struct {
	resource history.Resource
	template template
	events   int    // percentage of all watch events
	objects  int    // percentage of all objects
	turn     int    // number of watch events so far
	next     func() // generates the next watch event and calls Cluster.emit
	alive    []object
}

// object is the state of an object. Everything else is drawn from its number.
type object struct {
	number   uint64 // 0 means that there is no object
	born     time.Time
	changed  time.Time // when its step began
	step     int
	count    int    // number of restarts, or of repetitions of an Event
	revision int    // of the Deployment that owns it
	place    int    // of the pod that an Event regards
	about    uint64 // number of that pod
}

// Cluster generates the watch events of a cluster. It is not safe for
// concurrent use.
//
// Each kind has a fixed number of places for objects. A place is empty, or has
// one object.
type Cluster struct {
	rng    *rand.Rand
	seed   uint64
	now    time.Time
	every  time.Duration
	rv     int
	serial uint64     // of the newest object
	event  WatchEvent // the newest
	parts  parts

	pods, nodes, events, leases, replicaSets, deployments, endpointSlices, databases *kind

	moving  []int // places of the pods that change
	recent  []int // places of the newest Events
	images  []string
	reasons []reason
}

// parts are the templates of parts of objects.
type parts struct {
	containers, containerFields, kubelet, podStatus, podTemplate, templateFields, endpoint template
}

// New returns an empty cluster.
func New(o Options) *Cluster {
	c := &Cluster{
		rng: rand.New(rand.NewPCG(o.Seed, 1)), seed: o.Seed, now: o.Start, every: o.Every, //nolint:gosec // repeatable
		parts: parts{
			read("containers"), read("containerfields"), read("kubelet"), read("podstatus"),
			read("podtemplate"), read("templatefields"), read("endpoint"),
		},
	}
	c.pods = &kind{resource: resource("", "v1", "pods", "Pod"), events: 44, objects: 45, next: c.nextPod}
	c.nodes = &kind{resource: resource("", "v1", "nodes", "Node"), events: 9, objects: 3, next: c.nextNode}
	c.events = &kind{resource: resource("", "v1", "events", "Event"), events: 16, objects: 16, next: c.nextEvent}
	c.leases = &kind{
		resource: resource("coordination.k8s.io", "v1", "leases", "Lease"), events: 9, objects: 3, next: c.nextLease,
	}
	c.replicaSets = &kind{
		resource: resource("apps", "v1", "replicasets", "ReplicaSet"), events: 6, objects: 24, next: c.nextReplicaSet,
	}
	c.deployments = &kind{
		resource: resource("apps", "v1", "deployments", "Deployment"), events: 6, objects: 6, next: c.nextDeployment,
	}
	c.endpointSlices = &kind{
		resource: resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"),
		events:   5, objects: 6, next: c.nextEndpointSlice,
	}
	c.databases = &kind{
		resource: resource("shop.example.com", "v1", "databases", "Database"),
		events:   5, objects: 4, next: c.nextDatabase,
	}
	for _, k := range c.kinds() {
		k.template = read(lower(k.resource.Kind))
		groups := max(1, o.Objects*k.objects/100/wave)
		k.alive = make([]object, wave*groups)
	}
	c.replicaSets.alive = make([]object, keptRevisions*len(c.deployments.alive))
	c.endpointSlices.alive = make([]object, len(c.deployments.alive))
	c.leases.alive = make([]object, len(c.nodes.alive))
	for range max(wave, len(c.pods.alive)/50) {
		c.moving = append(c.moving, c.rng.IntN(len(c.pods.alive)))
	}
	c.images, c.reasons = c.poolOfImages(), allReasons()
	return c
}

// kinds returns all kinds, always in the same order.
func (c *Cluster) kinds() []*kind {
	return []*kind{c.pods, c.nodes, c.events, c.leases, c.replicaSets, c.deployments, c.endpointSlices, c.databases}
}

// Resources returns the resources that the cluster serves.
func (c *Cluster) Resources() []history.Resource {
	var list []history.Resource
	for _, k := range c.kinds() {
		list = append(list, k.resource)
	}
	return list
}

// Now returns the time of the last watch event.
func (c *Cluster) Now() time.Time { return c.now }

// Next returns the next watch event. The caller owns its object.
func (c *Cluster) Next() WatchEvent {
	c.now = c.now.Add(c.every)
	c.rv += 1 + c.rng.IntN(3)
	n := c.rng.IntN(100)
	for _, k := range c.kinds() {
		if n < k.events {
			k.next()
			k.turn++
			break
		}
		n -= k.events
	}
	return c.event
}

// emit sets the next watch event, of an object with these values.
func (c *Cluster) emit(k *kind, t history.WatchEventType, o *object, v values) {
	v["rv"], v["now"], v["born"], v["uid"] = number(c.rv), second(c.now), second(o.born), c.uid(o.number)
	c.event = WatchEvent{Resource: k.resource, WatchEvent: history.WatchEvent{Type: t, Object: k.template.fill(v)}}
}

// wave is the number of objects of one kind that change during the same time.
// It is small because in real clusters few objects change concurrently.
const wave = 8

// inWaves returns the place whose turn it is, for kinds whose objects change in
// waves. During a wave, each of its objects changes this many times; step is
// which of them it is. round is the number of earlier waves of the object.
func (k *kind) inWaves(places, times int) (place, step, round int) {
	block, at := k.turn/(wave*times), k.turn%(wave*times)
	groups := places / wave
	return block%groups*wave + at%wave, at / wave, block / groups
}

// lived returns the permanent object of a place, and the type of its watch
// event: Added if the object is new.
func (c *Cluster) lived(k *kind, place int) (*object, history.WatchEventType) {
	o := &k.alive[place]
	if o.number != 0 {
		return o, history.Modified
	}
	*o = object{number: c.permanent(k, place), born: c.now}
	return o, history.Added
}

// permanent returns the number of the permanent object of a place.
func (c *Cluster) permanent(k *kind, place int) uint64 {
	for i, other := range c.kinds() {
		if other == k {
			return uint64(i+1)<<48 | uint64(place)
		}
	}
	return 0
}

// create returns a new object.
func (c *Cluster) create() object {
	c.serial++
	return object{number: c.serial, born: c.now, changed: c.now}
}
