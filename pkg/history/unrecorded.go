package history

// UnrecordedResource is a resource of the cluster of which nothing is recorded, and why.
type UnrecordedResource struct {
	Resource Resource
	// Reason is one word for programs: a [GapReason], or what the recorder calls
	// a resource that it leaves out.
	Reason string
}
