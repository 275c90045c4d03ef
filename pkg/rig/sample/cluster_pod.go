package sample

import (
	"fmt"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The steps of a pod's life. A ready pod does not change until its place is
// drawn again. Then it crashes a few times, or ends.
const (
	podCreated = iota + 1
	podBound
	podWaiting
	podRunning
	podReady
	podCrashed
	podRestarted
	podEnding
	podEnded
)

// nextPod takes one of the changing pods to its next step.
func (c *Cluster) nextPod() {
	at := c.rng.IntN(len(c.moving))
	place := c.moving[at]
	o := &c.pods.alive[place]
	t := history.Modified
	switch {
	case o.number == 0:
		*o = c.create()
		o.revision, o.step, t = max(1, c.deployments.alive[c.appOf(place)].revision), podCreated, history.Added
	case o.step == podEnded:
		t = history.Deleted
	default:
		c.stepPod(o)
	}
	c.emit(c.pods, t, o, c.podValues(o, place))
	if t == history.Deleted {
		*o = object{}
	}
	if o.step == podReady {
		c.moving[at] = c.rng.IntN(len(c.pods.alive))
	}
}

// stepPod sets the next step of an existing pod.
func (c *Cluster) stepPod(o *object) {
	switch o.step {
	case podReady:
		if o.step = podCrashed; c.rng.IntN(4) == 0 {
			o.step = podEnding
		}
	case podCrashed:
		o.step = podRestarted
	case podRestarted:
		if o.step = podCrashed; c.rng.IntN(5) < 2 {
			o.step = podReady
		}
	default: // start and end are the same for all pods
		o.step++
	}
	if o.step == podCrashed {
		o.count++
	}
	o.changed = c.now
}

// appOf returns the application of the pod in a place.
func (c *Cluster) appOf(place int) int { return place % len(c.deployments.alive) }

func (c *Cluster) podName(of uint64, app, revision int) string {
	return c.replicaSetName(app, revision) + "-" + c.suffix(of, forName, 5)
}

func (c *Cluster) podValues(o *object, place int) values {
	app, node := c.appOf(place), place%len(c.nodes.alive)
	rs := c.replicaSetNumber(app, o.revision)
	v := c.appValues(app, o.revision, fmt.Sprintf(`[{"name":"config","readOnly":true,"mountPath":"/etc/%s"},`+
		`{"name":"kube-api-access-%s","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}]`,
		application(app), c.suffix(o.number, forHash, 5)))
	v["name"] = c.podName(o.number, app, o.revision)
	v["replicaset"], v["owner"] = c.replicaSetName(app, o.revision), c.uid(rs)
	v["hash"], v["token"] = c.suffix(rs, forHash, 10), c.suffix(o.number, forHash, 5)
	v["generation"], v["zone"], v["born"], v["now"] = "1", zone(node), second(o.born), second(c.now)
	v["status"] = `{"phase":"Pending","qosClass":"Burstable"}`
	if o.step >= podBound {
		v["bound"] = fmt.Sprintf(`"nodeName":%q,`, nodeName(node))
		v["status"] = fmt.Sprintf(`{"phase":"Pending","conditions":[{"type":"PodScheduled",`+
			`"status":"True","lastProbeTime":null,`+
			`"lastTransitionTime":%q}],"qosClass":"Burstable"}`, second(o.born))
	}
	if o.step >= podWaiting {
		c.addStatus(v, o, node)
	}
	if o.step >= podEnding {
		v["generation"] = "2"
		v["deletion"] = fmt.Sprintf(`"deletionTimestamp":%q,"deletionGracePeriodSeconds":30,`, second(o.changed))
	}
	return v
}

// addStatus adds the status that the kubelet reports.
func (c *Cluster) addStatus(v values, o *object, node int) {
	started, ready := o.step > podWaiting, o.step == podReady || o.step == podEnding
	v["phase"] = map[bool]string{false: "Pending", true: "Running"}[started]
	v["host"], v["ip"] = nodeAddress(node), c.address(o.number)
	v["started"], v["startedAt"] = condition(started && o.step != podEnded), v["born"]
	v["ready"], v["readyAt"] = condition(ready), second(o.changed)
	v["appReady"], v["proxyReady"], v["restarts"] = flag(ready), flag(started && o.step != podEnded), number(o.count)
	v["appID"], v["proxyID"] = "", ""
	v["state"], v["proxy"] = `{"waiting":{"reason":"ContainerCreating"}}`, `{"waiting":{"reason":"ContainerCreating"}}`
	v["last"] = "{}"
	if started {
		v["address"] = fmt.Sprintf(`"podIP":%q,"podIPs":[{"ip":%q}],`, v["ip"], v["ip"])
		v["appID"] = "registry.example.com/shop/" + v["app"] + "@sha256:" +
			c.digest(c.replicaSetNumber(0, o.revision), 0)
		v["proxyID"] = "registry.example.com/mesh/proxy@sha256:" + c.digest(0, 1)
		v["appContainer"] = fmt.Sprintf(`"containerID":%q,`, c.container(o, o.count))
		v["proxyContainer"] = fmt.Sprintf(`"containerID":%q,`, c.container(o, -1))
		v["state"] = running(second(o.changed))
		v["proxy"] = running(v["born"])
	}
	if o.count > 0 {
		v["last"] = terminated(1, "Error", v["born"], second(o.changed), c.container(o, o.count-1))
	}
	switch o.step {
	case podCrashed:
		v["state"] = fmt.Sprintf(`{"waiting":{"reason":"CrashLoopBackOff",`+
			`"message":"back-off %ds restarting failed container=%s pod=%s_%s(%s)"}}`,
			10<<min(o.count, 5), v["app"], v["name"], v["namespace"], c.uid(o.number))
	case podEnded:
		v["phase"] = "Succeeded"
		v["state"] = terminated(0, "Completed", v["born"], second(o.changed), c.container(o, o.count))
		v["proxy"] = terminated(0, "Completed", v["born"], second(o.changed), c.container(o, -1))
	}
	v["status"] = c.parts.podStatus.text(v)
	v["kubelet"] = "," + c.parts.kubelet.text(v)
}

// container returns the ID of a pod's container after some restarts. -1 means
// the container of its proxy.
func (c *Cluster) container(o *object, restarts int) string {
	return "containerd://" + c.digest(o.number, uint64(2+restarts))
}

func running(since string) string { return fmt.Sprintf(`{"running":{"startedAt":%q}}`, since) }

func terminated(code int, reason, since, until, id string) string {
	return fmt.Sprintf(`{"terminated":{"exitCode":%d,"reason":%q,"startedAt":%q,"finishedAt":%q,"containerID":%q}}`,
		code, reason, since, until, id)
}
