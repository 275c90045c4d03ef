package history

// How much a record may say beside its object. It stands in every index, and in one transaction: a log refuses more.
const (
	MaxText           = 1 << 10  // bytes of a name, a namespace, a UID or a resourceVersion, and of a group with its resource or a version with its kind
	MaxOwners         = 512      // owners; each has an entry in an index
	MaxManagedEntries = 4096     // writers
	MaxAttributes     = 64 << 10 // bytes, as [Record.Attributes] counts them
)

// perManager is what a manager's time, and the lengths of its texts, take at the most, in bytes.
const perManager = 32

// Attributes returns about how many bytes a record says beside its object and its identity.
func (r *Record) Attributes() int {
	n := len(r.RV)
	for i := range r.Managers {
		n += r.Managers[i].Size()
	}
	for _, uid := range r.Owners {
		n += len(uid)
	}
	if r.Regarding != nil {
		n += r.Regarding.Size()
	}
	if r.Summary != nil {
		n += len(r.Summary.Text) + len(r.Summary.Problem)
	}
	return n
}

// Size returns about how many bytes the manager takes.
func (m *Manager) Size() int {
	n := len(m.Name) + len(m.Operation) + len(m.Subresource) + perManager
	for _, f := range m.Fields {
		n += len(f)
	}
	return n
}

// Size returns how many bytes the target takes.
func (t *Target) Size() int {
	return len(t.Group) + len(t.Kind) + len(t.Namespace) + len(t.Name) + len(t.UID)
}
