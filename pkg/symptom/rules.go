package symptom

import "k8s.io/apimachinery/pkg/runtime/schema"

// rules are all rules, most serious first. Rules for the same part of an object
// exclude each other: the first one that finds a symptom applies.
//
// docs/symptoms.md has a row for each code.
var rules = []rule{ //nolint:gochecknoglobals // a constant table
	// Nodes.
	{name: "node not ready", code: "NodeNotReady", resources: of(nodes), find: nodeNotReady},
	{name: "node pressure", code: "NodePressure", resources: of(nodes), find: nodePressure},
	{name: "node problem", code: "NodeProblem", resources: of(nodes), find: nodeProblem},

	// Pods that were ended from outside. Then their containers ended, too.
	{name: "evicted", code: "Evicted", resources: of(pods), find: whole(evicted)},
	{name: "pod failed", code: "PodFailed", resources: of(pods), find: whole(podFailed)},

	// Containers of pods, one symptom each.
	{name: "out of memory", code: "OOMKilled", resources: of(pods), find: eachContainer(outOfMemory)},
	{name: "crash loop", code: "CrashLoop", resources: of(pods), find: eachContainer(crashLoop)},
	{name: "image pull", code: "ImagePull", resources: of(pods), find: eachContainer(imagePull)},
	{name: "container config", code: "ContainerConfig", resources: of(pods), find: eachContainer(containerConfig)},
	{name: "pod sandbox", code: "PodSandbox", resources: of(pods), find: eachContainer(podSandbox)},
	{name: "mount", code: "FailedMount", resources: of(pods), find: eachContainer(waitsForMount)},
	{name: "container waits", code: "ContainerWaiting", resources: of(pods), find: eachContainer(waits)},
	{name: "container exited", code: "Exited", resources: of(pods), find: eachContainer(exited)},
	{name: "container restarted", code: "Restarted", resources: of(pods), find: eachContainer(restarted)},

	// Other pods.
	{name: "unschedulable", code: "Unschedulable", resources: of(pods), find: whole(unschedulable)},
	{name: "pod not ready", code: "NotReady", resources: of(pods), fallback: true, find: podNotReady},

	// Pods that the API server refuses, in conditions and Events.
	{name: "quota", code: "Quota", resources: of(refusers...), find: refused("Quota")},
	{name: "limit range", code: "LimitRange", resources: of(refusers...), find: refused("LimitRange")},
	{name: "admission", code: "AdmissionDenied", resources: of(refusers...), find: refused("AdmissionDenied")},
	{name: "webhook", code: "WebhookFailed", resources: of(refusers...), find: refused("WebhookFailed")},
	{name: "replicas", code: "ReplicaFailure", resources: of(refusers...), find: refused("ReplicaFailure")},

	// Controllers of pods.
	{name: "progress deadline", code: "ProgressDeadline", resources: of(deployments), find: whole(progressDeadline)},
	{name: "unavailable", code: "NotReady", resources: of(deployments), fallback: true, find: whole(unavailable)},
	{name: "job failed", code: "JobFailed", resources: of(jobs), find: whole(jobFailed)},
	{name: "scaler blocked", code: "ScalerBlocked", resources: of(autoscalers), find: scalerBlocked},
	{name: "scaler limited", code: "ScalerLimited", resources: of(autoscalers), find: scalerLimited},

	// Storage and network.
	{name: "claim lost", code: "ClaimLost", resources: of(claims), find: whole(claimLost)},
	{name: "claim pending", code: "ClaimPending", resources: of(claims), find: whole(claimPending)},
	{name: "volume failed", code: "VolumeFailed", resources: of(volumes), find: whole(volumeFailed)},
	{name: "resize failed", code: "ResizeFailed", resources: of(claims), find: resizeFailed},
	{name: "no endpoints", code: "NoEndpoints", resources: of(endpoints, endpointSlices), find: whole(noEndpoints)},

	// Events. Most have a code of their objects.
	onEvent("system out of memory", "OOMKilled", plainEvent, "SystemOOM", "OOMKilling"),
	onEvent("crash event", "CrashLoop", crashEvent, "BackOff"),
	onEvent("image event", "ImagePull", imageEvent, "Failed", "BackOff", "InspectFailed", "ErrImageNeverPull"),
	onEvent("config event", "ContainerConfig", configEvent, "Failed", "FailedPostStartHook"),
	onEvent("sandbox event", "PodSandbox", plainEvent,
		"FailedCreatePodSandBox", "FailedPodSandBoxStatus", "NetworkNotReady"),
	onEvent("mount event", "FailedMount", mountEvent, "FailedMount", "FailedAttachVolume", "FailedMapVolume"),
	onEvent("scheduling event", "Unschedulable", schedulingEvent, "FailedScheduling"),
	onEvent("probe event", "ProbeFailed", probeEvent, "Unhealthy", "ProbeWarning"),
	onEvent("eviction event", "Evicted", evictionEvent, "Evicted", "Preempted", "Preempting"),
	onEvent("job event", "JobFailed", plainEvent, "BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes"),
	onEvent("schedule event", "JobSchedule", plainEvent, "MissSchedule", "TooManyMissedTimes", "InvalidSchedule",
		"UnparseableSchedule", "UnparseableCronJobSchedule", "UnsupportedSchedule", "UnknownTimeZone"),
	onEvent("scaler event", "ScalerBlocked", scalerEvent, "FailedGetScale", "FailedRescale",
		"FailedComputeMetricsReplicas", "SelectorRequired", "InvalidSelector", "AmbiguousSelector",
		"FailedGetResourceMetric", "FailedGetContainerResourceMetric", "FailedGetPodsMetric", "FailedGetObjectMetric",
		"FailedGetExternalMetric", "InvalidMetricSourceType"),
	onEvent("lost claim event", "ClaimLost", plainEvent, "ClaimLost", "ClaimMisbound"),
	onEvent("claim event", "ClaimPending", claimEvent, "ProvisioningFailed", "FailedBinding", "VolumeMismatch"),
	onEvent("resize event", "ResizeFailed", plainEvent, "VolumeResizeFailed", "FileSystemResizeFailed"),
	onEvent("volume event", "VolumeFailed", plainEvent, "VolumeFailedDelete", "VolumeFailedRecycle"),
	onEvent("node event", "NodeNotReady", plainEvent, "NodeNotReady"),
	onEvent("pressure event", "NodePressure", plainEvent,
		"EvictionThresholdMet", "FreeDiskSpaceFailed", "ImageGCFailed", "ContainerGCFailed"),
	onEvent("termination event", "Terminating", plainEvent,
		"FailedKillPod", "ExceededGracePeriod", "FailedPreStopHook"),

	// Custom resources.
	{name: "degraded", code: "Degraded", custom: true, find: degraded},
	{name: "condition", code: "ConditionFalse", custom: true, find: conditionFalse},

	// All objects.
	{name: "namespace", code: "Terminating", resources: of(namespaces), find: namespaceStuck},
	{name: "terminating", code: "Terminating", fallback: true, find: whole(terminating)},
	{name: "warning", code: "Warning", resources: of(events, newEvents), fallback: true, find: warning},
}

// of returns resources as a list.
func of(resources ...schema.GroupResource) []schema.GroupResource { return resources }

// refusers are the resources whose objects show that the API server refused
// pods.
var refusers = []schema.GroupResource{ //nolint:gochecknoglobals // a constant table
	events, newEvents, deployments, replicaSets, replicationControllers,
}
