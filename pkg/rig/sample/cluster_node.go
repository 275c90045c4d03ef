package sample

import (
	"fmt"
	"strings"
)

// nodeImages is the number of images that a node reports. It is the maximum of
// a kubelet.
const nodeImages = 50

// poolOfImages returns images, as nodes report them.
func (c *Cluster) poolOfImages() []string {
	pool := make([]string, 4*nodeImages)
	for i := range pool {
		name := fmt.Sprintf("registry.example.com/shop/%s", application(i))
		of := uint64(i) | 1<<56
		pool[i] = fmt.Sprintf(`{"names":["%s@sha256:%s","%s:1.%d.0"],"sizeBytes":%d}`,
			name, c.digest(of, 0), name, i%7, c.draw(of, forHash)>>36)
	}
	return pool
}

// nextNode updates the status of a node. Only times change.
func (c *Cluster) nextNode() {
	place := c.nodes.turn % len(c.nodes.alive)
	o, t := c.lived(c.nodes, place)
	v := values{
		"name": nodeName(place), "zone": zone(place), "host": nodeAddress(place),
		"subnet": fmt.Sprintf("%d.%d", 64+place>>8, place&255),
	}
	v["machine"], v["system"], v["boot"] = c.digest(o.number, 0)[:32], c.uid(o.number|1<<40), c.uid(o.number|1<<41)
	first := place * 7 % (3 * nodeImages)
	v["images"] = "[" + strings.Join(c.images[first:first+nodeImages], ",") + "]"
	c.emit(c.nodes, t, o, v)
}

// nextLease renews the lease of a node.
func (c *Cluster) nextLease() {
	place := c.leases.turn % len(c.leases.alive)
	o, t := c.lived(c.leases, place)
	c.emit(c.leases, t, o, values{
		"name": nodeName(place), "owner": c.uid(c.permanent(c.nodes, place)),
		"nowMicro": c.now.UTC().Format("2006-01-02T15:04:05.000000Z07:00"),
	})
}

// nextDatabase updates the status of a custom resource, as an operator does.
func (c *Cluster) nextDatabase() {
	place := c.databases.turn % len(c.databases.alive)
	o, t := c.lived(c.databases, place)
	c.emit(c.databases, t, o, values{
		"app": fmt.Sprintf("db-%d", place), "namespace": namespaceOf(place), "lag": number(c.rng.IntN(9)),
		"backup": c.now.UTC().Format("20060102150405"), "wal": fmt.Sprintf("%024X", c.rv),
	})
}
