package sample

import (
	"math/rand/v2"
	"time"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// Options describe a made-up cluster.
type Options struct {
	Seed uint64
	// Objects is about how many are alive at a time, once there are some for every frame in 50.
	Objects int
	Start   time.Time     // when the first frame comes
	Every   time.Duration // between two frames
}

// kind is a kind of objects, and a source of frames of its own.
type kind struct {
	resource history.Resource
	template template
	frames   int    // of 100
	objects  int    // of 100
	turn     int    // the number of frames so far
	next     func() // makes the next frame, and tells Cluster.emit
	alive    []object
}

// object is what a cluster knows of an object: everything else is drawn from its number.
type object struct {
	number   uint64 // 0 where there is none
	born     time.Time
	changed  time.Time // when it came into its step
	step     int
	count    int    // how often it restarted, or was repeated
	revision int    // of the Deployment that it belongs to
	place    int    // of the pod that it is about
	about    uint64 // the number of that pod
}

// Cluster makes up the frames of a cluster's watches. It is for one goroutine.
type Cluster struct {
	rng    *rand.Rand
	seed   uint64
	now    time.Time
	every  time.Duration
	rv     int
	serial uint64 // of the object that was created last
	frame  WatchEvent
	parts  parts

	pods, nodes, events, leases, replicaSets, deployments, endpointSlices, databases *kind

	moving  []int // the places of the pods that something happens to
	recent  []int // the places of the Events of late
	images  []string
	reasons []reason
}

// parts are templates of parts of objects.
type parts struct {
	containers, containerFields, kubelet, podStatus, podTemplate, templateFields, endpoint template
}

// New returns a cluster in which nothing is yet.
func New(o Options) *Cluster {
	c := &Cluster{
		rng: rand.New(rand.NewPCG(o.Seed, 1)), seed: o.Seed, now: o.Start, every: o.Every, //nolint:gosec // repeatable
		parts: parts{
			read("containers"), read("containerfields"), read("kubelet"), read("podstatus"), read("podtemplate"), read("templatefields"), read("endpoint"),
		},
	}
	c.pods = &kind{resource: resource("", "v1", "pods", "Pod"), frames: 44, objects: 45, next: c.nextPod}
	c.nodes = &kind{resource: resource("", "v1", "nodes", "Node"), frames: 9, objects: 3, next: c.nextNode}
	c.events = &kind{resource: resource("", "v1", "events", "Event"), frames: 16, objects: 16, next: c.nextEvent}
	c.leases = &kind{resource: resource("coordination.k8s.io", "v1", "leases", "Lease"), frames: 9, objects: 3, next: c.nextLease}
	c.replicaSets = &kind{resource: resource("apps", "v1", "replicasets", "ReplicaSet"), frames: 6, objects: 24, next: c.nextReplicaSet}
	c.deployments = &kind{resource: resource("apps", "v1", "deployments", "Deployment"), frames: 6, objects: 6, next: c.nextDeployment}
	c.endpointSlices = &kind{resource: resource("discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"), frames: 5, objects: 6, next: c.nextEndpointSlice}
	c.databases = &kind{resource: resource("shop.example.com", "v1", "databases", "Database"), frames: 5, objects: 4, next: c.nextDatabase}
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

// kinds returns them in an order that never changes.
func (c *Cluster) kinds() []*kind {
	return []*kind{c.pods, c.nodes, c.events, c.leases, c.replicaSets, c.deployments, c.endpointSlices, c.databases}
}

// Resources returns what the cluster serves.
func (c *Cluster) Resources() []history.Resource {
	var list []history.Resource
	for _, k := range c.kinds() {
		list = append(list, k.resource)
	}
	return list
}

// Now returns when the last frame came.
func (c *Cluster) Now() time.Time { return c.now }

// Next returns the next frame, whose object belongs to the caller.
func (c *Cluster) Next() WatchEvent {
	c.now = c.now.Add(c.every)
	c.rv += 1 + c.rng.IntN(3)
	n := c.rng.IntN(100)
	for _, k := range c.kinds() {
		if n < k.frames {
			k.next()
			k.turn++
			break
		}
		n -= k.frames
	}
	return c.frame
}

// emit makes the next frame of an object's values.
func (c *Cluster) emit(k *kind, t history.WatchEventType, o *object, v values) {
	v["rv"], v["now"], v["born"], v["uid"] = number(c.rv), second(c.now), second(o.born), c.uid(o.number)
	c.frame = WatchEvent{Resource: k.resource, WatchEvent: history.WatchEvent{Type: t, Object: k.template.fill(v)}}
}

// wave is how many Deployments roll at a time, and other kinds change with: what changes together is a few objects, not all.
const wave = 8

// inWaves tells whose turn it is where objects change in waves, each so many times in a row: its place, which of the times it is,
// and how often it had its turn before.
func (k *kind) inWaves(places, times int) (place, step, round int) {
	block, at := k.turn/(wave*times), k.turn%(wave*times)
	groups := places / wave
	return block%groups*wave + at%wave, at / wave, block / groups
}

// lived returns the object that never dies in a place, and how it changed: Added where it is new.
func (c *Cluster) lived(k *kind, place int) (*object, history.WatchEventType) {
	o := &k.alive[place]
	if o.number != 0 {
		return o, history.Modified
	}
	*o = object{number: c.permanent(k, place), born: c.now}
	return o, history.Added
}

// permanent is the number of the object that always is in a place.
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
