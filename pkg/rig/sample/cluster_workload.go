package sample

import (
	"fmt"
	"strings"

	"github.com/watchhistory/watchhistory/pkg/history"
)

// The sizes of workloads.
const (
	replicas      = 8
	keptRevisions = 4 // number of ReplicaSets of a Deployment
	rollSteps     = 6 // number of watch events of a Deployment, and of its ReplicaSets, in a rollout
)

// appValues returns the values of an application's containers.
func (c *Cluster) appValues(app, revision int, mounts string) values {
	v := values{"app": application(app), "namespace": namespaceOf(app), "tag": image(revision), "mounts": mounts}
	v["config"] = c.digest(uint64(app), uint64(revision/4))
	v["containers"] = c.parts.containers.text(v)
	v["containerfields"] = c.parts.containerFields.text(v)
	return v
}

// templateValues returns the values of an application's pod template.
func (c *Cluster) templateValues(app, revision int) values {
	v := c.appValues(app, revision,
		fmt.Sprintf(`[{"name":"config","readOnly":true,"mountPath":"/etc/%s"}]`, application(app)))
	v["template"] = c.parts.podTemplate.text(v)
	v["templatefields"] = c.parts.templateFields.text(v)
	return v
}

// nextDeployment rolls out the Deployments in waves: helm writes a new image,
// and then the controller updates the status until all replicas run it.
func (c *Cluster) nextDeployment() {
	app, step, round := c.deployments.inWaves(len(c.deployments.alive), rollSteps)
	o, t := c.lived(c.deployments, app)
	if step == 0 {
		o.changed = c.now
	}
	o.revision = round + 1
	v := c.templateValues(app, o.revision)
	v["generation"], v["rolled"], v["revision"] = number(o.revision), second(o.changed), number(o.revision)
	v["replicas"], v["running"] = number(replicas), number(replicas+step%2)
	v["replicaset"] = c.replicaSetName(app, o.revision)
	v["progress"], v["progressing"] = "ReplicaSetUpdated", "is progressing"
	observed := o.revision
	switch step {
	case 0:
		observed--
	case rollSteps - 1:
		v["progress"], v["progressing"] = "NewReplicaSetAvailable", "has successfully progressed"
	}
	v["observed"], v["updated"] = count("observedGeneration", observed), count("updatedReplicas", min(replicas, 2*step))
	c.emit(c.deployments, t, o, v)
}

// count returns a member, or "" if it is 0, as the API omits it.
func count(name string, n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%q:%d,", name, n)
}

func (c *Cluster) replicaSetNumber(app, revision int) uint64 {
	return c.permanent(c.replicaSets, app) | uint64(revision)<<24
}

func (c *Cluster) replicaSetName(app, revision int) string {
	return application(app) + "-" + c.suffix(c.replicaSetNumber(app, revision), forHash, 10)
}

// nextReplicaSet follows the Deployments: a new ReplicaSet is created and
// grows, the previous one shrinks, and the oldest one is deleted.
func (c *Cluster) nextReplicaSet() {
	app, step, round := c.replicaSets.inWaves(len(c.deployments.alive), rollSteps)
	revision, t := round+1, history.Modified
	switch {
	case step == 0:
		t = history.Added
	case step == 5 && revision >= keptRevisions:
		revision, t = revision-keptRevisions+1, history.Deleted
	case step >= 3 && revision > 1:
		revision--
	}
	o := &c.replicaSets.alive[revision%keptRevisions*len(c.deployments.alive)+app]
	if t == history.Added {
		*o = object{number: c.replicaSetNumber(app, revision), born: c.now}
	}
	if step == 0 || step == 3 {
		o.changed = c.now
	}
	wanted, runs := replicas, min(replicas, 4*step)
	if revision <= round {
		wanted, runs = 0, replicas*(4-min(step, 4))
	}
	if t == history.Deleted {
		runs = 0
	}
	c.emit(c.replicaSets, t, o, c.replicaSetValues(o, app, revision, wanted, runs))
}

func (c *Cluster) replicaSetValues(o *object, app, revision, wanted, runs int) values {
	v := c.templateValues(app, revision)
	v["name"], v["hash"] = c.replicaSetName(app, revision), c.suffix(o.number, forHash, 10)
	v["owner"], v["revision"], v["desired"] = c.uid(c.permanent(c.deployments, app)), number(revision), number(replicas)
	v["generation"], v["replicas"], v["running"] = "1", number(wanted), number(runs)
	if wanted == 0 {
		v["generation"] = "2"
	}
	v["counts"] = count("fullyLabeledReplicas", runs) + count("readyReplicas", runs) + count("availableReplicas", runs)
	v["specAt"] = second(o.changed)
	return v
}

// nextEndpointSlice updates which pods of an application are ready.
func (c *Cluster) nextEndpointSlice() {
	app, _, _ := c.endpointSlices.inWaves(len(c.endpointSlices.alive), rollSteps)
	o, t := c.lived(c.endpointSlices, app)
	o.count++
	v := values{
		"app": application(app), "namespace": namespaceOf(app), "generation": number(o.count), "now": second(c.now),
	}
	v["name"], v["owner"] = application(app)+"-"+c.suffix(o.number, forName, 5), c.uid(o.number|1<<40)
	var endpoints []string
	for place := app; place < len(c.pods.alive); place += len(c.deployments.alive) {
		pod, node := &c.pods.alive[place], place%len(c.nodes.alive)
		if pod.step <= podWaiting {
			continue
		}
		endpoints = append(endpoints, c.parts.endpoint.text(values{
			"ip": c.address(pod.number), "ready": flag(pod.step == podReady), "namespace": v["namespace"],
			"name": c.podName(pod.number, app, pod.revision),
			"uid":  c.uid(pod.number), "node": nodeName(node), "zone": zone(node),
		}))
	}
	v["endpoints"] = "[" + strings.Join(endpoints, ",") + "]"
	c.emit(c.endpointSlices, t, o, v)
}
