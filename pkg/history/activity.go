package history

import "time"

// Activity is which namespaces had records in a time. The zero Activity means
// that there were no records.
type Activity struct {
	// Newest has the times of the newest records of namespaces.
	Newest map[string]time.Time
	// Unknown is the time until which other namespaces may have had records,
	// or zero.
	Unknown time.Time
}
