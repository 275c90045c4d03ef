package sample

import (
	"fmt"
	"slices"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// reason is the content of an Event.
type reason struct {
	kind, name string
	message    template
}

// allReasons returns the reasons of Events.
func allReasons() []reason {
	return []reason{
		{"Normal", "Pulled", parse(`Container image \"registry.example.com/shop/${app}:1.4.0\" ` +
			`already present on machine and can be accessed by the pod`)},
		{"Normal", "Created", parse(`Container created`)},
		{"Normal", "Started", parse(`Container started`)},
		{
			"Warning", "BackOff",
			parse(`Back-off restarting failed container ${app} in pod ${pod}_${namespace}(${podUID})`),
		},
		{"Warning", "Unhealthy", parse(`Readiness probe failed: HTTP probe failed with statuscode: 503`)},
		{"Normal", "Killing", parse(`Stopping container ${app}`)},
	}
}

// nextEvent creates an Event that regards a changing pod, repeats a recent
// Event, or deletes the oldest one, as the API server does when it expires.
func (c *Cluster) nextEvent() {
	place := c.events.turn % len(c.events.alive)
	o := &c.events.alive[place]
	switch {
	case c.rng.IntN(4) == 0 && len(c.recent) > 0:
		c.events.turn-- // the next turn has the same place
		o = &c.events.alive[c.recent[c.rng.IntN(len(c.recent))]]
		o.count++
		o.changed = c.now
		c.emit(c.events, history.Modified, o, c.eventValues(o))
	case o.number != 0:
		c.events.turn-- // the next turn creates an Event in the same place
		c.recent = slices.DeleteFunc(c.recent, func(i int) bool { return i == place })
		c.emit(c.events, history.Deleted, o, c.eventValues(o))
		*o = object{}
	default:
		*o = c.create()
		o.place, o.count, o.step = c.moving[c.rng.IntN(len(c.moving))], 1, c.rng.IntN(len(c.reasons))
		pod := c.pods.alive[o.place]
		o.about, o.revision = pod.number, max(1, pod.revision)
		if c.recent = append(c.recent, place); len(c.recent) > 4*wave {
			c.recent = c.recent[1:]
		}
		c.emit(c.events, history.Added, o, c.eventValues(o))
	}
}

func (c *Cluster) eventValues(o *object) values {
	app, why := c.appOf(o.place), c.reasons[o.step]
	v := values{
		"app": application(app), "namespace": namespaceOf(app),
		"pod": c.podName(o.about, app, o.revision), "podUID": c.uid(o.about),
	}
	v["name"] = fmt.Sprintf("%s.%x", v["pod"], c.draw(o.number, forName))
	v["podRV"], v["node"] = number(int(o.number)*7), nodeName(o.place%len(c.nodes.alive))
	v["type"], v["reason"], v["message"] = why.kind, why.name, why.message.text(v)
	v["last"], v["count"] = second(o.changed), number(o.count)
	return v
}
